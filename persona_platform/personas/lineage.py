"""Lineage: what became of every persona at a refit, and the refit as a row of numbers.

Every old persona was kept, merged into another, or is gone; every new one was kept, split off, or is new.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import TS, Schema
from persona_platform.personas.flows import Side, flow, with_shares

LINEAGE: Final[Schema] = {
    "version": pl.Int64,  # of the catalog
    "trained_until": TS,
    "event": pl.String,  # kept, new, merged, split, gone
    "persona_id": pl.String,
    "other_id": pl.String,  # merged: the one that went into persona_id; split: the one that it came out of
    "share": pl.Float64,  # see Event
    "drift": pl.Float64,  # of its centre, in standard deviations; 0 where it has no earlier version
}
REFITS: Final[Schema] = {
    "version": pl.Int64,
    "trained_until": TS,
    "personas": pl.Int64,  # kept + new + split
    "kept": pl.Int64,
    "new": pl.Int64,
    "gone": pl.Int64,
    "merged": pl.Int64,  # personas that went into another one
    "split": pl.Int64,  # personas that came out of another one
    "agreement": pl.Float64,  # adjusted Rand index of old and new; null where there is nothing to compare
    "drift": pl.Float64,  # median of those kept; null where none was
    "stability": pl.Float64,  # median over the personas; null where there is none
}
LARGE: Final = 0.30
"""Part of a persona's slots that makes a merge or a split of it."""
KEPT_REFITS: Final = 60
"""Refits that are remembered: two months of daily ones."""
LEAST_AGREEMENT: Final = 0.8
MOST_CHANGED: Final = 0.25


@dataclass(frozen=True)
class Event:
    """What happened to one persona.

    ``share`` is of slots. Kept: of its old ones, those that are still its. Merged: of ``other_id``'s, those that
    went to ``persona_id``. Split: of ``persona_id``'s, those that came from ``other_id``. New: of its own, those
    that no persona had. Gone: of its own, those that no persona has now.
    """

    event: str
    persona_id: str
    other_id: str | None = None
    share: float = 0.0
    drift: float = 0.0


def events(
    went: np.ndarray, old: np.ndarray, new: np.ndarray, old_ids: list[str], new_ids: list[str], drifts: list[float]
) -> list[Event]:
    """What became of the personas of one kind.

    Args:
        went: (old, new) shares of workloads' slots that went from one to the other.
        old: (old,) shares that each old persona had in all; ``new`` likewise.
        new: see ``old``.
        old_ids: ids in the order of the rows.
        new_ids: ids in the order of the columns; an id in both was kept.
        drifts: of the new personas.
    """
    out = went / np.maximum(old, 1e-12)[:, None]
    into = went / np.maximum(new, 1e-12)[None, :]
    found = []
    for column, name in enumerate(new_ids):
        if name in old_ids:
            found.append(Event("kept", name, None, float(out[old_ids.index(name), column]), drifts[column]))
            continue
        kept = [row for row, other in enumerate(old_ids) if other in new_ids]
        source = max(kept, key=lambda row: into[row, column], default=None)
        if source is not None and into[source, column] >= LARGE:
            found.append(Event("split", name, old_ids[source], float(into[source, column])))
        else:
            found.append(Event("new", name, None, max(0.0, 1.0 - float(into[:, column].sum()))))
    for row, name in enumerate(old_ids):
        if name in new_ids:
            continue
        takers = [column for column in range(len(new_ids)) if out[row, column] >= LARGE]
        found += [Event("merged", new_ids[column], name, float(out[row, column])) for column in takers]
        if not takers:
            found.append(Event("gone", name, None, max(0.0, 1.0 - float(out[row].sum()))))
    return found


def lineage_frame(found: Iterable[Event], version: int, trained_until: datetime | None = None) -> pl.DataFrame:
    """LINEAGE of one refit, ordered by what happened and id."""
    order = {"kept": 0, "new": 1, "split": 2, "merged": 3, "gone": 4}
    rows = sorted(found, key=lambda e: (order[e.event], e.persona_id, e.other_id or ""))
    return pl.DataFrame(
        [(version, trained_until, e.event, e.persona_id, e.other_id, e.share, e.drift) for e in rows],
        schema=LINEAGE,
        orient="row",
    )


def refit_row(
    lineage: pl.DataFrame,
    patterns: pl.DataFrame,
    previous: pl.DataFrame | None,
    stability: Sequence[float],
    *,
    version: int,
    trained_until: datetime,
) -> pl.DataFrame:
    """REFITS, one row.

    Args:
        lineage: of this refit.
        patterns: the new ones, those of no persona too: workload_id, kind, persona_id, slots, features.
        previous: the patterns of the catalog before; None for the first.
        stability: of the new personas.
        version: of the new catalog.
        trained_until: the end of what it learned from.
    """
    kept = lineage.filter(event="kept")
    # A persona may go into two others in parts: it is one that is gone all the same.
    one_each = lineage.select("event", who=pl.when(event="merged").then("other_id").otherwise("persona_id")).unique()
    times = dict(one_each.group_by("event").len().iter_rows())
    row = {
        "version": version,
        "trained_until": trained_until,
        "personas": len(stability),
        **{event: times.get(event, 0) for event in ("kept", "new", "gone", "merged", "split")},
        "agreement": None if previous is None else agreement(previous, patterns),
        "drift": kept["drift"].median(),
        "stability": median(stability) if stability else None,
    }
    return pl.DataFrame([row], schema=REFITS)


def agreement(old: pl.DataFrame, new: pl.DataFrame) -> float | None:
    """The adjusted Rand index of two catalogs over the slots that are active in both; None when there are none.

    Both are patterns with workload_id, kind, persona_id, slots and features. What is of no persona counts as one.
    """
    sides = []
    for frame in (old, new):
        active = with_shares(frame).filter(kind="active")
        names: list[object] = sorted(active["persona_id"].unique().to_list())
        sides.append((Side.of(active, "persona_id", names), len(names)))
    (before, olds), (after, news) = sides
    went = flow(before, after)
    table = np.zeros((olds, news))
    # A share of the workload's slots, as many as the newer catalog saw of them.
    slots = after.slots[went.new] / np.maximum(after.share[went.new], 1e-12) * went.share
    np.add.at(table, (before.persona[went.old], after.persona[went.new]), slots)
    return adjusted_rand(table)


def adjusted_rand(table: np.ndarray) -> float | None:
    """The adjusted Rand index (Hubert and Arabie 1985) of a contingency table of real weights; None when empty."""

    def pairs(count: np.ndarray) -> float:
        return float((count * np.maximum(count - 1.0, 0.0)).sum()) / 2.0

    total = table.sum()
    if total <= 1.0:
        return None
    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * columns / pairs(total[None])
    most = (rows + columns) / 2.0
    return 1.0 if most - chance <= 1e-9 * most else (both - chance) / (most - chance)


def newest_refit(lineage: pl.DataFrame) -> pl.DataFrame:
    """The rows of the newest catalog."""
    return lineage.filter(pl.col("version") == pl.col("version").max())


def churn(refits: pl.DataFrame, lineage: pl.DataFrame) -> list[str]:
    """What is wrong with the newest refit, a sentence each; nothing when it is the first, or all is well."""
    rows = refits.sort("version").tail(2)
    if rows.height < 2:
        return []
    row = rows.row(1, named=True)
    said = []
    if row["agreement"] is not None and row["agreement"] < LEAST_AGREEMENT:
        said.append(
            f"Old and new personas agree by {row['agreement']:.2f} (adjusted Rand index over the active slots of "
            f"the workloads in both); expected at least {LEAST_AGREEMENT:.2f}."
        )
    came, left = _changed(lineage.filter(version=row["version"]))
    everyone = row["kept"] + len(came) + len(left)
    if everyone and len(came) + len(left) > MOST_CHANGED * everyone:
        what = [f"{', '.join(ids)} {word}" for ids, word in ((came, "came"), (left, "went")) if ids]
        share = (len(came) + len(left)) / everyone
        said.append(f"{share:.0%} of the personas changed, expected at most {MOST_CHANGED:.0%}: {'; '.join(what)}.")
    return said


def _changed(lineage: pl.DataFrame) -> tuple[list[str], list[str]]:
    """The ids that came, and those that went."""
    came = lineage.filter(pl.col("event").is_in(["new", "split"]))["persona_id"]
    left = pl.concat([lineage.filter(event="gone")["persona_id"], lineage.filter(event="merged")["other_id"]])
    return came.unique().sort().to_list(), left.unique().sort().to_list()


def remembered(frame: pl.DataFrame) -> pl.DataFrame:
    """LINEAGE or REFITS without what is older than the last :data:`KEPT_REFITS` refits."""
    versions = frame["version"].unique().sort(descending=True).head(KEPT_REFITS)
    return frame.filter(pl.col("version").is_in(versions.implode()))
