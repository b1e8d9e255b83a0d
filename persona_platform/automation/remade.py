"""Decisions made again from what the ledger kept of them: the same rows bit for bit, or where they part.

The plan, the inventory and the limits are read from the files that the decision's entry names, the past is folded
anew from the ledger's entries up to the recorded position, and ``decide()`` is called as it was then. Here is also
what proves that these are the things that it was decided from: their digests, and the id of the decision, which is
one of all of them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from persona_platform.automation.provisioning import Decision, Named, decide_from, decision_key
from persona_platform.capacity.limits import digest
from persona_platform.errors import InputError
from persona_platform.frames import TS, Schema
from persona_platform.settings import Project

REMADE: Final[Schema] = {
    "decision_id": pl.String,
    "now": TS,  # the instant that it was decided at; null where the ledger lost it
    "plan_id": pl.String,
    "inventory_id": pl.String,
    "outcome": pl.String,  # same, differs (also: what it was made from was changed since), cannot
    "detail": pl.String,  # one sentence; empty for the same
    "actions": pl.Int64,  # rows of ACTIONS that were kept; null where they cannot be read
}

PLANS_IN_HAND: Final = 8
"""Consecutive decisions are mostly made from one plan."""


class GoneError(InputError):
    """A file that a decision was made from is no longer there: deleted, not changed."""


@dataclass(frozen=True)
class Kept:
    """A decision as it was kept, opened: each frame is the one whose digest the ledger holds."""

    plan: pl.DataFrame
    inventory: pl.DataFrame
    limits: pl.DataFrame
    view: pl.DataFrame | None
    """LEDGER_VIEW; None for a decision of a version that kept none."""
    actions: pl.DataFrame
    position: int
    now: datetime

    def again(self, entries: pl.DataFrame) -> Decision:
        """The decision made again, with the past folded from ``entries``."""
        return decide_from(self.plan, self.inventory, entries, self.limits, self.position, self.now)

    def difference(self, entries: pl.DataFrame) -> str | None:
        """Where the decision parts from itself made again, in a sentence; None: nowhere, bit for bit."""
        again = self.again(entries)
        past = None if self.view is None else first_difference(self.view, again.view)
        if past is not None:
            return f"The ledger tells another past than it did: {past}."
        found = first_difference(self.actions, again.rows)
        return None if found is None else f"{found[0].upper()}{found[1:]}."


def remake_all(project: Project, entries: pl.DataFrame, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of :data:`REMADE`: of every decision by seq (or of the one with the id ``only``), then of lost ones.

    Args:
        project: whose folders hold the files; one that was moved since finds them where they are now.
        entries: all of the ledger's entries.
        only: the id of one decision; unknown to the ledger, it is a lost one.
    """
    found = decisions_in(entries, only)
    folded = entries.filter(pl.col("kind") != "decision")  # the fold does not read them, and their bodies are long
    read = lru_cache(PLANS_IN_HAND)(Named.read)
    for key, body in found.iter_rows():
        yield _row(project, key, json.loads(body), folded, read)
    yield from lost(project, entries, only)


def decisions_in(entries: pl.DataFrame, only: str | None = None) -> pl.DataFrame:
    """Columns key and body of the decisions' entries, by seq."""
    rows = entries.filter(pl.col("kind") == "decision").sort("seq").select("key", "body")
    return rows if only is None else rows.filter(pl.col("key") == only)


def lost(project: Project, entries: pl.DataFrame, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Decisions that left traces and that the ledger does not know: an action of theirs, or just their files.

    A decision is in the ledger before any of its actions, so the first is a removed entry; a run that was killed
    right before it recorded its decision leaves the second.
    """
    known = set(decisions_in(entries)["key"])
    acted = entries.filter(pl.col("kind") == "action").select(
        "key", "target", decision=pl.col("body").str.json_path_match("$.decision_id")
    )
    traces: dict[str, tuple[str, str]] = {}
    if project.decisions.is_dir():
        said = "Its files are kept and the ledger has no such decision: its run was killed, or its entry removed."
        traces |= {folder.name: ("cannot", said) for folder in sorted(project.decisions.iterdir()) if folder.is_dir()}
    for key, target, decision in acted.iter_rows():
        if decision:
            said = f"Action {key[:12]} on {target} names this decision and the ledger has lost it."
            traces[decision] = ("differs", said)
    for name, (outcome, detail) in traces.items():
        if name not in known and only in (None, name):
            yield _result(name, {}, outcome, detail, None)


def _row(
    project: Project, key: str, body: Mapping[str, Any], entries: pl.DataFrame, read: Callable[[Named], pl.DataFrame]
) -> dict[str, Any]:
    """One decision made again, whatever is wrong with what was kept of it."""
    try:
        kept = opened(project, key, body, read)
    except GoneError as fault:
        return _result(key, body, "cannot", str(fault), None)
    except InputError as fault:
        return _result(key, body, "differs", str(fault), None)
    try:
        difference = kept.difference(entries)
    except InputError as fault:  # a contract that has changed since by more than columns
        return _result(key, body, "cannot", f"It cannot be decided from these files today: {fault}", kept.actions)
    return _result(key, body, "same" if difference is None else "differs", difference or "", kept.actions)


def _result(
    key: str, body: Mapping[str, Any], outcome: str, detail: str, actions: pl.DataFrame | None
) -> dict[str, Any]:
    return {
        "decision_id": key,
        "now": datetime.fromisoformat(body["now"]) if body else None,
        "plan_id": body.get("plan_id"),
        "inventory_id": body.get("inventory_id"),
        "outcome": outcome,
        "detail": detail,
        "actions": None if actions is None else actions.height,
    }


def opened(
    project: Project, key: str, body: Mapping[str, Any], read: Callable[[Named], pl.DataFrame] = Named.read
) -> Kept:
    """What was kept of a decision, from the body of its entry.

    Raises :class:`GoneError` naming the first file that is gone, :class:`InputError` naming what was changed.
    """
    now = datetime.fromisoformat(body["now"])
    made_from = (body["plan_id"], body["inventory_id"], body["limits_digest"], body["ledger_position"], now)
    if decision_key(*made_from) != key:
        raise InputError("The ledger's entry was changed: its id is not that of what it says it was made from.")
    plan = read(Named(body["plan_id"], _place(project, body, "plan"), body["files"]["plan"]["digest"]))
    inventory = read(
        Named(body["inventory_id"], _place(project, body, "inventory"), body["files"]["inventory"]["digest"])
    )
    return Kept(
        plan=plan,
        inventory=inventory,
        limits=_frame(_place(project, body, "limits"), body["limits_digest"]),
        view=_frame(_place(project, body, "view"), body["files"]["view"]["digest"])
        if "view" in body["files"]
        else None,
        actions=_frame(_place(project, body, "actions"), body["files"]["actions"]["digest"]),
        position=body["ledger_position"],
        now=now,
    )


def _place(project: Project, body: Mapping[str, Any], name: str) -> Path:
    """Where a file of the decision is; below this project's state folder if that is where it was kept."""
    said = body["files"].get(name)
    if said is None:
        raise GoneError(f"The ledger names no file of the {name}.")
    path = Path(said["path"])
    state = project.state.name
    if state in path.parts:
        last = len(path.parts) - 1 - path.parts[::-1].index(state)
        path = project.state.joinpath(*path.parts[last + 1 :])
    if not path.is_file():
        raise GoneError(f"The file of the {name} is gone: {path}.")
    return path


def _frame(path: Path, kept: str) -> pl.DataFrame:
    """A frame of the decision's folder, if its content is what the ledger says."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise InputError(f"{path} was changed since: it cannot be read as Parquet.") from fault
    if digest(frame) != kept:
        raise InputError(f"{path} was changed since: its digest differs.")
    return frame


def first_difference(kept: pl.DataFrame, again: pl.DataFrame) -> str | None:
    """The first target, and its first column, in which two frames of targets differ, in a clause; None: in no bit.

    Both have a column ``target`` and are sorted by it.
    """
    if kept.schema != again.schema:
        for name in {**kept.schema, **again.schema}:
            old, new = (frame.schema.get(name, "missing") for frame in (kept, again))
            if old != new:
                return f"column {name} was {old} and is {new}"
        return "the columns are in another order"
    if kept.height == again.height and not any(_unequal(kept[name], again[name]).any() for name in kept.columns):
        return None
    for target in pl.concat([kept["target"], again["target"]]).unique().sort():
        old, new = (frame.filter(pl.col("target").eq_missing(target)) for frame in (kept, again))
        if old.height != new.height:
            return f"target {target} had {_rows(old.height)} and has {_rows(new.height)}"
        for name in kept.columns:
            row = _unequal(old[name], new[name]).arg_true()
            if len(row):
                return f"{name} of target {target} was {_value(old[name][row[0]])} and is {_value(new[name][row[0]])}"
    return "the rows are in another order"


def _unequal(kept: pl.Series, again: pl.Series) -> pl.Series:
    """Which values of two series of one length differ in any bit: for floats, 0.0 is not -0.0."""
    nulls = kept.is_null() != again.is_null()
    if kept.dtype.is_float():
        old, new = (one.fill_null(0.0).cast(pl.Float64).to_numpy().view(np.uint64) for one in (kept, again))
        return nulls | pl.Series(old != new)
    return nulls | kept.ne_missing(again)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _value(value: object) -> str:
    if value is None:
        return "null"
    return value.isoformat() if isinstance(value, datetime) else repr(value)
