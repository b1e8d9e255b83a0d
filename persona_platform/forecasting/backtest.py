"""What forecasters said at past origins, beside what came.

The forecasters are callables of an origin, fitted by the caller on data before all origins: nothing here can
train on what it scores.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from persona_platform.errors import InputError
from persona_platform.forecasting.panel import window_max
from persona_platform.frames import DEMAND, OBSERVED, TARGETS, TS, Schema, conform, empty

BACKTEST: Final[Schema] = {
    "origin": TS,
    "target": pl.String,
    "slot": TS,
    "route": pl.String,
    "q_kappa": pl.Float64,
    "kappa": pl.Float64,
    "actual": pl.Float64,  # units, the window maximum that was observed
}


def backtest(
    origins: Sequence[datetime],
    forecasters: Mapping[str, Callable[[datetime], pl.DataFrame]],
    observed: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """BACKTEST rows of every origin and forecaster whose window maximum was observed.

    Args:
        origins: in any order.
        forecasters: by name; each gives DEMAND rows, of one route or several, for an origin.
        observed: OBSERVED demand, the scored slots among it. A slot missing from it is unread.
        targets: TARGETS; their ``hold_slots`` is the window.

    Raises:
        InputError: a forecaster's rows begin before the origin that it was asked for.
    """
    found = [empty(DEMAND)]
    for name, forecaster in forecasters.items():
        for origin in origins:
            rows = conform(forecaster(origin), DEMAND, f"the forecast of {name}")
            early = rows.filter((pl.col("slot") < origin) | (pl.col("origin") != origin))
            if not early.is_empty():
                raise InputError(
                    f"The forecaster {name}, asked for {origin:%Y-%m-%d %H:%M}, gave a row for "
                    f"{early['slot'][0]:%Y-%m-%d %H:%M} from origin {early['origin'][0]:%Y-%m-%d %H:%M}."
                )
            found.append(rows)
    return backtest_rows(pl.concat(found), observed, targets)


def backtest_rows(demand: pl.DataFrame, observed: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """BACKTEST of rows of DEMAND: those whose window maximum was observed, beside it."""
    joined = demand.join(observed_maxima(observed, targets), on=["target", "slot"])
    return conform(joined, BACKTEST, "backtest").sort("origin", "target", "slot", "route")


def observed_maxima(observed: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """``target, slot, actual``: the window maximum from each observed slot on, where complete."""
    of_target = conform(observed, OBSERVED, "observed demand").join(
        conform(targets, TARGETS, "targets").select("target", "hold_slots"), on="target"
    )
    parts = [
        part.sort("slot").select("target", "slot", window_max(part.sort("slot")["demand"], hold).alias("actual"))
        for (_, hold), part in of_target.group_by("target", "hold_slots", maintain_order=True)
        if isinstance(hold, int)
    ]
    schema = {"target": pl.String, "slot": TS, "actual": pl.Float64}
    return pl.concat(parts).drop_nulls("actual") if parts else empty(schema)
