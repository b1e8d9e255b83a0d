"""The frames that cross a package boundary: their columns, types and units, in the order of the data's flow.

A column contract belongs here when more than one package reads or writes the frame; what a package keeps to
itself stays in that package. Every timestamp is ``Datetime("us", "UTC")``; every slot is named by its start.
"""

from typing import Final

import polars as pl

from persona_platform.errors import InputError

TS: Final = pl.Datetime("us", "UTC")

RESOURCES: Final = (
    "cpu_cores",
    "mem_bytes",
    "disk_bytes",
    "disk_read_bytes",
    "disk_write_bytes",
    "net_in_bytes",
    "net_out_bytes",
    "gpus",
)
"""What a workload uses. Read, write and network are per second; ``disk_bytes`` is what is stored."""

SIZED_RESOURCES: Final = ("cpu_cores", "mem_bytes", "gpus")
"""The resources that a unit of capacity is made of unless ``persona.toml`` names others."""

RATE_ACTIVITIES: Final = ("requests", "jobs", "departures", "departures_scheduled")
"""Activities that arrive as counts in their interval and are kept per second."""

GAUGE_ACTIVITIES: Final = ("active_users", "latency_ms", "error_rate", "queue_depth")
"""Activities that are a level at a moment and are kept as they are."""

ACTIVITIES: Final = RATE_ACTIVITIES + GAUGE_ACTIVITIES

SERVED_ACTIVITIES: Final = ("requests", "jobs", "departures", "active_users")
"""Activities that can stand for demand where a workload has no resources; the first one present is used."""

NEEDS: Final = RESOURCES + SERVED_ACTIVITIES
"""Every column that a need can have."""

OTHER: Final = "other"
"""The persona id of everything that no kept persona explains."""

QUANTILE_COLUMNS: Final = {"q10": 0.10, "q50": 0.50, "q90": 0.90, "q95": 0.95, "q99": 0.99}

Schema = dict[str, pl.DataType | type[pl.DataType]]

SAMPLES: Final[Schema] = {
    "workload_id": pl.String,
    "ts": TS,
    "metric": pl.String,
    "value": pl.Float64,
    "dataset": pl.String,
}
WORKLOADS: Final[Schema] = {
    "workload_id": pl.String,
    "pool": pl.String,
    "team": pl.String,
    "tier": pl.String,  # critical, standard, batch
    "az": pl.String,
    "timezone": pl.String,  # IANA
    "storage_class": pl.String,
}
EVENTS: Final[Schema] = {
    "kind": pl.String,
    "name": pl.String,
    "starts_at": TS,
    "ends_at": TS,  # exclusive
    "zone": pl.String,
}
COVARIATES: Final[Schema] = {
    "series": pl.String,  # the id with its prefix, for instance weather:JFK
    "metric": pl.String,
    "ts": TS,
    "value": pl.Float64,
    "known_at": TS,  # the instant from which the value may be used
}
QUARANTINE: Final[Schema] = {
    "file": pl.String,
    "row": pl.Int64,  # 1 is the first row of data
    "reason": pl.String,
    "content": pl.String,  # the row as read, as JSON
}
CALENDAR_DAYS: Final[Schema] = {
    "zone": pl.String,
    "date": pl.Date,
    "day_type": pl.String,  # working, weekend, holiday
    "holiday": pl.String,  # its name, or null
    "is_month_begin": pl.Boolean,  # first working day of the month
    "is_month_end": pl.Boolean,  # last working day of the month
}
USAGE: Final[Schema] = {
    "workload_id": pl.String,
    "slot": TS,
    **dict.fromkeys(RESOURCES, pl.Float64),  # mean over the slot
    **dict.fromkeys((f"{r}_max" for r in RESOURCES), pl.Float64),
    "readings": pl.UInt32,
    "saturated": pl.Boolean,  # a reading stood at its limit: demand is at least this
}
ACTIVITY: Final[Schema] = {
    "workload_id": pl.String,
    "slot": TS,
    **dict.fromkeys(ACTIVITIES, pl.Float64),
    "readings": pl.UInt32,
}
CALENDAR: Final[Schema] = {
    "zone": pl.String,
    "slot": TS,
    "hour_of_week": pl.UInt8,  # local, 0 is Monday 00:00 to 00:59
    "day_type": pl.String,
    "is_month_begin": pl.Boolean,
    "is_month_end": pl.Boolean,
    "events": pl.List(pl.String),  # kinds of the events that cover the slot, sorted; holidays are day types
}
NEED_KEYS: Final[Schema] = {"workload_id": pl.String, "slot": TS, "saturated": pl.Boolean}
"""A needs frame: these, and one Float64 column for each of :data:`NEEDS` that the data has."""

ACTIVATION_KEYS: Final[Schema] = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,  # 0, 1, ... within the workload
    "kind": pl.String,  # resting, steady, active
    "start": TS,
    "end": TS,  # exclusive
    "censored": pl.Boolean,  # still running at the end of the data, or cut by a gap or the start
}
"""An activations frame: these, and the mean need over the activation for each need column."""

MEMBERSHIP: Final[Schema] = {
    "workload_id": pl.String,
    "slot": TS,
    "pattern": pl.UInt16,
    "persona_id": pl.String,
    "probability": pl.Float64,  # that the workload plays this, its likeliest persona, at the slot
}
OUTLOOK: Final[Schema] = {
    "origin": TS,
    "workload_id": pl.String,
    "slot": TS,
    "persona_id": pl.String,
    "probability": pl.Float64,  # sums to 1 over the personas of a workload and slot
}
ACTIVATION_OUTLOOK: Final[Schema] = {
    "origin": TS,
    "workload_id": pl.String,
    "persona_id": pl.String,  # an active persona that the workload does not play at the origin
    "horizon_s": pl.Int64,
    "probability": pl.Float64,  # of being activated within the horizon
}
PERSONA_OUTLOOK: Final[Schema] = {
    "origin": TS,
    "persona_id": pl.String,
    "horizon_s": pl.Int64,
    "probability": pl.Float64,  # that any member plays it at some slot within the horizon
    "expected_members": pl.Float64,  # mean number of members that do
    "members_q50": pl.Float64,
    "members_q95": pl.Float64,
}
TARGETS: Final[Schema] = {
    "target": pl.String,
    "pool": pl.String,  # whose workloads it holds capacity for
    "kappa": pl.Float64,  # the quantile of demand that the floor stands at
    "hold_slots": pl.Int64,  # slots in the window whose maximum is planned for, at least 1
}
UNITS: Final[Schema] = {
    "target": pl.String,
    "need": pl.String,  # one of NEEDS
    "amount": pl.Float64,  # of that need in one unit
}
OBSERVED: Final[Schema] = {
    "target": pl.String,
    "slot": TS,
    "demand": pl.Float64,  # units; null where too little was read
    "saturated": pl.Boolean,
}
DEMAND: Final[Schema] = {
    "origin": TS,
    "target": pl.String,
    "slot": TS,
    "route": pl.String,  # mixture, direct, seasonal_naive, persistence, combined
    "mean": pl.Float64,  # units, of the window maximum that starts at the slot
    **dict.fromkeys(QUANTILE_COLUMNS, pl.Float64),
    "kappa": pl.Float64,
    "q_kappa": pl.Float64,
}
COMBINATION: Final[Schema] = {
    "target": pl.String,
    "lead_slots": pl.Int64,  # the upper end of the band of leads that the weight serves; 1,000,000: beyond the others
    "route": pl.String,
    "weight": pl.Float64,  # sums to 1 over the routes of a target and band
    "pinball": pl.Float64,  # at kappa, over the folds, in units
    "relative": pl.Float64,  # to the better of seasonal naive and persistence
}
PLAN: Final[Schema] = {
    "plan_id": pl.String,
    "origin": TS,
    "target": pl.String,
    "slot": TS,
    "mean": pl.Float64,
    "q50": pl.Float64,
    "q90": pl.Float64,
    "q95": pl.Float64,
    "q99": pl.Float64,
    "kappa": pl.Float64,
    "needed": pl.Int64,  # whole units that must be usable at the slot
    "history_s": pl.Int64,  # span of the target's observed demand, seconds
    "cycle_s": pl.Int64,  # longest period that its forecast relies on, seconds
    "data_until": TS,  # end of the newest slot read
    "suitable": pl.Boolean,  # whether acting on the forecast was worth it on held-out data; null: not judged
}
EVIDENCE: Final[Schema] = {
    "plan_id": pl.String,
    "target": pl.String,
    "slot": TS,
    "persona_id": pl.String,
    "expected": pl.Float64,  # units: probability times requirement, summed over workloads
}
INVENTORY: Final[Schema] = {
    "inventory_id": pl.String,
    "target": pl.String,
    "observed_at": TS,
    "usable": pl.Int64,
    "booting": pl.Int64,
    "ready_at": TS,  # when all that boots is expected to be usable; null when nothing boots
    "floor": pl.Int64,
    "observed_demand": pl.Float64,  # units in the newest slot read; null when unread
}
LIMITS: Final[Schema] = {
    "target": pl.String,
    "provisioner": pl.String,
    "mode": pl.String,  # observe, propose, act
    "min": pl.Int64,
    "max": pl.Int64,  # null: no maximum given, so the target can only be observed
    "step_share": pl.Float64,
    "step_units": pl.Int64,
    "dead_band": pl.Float64,
    "cooldown_up_s": pl.Int64,
    "cooldown_down_s": pl.Int64,
    "budget_day": pl.Float64,  # money; null: no cap
    "budget_total_day": pl.Float64,  # money over all targets, the same in every row; null: no cap
    "approval_units": pl.Int64,  # a raise above this many units waits; null: never
    "approval_cost": pl.Float64,  # a raise that costs more waits; null: never
    "price_per_hour": pl.Float64,  # of one unit
    "min_history_s": pl.Int64,
    "stale_after_s": pl.Int64,
    "expiry_s": pl.Int64,
    "lead_time_prior_s": pl.Float64,
    "act_unsuitable": pl.Boolean,  # act even where the plan says that it is not suitable; null: no
}
LEDGER_VIEW: Final[Schema] = {
    "target": pl.String,
    "paused": pl.Boolean,
    "last_raised_at": TS,
    "last_lowered_at": TS,
    "last_failed_at": TS,
    "cost_today": pl.Float64,  # money committed by actions decided on the UTC day of now
    "cost_today_total": pl.Float64,  # over all targets, the same in every row
    "lead_time_s": pl.Float64,  # 0.9 quantile of the learned lead times; null before 20 samples
    "approved_floor": pl.Int64,  # the highest floor with a standing approval; null: none
    "floor_expires_at": TS,  # when the floor in force expires; null: no floor of ours
}
SUITABILITY: Final[Schema] = {
    "target": pl.String,
    "suitable": pl.Boolean,
    "reason": pl.String,  # one sentence
    "history_s": pl.Int64,  # span of the target's observed demand, seconds
    "cycle_s": pl.Int64,  # longest period that its forecast relies on, seconds
    "relative": pl.Float64,  # held-out pinball of the forecast to the better of seasonal naive and persistence
    "gain": pl.Float64,  # 1 - cost of ours to plain reactive at equal unserved share, held out; null: not measured
    "lead_time_s": pl.Float64,  # that the gain was measured at
}
ACTIVATION: Final[Schema] = {
    "origin": TS,
    "workload": pl.String,
    "persona": pl.String,
    "horizon_s": pl.Int64,
    "probability": pl.Float64,  # of being activated within the horizon, as predicted at the origin
    "outcome": pl.Boolean,  # whether it was
}
ACTIONS: Final[Schema] = {
    "key": pl.String,  # sha256 of target, need_at and to_floor
    "target": pl.String,
    "from_floor": pl.Int64,
    "to_floor": pl.Int64,
    "wanted": pl.Int64,  # the floor before the limits clamped it
    "act_at": TS,
    "need_at": TS,
    "expires_at": TS,
    "bound_by": pl.String,  # the limit that clamped it, or "none"
    "waits_for_approval": pl.Boolean,
    "cost": pl.Float64,  # money, of the raise until it expires; 0 for a release
}
OUTCOMES: Final[Schema] = {
    "key": pl.String,
    "target": pl.String,
    "from_floor": pl.Int64,
    "to_floor": pl.Int64,
    "need_at": TS,
    "requested_at": TS,
    "ready_at": TS,  # when capacity reached the floor; null: not yet, or never
    "outcome": pl.String,  # open, met, partial, unmet, released
    "ahead_s": pl.Float64,  # need_at minus ready_at: positive is before the demand
    "peak_demand": pl.Float64,  # units, observed from need_at until the action expires
}


def empty(schema: Schema) -> pl.DataFrame:
    """A frame with the contract's columns and no rows."""
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema, what: str) -> pl.DataFrame:
    """The frame with exactly the contract's columns, in order and cast.

    Raises :class:`InputError` naming the columns that are missing, or the one that cannot be cast.
    """
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise InputError(
            f"{what} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"it has {', '.join(frame.columns) or 'none'}."
        )
    try:
        return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    except pl.exceptions.InvalidOperationError as fault:
        raise InputError(f"{what} has a value of the wrong type: {fault}") from fault


def need_columns(frame: pl.DataFrame) -> list[str]:
    """The need columns that a needs or activations frame has, in the contract's order."""
    return [name for name in NEEDS if name in frame.columns]
