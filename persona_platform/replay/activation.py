"""What the outlook said would be activated, at past origins, beside what came: the frame of ``activation.parquet``.

Personas and hazards are learned before the scored part, as a refit there would have; each origin is predicted
from what was read before it. Whether a persona was activated is judged by the same catalog, with all readings.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.capacity.planning import History, played_until
from persona_platform.frames import ACTIVATION, conform, empty
from persona_platform.outlook.model import fit_outlook
from persona_platform.outlook.predict import HORIZONS_S, predict_outlook
from persona_platform.outlook.state import current_state
from persona_platform.personas.assignment import play
from persona_platform.personas.learning import learn
from persona_platform.personas.newcomers.meeting import Newcomers
from persona_platform.utilization.slots import SHORTEST

ORIGINS: Final = 24
"""Spread over the scored part at an odd number of slots, so that they meet different hours of the day."""

DAY: Final = timedelta(days=1)
DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


def activations_foretold(
    history: History,
    *,
    since: datetime,
    until: datetime,
    seed: int,
    origins: int = ORIGINS,
    horizons: Sequence[int] = HORIZONS_S,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """ACTIVATION rows: every active persona that a workload may play and does not play at the origin.

    A persona counts as activated within the horizon when the workload plays it at any slot of it. Rows whose
    horizon was not read to its end, and in whose read part it was not, are left out: nobody knows.

    Args:
        history: needs, workloads and calendar of the whole recording.
        since: start of the scored part; everything is learned before it.
        until: end of the recording.
        seed: of the learning.
        origins: how many at most.
        horizons: seconds; rounded up to whole slots.
        progress: told the origins done, and how many there are.
    """
    history = on_planning_slots(history)
    slot = history.slot
    since += -(since - DAWN) % slot
    past = history.before(since)
    longest = -(-max(horizons) // int(slot.total_seconds()))
    room = int((until - since) / slot) - longest
    if past.needs.is_empty() or room < 1:
        return empty(ACTIVATION)
    learned = learn(past.needs, past.workloads, past.calendar, slot=slot, previous=None, seed=seed)
    model = fit_outlook(
        learned.activations,
        learned.catalog.patterns,
        past.workloads,
        past.calendar,
        slot=slot,
        until=since,
        seed=seed,
    )
    every = max(1, room // origins)
    every += 1 - every % 2
    chosen = [since + i * slot for i in range(0, room, every)][:origins]
    said = []
    for number, origin in enumerate(chosen):
        seen = played_until(learned.catalog, history, origin)
        new = seen.newcomers or Newcomers.none()
        state = current_state(seen.activations, new.known_as(learned.catalog.patterns), origin, slot)
        predicted = predict_outlook(
            model, state, history.workloads, history.calendar, origin, longest, horizons=horizons, roles=new.roles
        )
        said.append(predicted.activations)
        if progress:
            progress(number + 1, len(chosen))
    truth = play(
        history.needs.filter(pl.col("slot") >= since - DAY), history.workloads, history.calendar, learned.catalog
    )
    return _judged(pl.concat(said), truth.membership, slot)


def on_planning_slots(history: History) -> History:
    """The history in slots of at least a quarter of an hour, as personas are learned live; itself where it is so."""
    if history.slot >= SHORTEST:
        return history
    kept = [name for name in history.needs.columns if name not in ("workload_id", "slot", "saturated")]
    needs = (
        history.needs.group_by("workload_id", pl.col("slot").dt.truncate(SHORTEST))
        .agg(pl.col("saturated").any(), *(pl.col(name).mean() for name in kept))
        .sort("workload_id", "slot")
    )
    aligned = pl.col("slot") == pl.col("slot").dt.truncate(SHORTEST)
    return History(needs.select(history.needs.columns), history.workloads, history.calendar.filter(aligned), SHORTEST)


def _judged(said: pl.DataFrame, membership: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """The outcome of each row: whether the persona is among the slots of its horizon."""
    if said.is_empty():
        return empty(ACTIVATION)
    names = said["workload_id"].unique().sort()
    first = said["origin"].min()
    assert isinstance(first, datetime)
    seen = membership.filter(pl.col("workload_id").is_in(names.implode()), pl.col("slot") >= first)
    personas = pl.concat([seen["persona_id"], said["persona_id"]]).unique().sort()
    number = {name: i for i, name in enumerate(personas)}
    row = {name: i for i, name in enumerate(names)}
    at = ((seen["slot"] - first) / slot).round().cast(pl.Int64).to_numpy()
    played = np.full((len(names), int(at.max(initial=0)) + 1), -1)
    played[seen["workload_id"].replace_strict(row, return_dtype=pl.Int64), at] = seen["persona_id"].replace_strict(
        number, return_dtype=pl.Int64
    )
    asked = said.with_columns(
        begin=((pl.col("origin") - first) / slot).round().cast(pl.Int64),
        slots=(pl.col("horizon_s") / slot.total_seconds()).ceil().cast(pl.Int64),
        row=pl.col("workload_id").replace_strict(row, return_dtype=pl.Int64),
        number=pl.col("persona_id").replace_strict(number, return_dtype=pl.Int64),
    )
    happened, known = np.zeros(asked.height, dtype=bool), np.zeros(asked.height, dtype=bool)
    for (slots,), part in asked.with_row_index("i").group_by("slots"):
        ahead = part["begin"].to_numpy()[:, None] + np.arange(int(str(slots)))
        inside = ahead < played.shape[1]
        found = np.where(inside, played[part["row"].to_numpy()[:, None], np.minimum(ahead, played.shape[1] - 1)], -1)
        hit = (found == part["number"].to_numpy()[:, None]).any(axis=1)
        happened[part["i"]] = hit
        known[part["i"]] = hit | (found >= 0).all(axis=1)
    rows = said.select(
        "origin", workload="workload_id", persona="persona_id", horizon_s="horizon_s", probability="probability"
    ).with_columns(outcome=pl.Series(happened))
    return conform(rows.filter(pl.Series(known)), ACTIVATION, "activation")
