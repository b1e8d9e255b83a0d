"""The report's fourth section, as HTML: what was provisioned, why, and whether it was there in time."""

from collections.abc import Mapping

import polars as pl

from persona_platform.frames import ACTIONS, TS
from persona_platform.replay import charts
from persona_platform.replay.numbers import BOUND, DASH, count, lasting, moment, money
from persona_platform.replay.page import Column, figure, paragraph, table, text, two_lines
from persona_platform.replay.sections import MOST_ROWS, Names, mostly


def provisioned(
    *,
    actions: pl.DataFrame,
    outcomes: pl.DataFrame,
    evidence: pl.DataFrame,
    observed: pl.DataFrame,
    inventories: pl.DataFrame,
    names: Names,
) -> str:
    """The actions with their reasons, and capacity against demand around them."""
    if actions.is_empty():
        table_part = paragraph(
            "Nothing was changed. Targets start in observe: they are planned for and never touched.", "none"
        )
    else:
        table_part = _actions(actions, outcomes, evidence, names)
    raised = outcomes.filter(pl.col("to_floor") > pl.col("from_floor"))
    shown = raised["target"].value_counts(sort=True)["target"].head(2).to_list() or charts.largest_targets(
        inventories, "usable", 2
    )
    drawn = charts.capacity_chart(observed, inventories, outcomes, targets=shown)
    return table_part + figure(
        drawn,
        "Demand (grey) and the capacity that was usable (line). Each raise is marked three times at the "
        "height of its floor: when it was requested, when it was ready, and from when it was needed; ready "
        "left of needed is in time.",
    )


def _actions(actions: pl.DataFrame, outcomes: pl.DataFrame, evidence: pl.DataFrame, names: Names) -> str:
    known = outcomes.select("key", "ready_at", "outcome", "ahead_s").unique("key", keep="last")
    extra = {"decided_at": TS, "plan_id": pl.String, "reason": pl.String}
    rows = actions.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in extra.items() if name not in actions.columns
    ).select(*ACTIONS, *extra)
    rows = rows.join(known, on="key", how="left").sort("act_at", "target")
    columns = [
        Column("When", whole=True),
        Column("Target"),
        Column("Floor", numeric=True),
        Column("Why"),
        Column("Ready", whole=True),
        Column("Cost", numeric=True),
    ]
    cells = [
        [
            moment(row["decided_at"] or row["act_at"]),
            text(row["target"]),
            f"{row['from_floor']:,} → {row['to_floor']:,}",
            _why(row, evidence, names),
            text(_ready(row)),
            money(row["cost"]) if row["cost"] else DASH,
        ]
        for row in rows.tail(MOST_ROWS).iter_rows(named=True)
    ]
    shown = f"The last {MOST_ROWS} of {count(rows.height, 'action')}." if rows.height > MOST_ROWS else ""
    return (paragraph(shown) if shown else "") + table(columns, cells)


def _why(row: Mapping[str, object], evidence: pl.DataFrame, names: Names) -> str:
    """The given reason, or one made from the need, the personas behind it and the limit that bound it."""
    if row["reason"]:
        return text(row["reason"])
    bound = BOUND.get(str(row["bound_by"]), str(row["bound_by"]))
    if row["waits_for_approval"]:
        bound = "waits for approval"
    if row["to_floor"] < row["from_floor"]:  # type: ignore[operator]
        reason = f"{row['wanted']:,} are enough from {moment(row['need_at'])}"  # type: ignore[arg-type]
        return two_lines(reason, bound) if bound else text(reason)
    reason = f"{row['wanted']:,} needed at {moment(row['need_at'])}"  # type: ignore[arg-type]
    of_plan = evidence if row["plan_id"] is None else evidence.filter(pl.col("plan_id") == row["plan_id"])
    behind = mostly(of_plan, str(row["target"]), row["need_at"], names)
    detail = "; ".join(part for part in (f"mostly {behind}" if behind != DASH else "", bound) if part)
    return two_lines(reason, detail) if detail else text(reason)


def _ready(row: Mapping[str, object]) -> str:
    if row["outcome"] == "released":
        return "released"
    ahead = row["ahead_s"]
    if not isinstance(ahead, float):
        return {"unmet": "never", "open": "not yet"}.get(str(row["outcome"]), DASH)
    partly = ", in part" if row["outcome"] == "partial" else ""
    return (f"{lasting(ahead)} ahead" if ahead >= 0 else f"{lasting(-ahead)} late") + partly
