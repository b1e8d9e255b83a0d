from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, NO_CALENDAR, observed, slots, targets, workloads

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.forecasting.demand import direct_demand, fit_demand
from persona_platform.forecasting.features import Past, Rows, feature_matrix, feature_names
from persona_platform.forecasting.panel import make_panel
from persona_platform.forecasting.phases import (
    day_facts,
    event_kinds,
    latest_known,
    natural_periods,
    periods_ago,
)
from persona_platform.frames import EVENTS

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("day", [datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 10, 28, tzinfo=UTC)])
def test_the_same_slot_of_the_day_before_keeps_its_wall_clock_across_daylight_saving(day):
    # The clocks change in the night before `day`'s eve: 31 March and 27 October 2024.
    last = day - timedelta(hours=20)
    panel = make_panel(["a"], [np.zeros(400)], [round(last.timestamp() * 1e6)], 3_600_000_000, zones=["Europe/Berlin"])
    position = np.arange(400, 424)
    series, ones = np.zeros_like(position), np.ones_like(position)
    before = periods_ago(panel, series, position, 24, ones)
    for now, then in zip(panel.times(series, position), panel.times(series, before), strict=True):
        a = datetime.fromtimestamp(now / 1e6, BERLIN)
        b = datetime.fromtimestamp(then / 1e6, BERLIN)
        if 2 not in {a.hour, b.hour}:  # the hour that is skipped or comes twice
            assert (a.hour, a.date() - timedelta(days=1)) == (b.hour, b.date())


@pytest.mark.parametrize("hold", [1, 3])
def test_a_cycle_counts_only_when_its_whole_window_was_read(hold):
    panel = make_panel(["a"], [np.zeros(100)], [0], 1, hold=hold)
    ahead = np.arange(1, 60)
    rows = Rows(np.zeros_like(ahead), np.full_like(ahead, 99), ahead)
    count = latest_known(panel, rows.series, rows.origin, rows.target, 24)
    back = rows.target - 24 * count
    assert np.all(back + hold - 1 <= 99)
    assert np.all(back + 24 + hold - 1 > 99)


def test_clock_and_calendar_features_are_those_of_the_target_slot_in_local_time():
    start, end = datetime(2024, 3, 28, tzinfo=UTC), datetime(2024, 4, 3, tzinfo=UTC)
    begins = datetime(2024, 4, 2, 8, tzinfo=UTC)
    row = ("sale", "spring", begins, begins + 2 * HOUR, "Europe/Berlin")
    sale = pl.DataFrame([row], schema=EVENTS, orient="row")
    days = calendar_days(["Europe/Berlin"], start.date(), end.date(), ["DE"])
    calendar = calendar_slots(days, sale, ["Europe/Berlin"], start, end, HOUR)
    last = datetime(2024, 3, 31, 12, tzinfo=UTC)
    panel = make_panel(["a"], [np.ones(60)], [round(last.timestamp() * 1e6)], 3_600_000_000, zones=["Europe/Berlin"])
    past = Past(panel, (24,), day_facts(calendar, ["Europe/Berlin"], event_kinds(calendar)))
    ahead = np.arange(1, 60)
    features = feature_matrix(past, Rows(np.zeros_like(ahead), np.full_like(ahead, 59), ahead))
    column = {name: features[:, i] for i, name in enumerate(feature_names(past))}
    local = [(last + int(h) * HOUR).astimezone(BERLIN) for h in ahead]
    assert column["hour of day"].tolist() == [t.hour for t in local]
    assert column["day of week"].tolist() == [t.weekday() for t in local]
    known = np.array([last + int(h) * HOUR < end for h in ahead])
    easter_monday = np.array([(t.month, t.day) == (4, 1) for t in local])
    sale_hours = np.array([(t.day, t.hour) in {(2, 10), (2, 11)} for t in local])
    np.testing.assert_array_equal((column["day_type"] == 2)[known], easter_monday[known])
    np.testing.assert_array_equal((column["event sale"] == 1)[known], sale_hours[known])
    assert np.isnan(column["event sale"][~known]).all()


def test_on_the_monday_after_the_change_the_direct_route_rises_with_the_local_morning():
    start = datetime(2024, 2, 12, tzinfo=UTC)
    ts = slots(24 * 51, start=start)
    local = ts.dt.convert_time_zone("Europe/Berlin").dt.hour().to_numpy()
    demand = np.where((local >= 8) & (local < 18), 40.0, 5.0) + np.random.default_rng(0).normal(0, 0.3, local.size)
    seen = observed(start=start, web=demand)
    fleet = workloads(zone="Europe/Berlin", web=["a"])
    origin = datetime(2024, 3, 31, 12, tzinfo=UTC)
    model = fit_demand(seen, NO_CALENDAR, targets("web"), fleet, slot=HOUR, until=origin, seed=0)
    found = direct_demand(model, seen, NO_CALENDAR, origin, 24, targets("web"))
    truth = seen.filter((pl.col("slot") >= origin) & (pl.col("slot") < origin + 24 * HOUR))["demand"].to_numpy()
    for route in ("direct", "seasonal_naive"):
        median = found.filter(pl.col("route") == route).sort("slot")["q50"].to_numpy()
        assert np.abs(median - truth).max() < 8, route


def test_periods_follow_the_step():
    assert natural_periods(timedelta(minutes=15)) == (96, 672)
    assert natural_periods(timedelta(days=1)) == (7,)
    assert natural_periods(timedelta(days=30.4)) == (12,)
    assert natural_periods(timedelta(days=366)) == ()
