"""The weather where workloads live: temperature with its seasons and days, rain in spells."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.fleet.draws import Draws, Floats, Ints
from persona_platform.fleet.spec import FleetSpec
from persona_platform.frames import SAMPLES, TS

HOURLY: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Site:
    """A climate: mean temperature, how far the year and the day move it, and how often it is wet."""

    name: str
    mean_c: float
    year_c: float
    day_c: float
    hours_east: float
    wet: float  # threshold of the smooth number above which it rains; lower is wetter


SITES: Final = {
    "America/New_York": Site("new_york", 12.5, 12.0, 4.0, -5, 0.8),
    "Europe/Berlin": Site("berlin", 10.0, 9.5, 4.0, 1, 0.6),
    "Asia/Kolkata": Site("kolkata", 26.5, 5.0, 4.5, 5.5, 1.3),
}
"""By zone. UTC is nowhere and has no weather."""


def weather(seed: int, site: Site, minutes: Ints) -> tuple[Floats, Floats]:
    """Temperature in degrees Celsius and rain in mm per hour at minutes since 1970 UTC."""
    draws = Draws(seed, f"weather/{site.name}")
    day = minutes / 1440.0
    year = -np.cos(2 * np.pi * (day - 20.0) / 365.25)  # coldest on about 20 January
    hour = ((day % 1.0) * 24 + site.hours_east) % 24
    spells = draws.smooth("spells", minutes, 2160)
    temperature = (
        site.mean_c
        + site.year_c * year
        - site.day_c * np.cos(2 * np.pi * (hour - 3.0) / 24)
        + 3.0 * draws.smooth("front", minutes, 4320)
        + 0.8 * draws.smooth("hours", minutes, 180)
    )
    rain = np.maximum(0.0, spells + 0.5 * draws.smooth("showers", minutes, 120) - site.wet) * 2.5
    return temperature, rain


def pull(temperature: Floats, rain: Floats) -> Floats:
    """By what factor weather moves the demand of shops: warmth draws people out, rain drives them in."""
    return np.clip(1.0 + 0.022 * (temperature - 10.0) + 0.07 * np.minimum(rain, 5.0), 0.6, 1.9)


def weather_samples(spec: FleetSpec) -> pl.DataFrame:
    """Hourly readings of every site, as SAMPLES with the ids ``weather:<name>``."""
    step = max(spec.step, HOURLY)
    every = step // timedelta(minutes=1)
    first, end = (int(moment.timestamp()) // 60 for moment in (spec.start, spec.end))
    minutes = np.arange(-(-first // every) * every, end, every, dtype=np.int64)
    parts = [pl.DataFrame(schema=SAMPLES)]
    for site in SITES.values() if len(minutes) else ():
        temperature, rain = weather(spec.seed, site, minutes)
        for metric, values in (("temp_c", temperature), ("rain_mm", rain * (every / 60))):
            parts.append(
                pl.DataFrame(
                    {
                        "workload_id": f"weather:{site.name}",
                        "ts": pl.Series(minutes * 60_000_000).cast(TS),
                        "metric": metric,
                        "value": np.round(values, 1) + 0.0,  # no minus zero
                        "dataset": "fleet",
                    },
                    schema=SAMPLES,
                )
            )
    return pl.concat(parts)
