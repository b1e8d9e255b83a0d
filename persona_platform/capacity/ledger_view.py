"""The past of each target, as ``decide`` needs it: a fold over the ledger's entries.

Entries are a frame of seq, at, kind, key, target and body (a JSON object as text). The kinds, and what their
bodies must hold:

=============  =========================  ==================================================================
kind           key                        body
=============  =========================  ==================================================================
decision       id of the decision         plan_id, inventory_id, limits_digest, ledger_position, now, files
action         of the action              the row of ACTIONS, decision_id; appended before the write
applied        of the action              from_floor, to_floor, accepted_floor, prior_floor, expires_at
failed         of the action              reason
unknown        of the action              reason
met .. unmet   of the action              ready_at, ahead_s; the verdict (met, partial, unmet)
lead_time      of the action              lead_time_s
expired        of the action              expires_at
released       of the action              prior_floor, accepted_floor
approved       of the row that waited     from_floor, to_floor, expires_at, by
rejected       of the row that waited     by
paused         none                       by; target ``*`` is all of them
resumed        none                       by
=============  =========================  ==================================================================
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import polars as pl

from persona_platform.frames import LEDGER_VIEW, TS, Schema, conform

ENTRIES: Final[Schema] = {
    "seq": pl.Int64,
    "at": TS,
    "kind": pl.String,
    "key": pl.String,
    "target": pl.String,
    "body": pl.String,
}
ALL: Final = "*"
"""The target of a pause that holds for every target."""

LEAD_TIME_SAMPLES: Final = 20
"""Fewer lead times than this are no distribution; the prior of the limits stands."""

LEAD_TIMES_KEPT: Final = 200
"""The newest lead times of a target that count: clouds get faster and slower over months."""

LEAD_TIME_QUANTILE: Final = 0.9

_BODY: Final = pl.Struct(
    {
        "from_floor": pl.Int64,
        "to_floor": pl.Int64,
        "accepted_floor": pl.Int64,
        "prior_floor": pl.Int64,
        "cost": pl.Float64,
        "expires_at": pl.String,
        "lead_time_s": pl.Float64,
    }
)


def ledger_view(entries: pl.DataFrame, targets: Sequence[str], now: datetime) -> pl.DataFrame:
    """LEDGER_VIEW, one row for each of ``targets``, sorted by name.

    Folds the entries in the order of seq; the same entries, targets and now give the same view.
    """
    rows = read_bodies(entries)
    of = pl.DataFrame({"target": sorted(set(targets))}, schema={"target": pl.String})
    view = (
        of.with_columns(paused=pl.col("target").is_in(paused_targets(rows)))
        .with_columns(paused=pl.col("paused") | pl.lit(ALL in paused_targets(rows)))
        .join(_changes(rows), on="target", how="left")
        .join(_costs(rows, now), on="target", how="left")
        .join(_lead_times(rows), on="target", how="left")
        .join(_approvals(rows, now), on="target", how="left")
        .with_columns(
            cost_today=pl.col("cost_today").fill_null(0.0),
            cost_today_total=pl.lit(float(_costs(rows, now)["cost_today"].sum())),
        )
    )
    return conform(view, LEDGER_VIEW, "The ledger's view").sort("target")


def read_bodies(entries: pl.DataFrame) -> pl.DataFrame:
    """The entries in order, what folds need of their bodies as columns; what a body lacks is null."""
    rows = conform(entries, ENTRIES, "The ledger's entries").sort("seq")
    body = pl.col("body").fill_null("{}").str.json_decode(_BODY)
    moment = pl.col("expires_at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    return rows.with_columns(body.struct.unnest()).with_columns(expires_at=moment)


def paused_targets(rows: pl.DataFrame) -> list[str]:
    """The targets (``*`` is all) whose last word was a pause."""
    switches = rows.filter(pl.col("kind").is_in(["paused", "resumed"])).sort("seq")
    last = switches.unique("target", keep="last")
    return last.filter(pl.col("kind") == "paused")["target"].drop_nulls().sort().to_list()


def floors_in_force(rows: pl.DataFrame) -> pl.DataFrame:
    """The last applied action of each target, unless it was released since: seq, key, expires_at, ..."""
    changes = rows.filter(pl.col("kind").is_in(["applied", "released"]))
    last = changes.sort("seq").unique("target", keep="last")
    return last.filter(pl.col("kind") == "applied").sort("target")


def _changes(rows: pl.DataFrame) -> pl.DataFrame:
    at, kind = pl.col("at"), pl.col("kind")
    applied, released = kind == "applied", kind == "released"
    raised = applied & (pl.col("to_floor") > pl.col("from_floor"))
    lowered = (applied & (pl.col("to_floor") < pl.col("from_floor"))) | released
    past = rows.group_by("target").agg(
        last_raised_at=at.filter(raised).max(),
        last_lowered_at=at.filter(lowered).max(),
        last_failed_at=at.filter(kind == "failed").max(),
    )
    expiry = floors_in_force(rows).select("target", floor_expires_at="expires_at")
    return past.join(expiry, on="target", how="left")


def _costs(rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Money of the actions of the UTC day of now, except those whose last word is that they failed."""
    results = rows.filter(pl.col("kind").is_in(["applied", "failed", "unknown"]))
    failed = results.sort("seq").unique("key", keep="last").filter(pl.col("kind") == "failed")
    today = pl.col("at").dt.date() == now.astimezone(UTC).date()
    return (
        rows.filter((pl.col("kind") == "action") & today)
        .join(failed.select("key"), on="key", how="anti")
        .group_by("target")
        .agg(cost_today=pl.col("cost").fill_null(0.0).sum())
        .sort("target")  # so that the sum over all targets has the same last bits each time
    )


def _lead_times(rows: pl.DataFrame) -> pl.DataFrame:
    known = rows.filter((pl.col("kind") == "lead_time") & pl.col("lead_time_s").is_finite()).sort("seq")
    quantile = pl.col("lead_time_s").tail(LEAD_TIMES_KEPT).quantile(LEAD_TIME_QUANTILE, "linear")
    return (
        known.group_by("target", maintain_order=True)
        .agg(lead_time_s=quantile, samples=pl.len())
        .filter(pl.col("samples") >= LEAD_TIME_SAMPLES)
        .select("target", "lead_time_s")
    )


def _approvals(rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The highest approved floor since the last approval of a lower one; approvals expire to no."""
    words = rows.filter(pl.col("kind").is_in(["approved", "rejected"])).sort("seq").unique("key", keep="last")
    standing = words.filter(
        (pl.col("kind") == "approved") & (pl.col("expires_at") > pl.lit(now.astimezone(UTC), TS))
    ).sort("seq")
    lowers = pl.col("to_floor") < pl.col("from_floor")
    last_lower = pl.col("seq").filter(lowers).max().over("target")
    return (
        standing.filter(pl.col("seq") >= last_lower.fill_null(0))
        .group_by("target")
        .agg(approved_floor=pl.col("to_floor").max())
    )
