from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from outlook_scenes import MONDAY, chance, daily, fit, outlook, scene_of


def test_a_nightly_batch_is_nearly_certain():
    scene = scene_of({"w": daily(28, at=8, length=8)}, {"w": ["rest", "night"]})
    p = chance(outlook(scene, fit(scene), 96), "w", "night")
    assert p[9] > 0.95  # 02:15
    assert p[7] < 0.03  # 01:45
    assert p[18:].max() < 0.03


def test_a_pattern_seen_once_is_not_taken_for_a_schedule():
    scene = scene_of({"w": daily(28, at=8, length=8, only=lambda d: d == 20)}, {"w": ["rest", "night"]})
    assert chance(outlook(scene, fit(scene), 96), "w", "night").max() < 0.5


def test_weekly_is_told_from_daily():
    scene = scene_of({"w": daily(42, at=40, length=8, only=lambda d: d % 7 == 2)}, {"w": ["rest", "weekly"]})
    p = chance(outlook(scene, fit(scene), 7 * 96), "w", "weekly").reshape(7, 96)[:, 44]
    assert p[2] > 0.7
    assert p[[0, 1, 3, 4, 5, 6]].max() < 0.1


def test_a_job_every_six_hours_and_a_quarter_is_known_by_its_age():
    played = np.zeros(28 * 96, dtype=np.int64)
    played[3::25] = 1
    scene = scene_of({"w": played}, {"w": ["rest", "cron"]})
    p = chance(outlook(scene, fit(scene), 60), "w", "cron")
    due = (np.arange(60) + len(played) - 3) % 25 == 0
    assert p[due].min() > 0.8
    assert p[~due].max() < 0.1


def office(days: int, closed: tuple[int, ...] = (), length: int = 40) -> np.ndarray:
    return daily(days, at=32, length=length, only=lambda d: d % 7 < 5 and d not in closed)


def test_business_hours_rest_at_weekends_and_end_in_the_evening():
    scene = scene_of({"w": office(28)}, {"w": ["rest", "office"]})
    p = chance(outlook(scene, fit(scene), 7 * 96), "w", "office").reshape(7, 96)
    assert p[:5, 40].min() > 0.9
    assert p[5:].max() < 0.05
    assert p[:5, 73:].max() < 0.05  # from 18:15


def test_before_any_holiday_was_seen_one_is_more_like_a_day_off():
    holiday = (MONDAY + timedelta(days=29)).date()
    scene = scene_of({"w": office(28)}, {"w": ["rest", "office"]}, holidays=[holiday])
    p = chance(outlook(scene, fit(scene), 3 * 96), "w", "office").reshape(3, 96)[:, 50]
    assert p[1] < 0.5 < 0.9 < p[0]


@pytest.mark.parametrize(("keeps", "low", "high"), [(True, 0.0, 0.1), (False, 0.85, 1.0)])
def test_whether_holidays_are_kept_is_learned_from_the_persona(keeps: bool, low: float, high: float):
    seen, ahead = 8, 29
    holidays = [(MONDAY + timedelta(days=d)).date() for d in (seen, ahead)]
    closed = (seen,) if keeps else ()
    scene = scene_of(
        {f"w{i}": office(28, closed) for i in range(4)},
        {f"w{i}": ["rest", "office"] for i in range(4)},
        holidays=holidays,
    )
    p = chance(outlook(scene, fit(scene), 2 * 96), "w0", "office")[96 + 50]
    assert low <= p <= high


def test_local_time_is_kept_when_the_clocks_change():
    # Europe/Berlin goes from UTC+1 to UTC+2 on 29 March 2026: 09:00 local moves from slot 32 to slot 28
    start = datetime(2026, 2, 23, tzinfo=UTC)
    scene = scene_of({"w": daily(34, at=32, length=8)}, {"w": ["rest", "morning"]}, start=start, zone="Europe/Berlin")
    assert scene.until.date() == date(2026, 3, 29)
    p = chance(outlook(scene, fit(scene), 96), "w", "morning")
    assert p[29] > 0.9
    assert p[27] < 0.1
    assert p[37] < 0.2


def test_month_end_is_learned_by_the_persona_together():
    # from 1 December 2025 to 29 March 2026; month ends on a Wednesday and two Fridays, the next on a Tuesday
    start = datetime(2025, 12, 1, tzinfo=UTC)
    ends = {(date(*d) - start.date()).days for d in ((2025, 12, 31), (2026, 1, 30), (2026, 2, 27))}
    played = {f"w{i}": daily(119, at=80, length=12, only=lambda d: d in ends) for i in range(6)}
    scene = scene_of(played, {w: ["rest", "close"] for w in played}, start=start)
    p = chance(outlook(scene, fit(scene), 4 * 96), "w0", "close").reshape(4, 96)[:, 84]
    assert p[1] > 0.4  # 31 March; three month ends are few, and no Tuesday was among them
    assert p[[0, 2, 3]].max() < 0.02


def test_an_event_raises_what_it_used_to_raise():
    # starts at random hours: 4 of 5 campaign afternoons against one other afternoon in ten
    rng = np.random.default_rng(3)
    days, campaigns = 42, {3, 9, 15, 23, 30}
    events = [
        ("campaign", MONDAY + timedelta(days=d, hours=12), MONDAY + timedelta(days=d, hours=18))
        for d in [*campaigns, 43]
    ]
    played, personas = {}, {}
    for i in range(5):
        slots = np.zeros(days * 96, dtype=np.int64)
        for d in range(days):
            if rng.random() < (0.8 if d in campaigns else 0.1):
                at = d * 96 + 48 + int(rng.integers(0, 20))
                slots[at : at + 6] = 1
        played[f"w{i}"], personas[f"w{i}"] = slots, ["rest", "push"]
    scene = scene_of(played, personas, events=events)
    frames = outlook(scene, fit(scene), 3 * 96)
    peak = [chance(frames, w, "push").reshape(3, 96)[:, 48:72].sum(axis=1) for w in played]
    usual, campaign, after = np.mean(peak, axis=0)
    assert campaign > 3 * usual
    assert abs(after - usual) < 0.5 * usual + 0.1


def test_what_is_played_ends_at_its_usual_length():
    # eight slots from a random time of each day; at the origin it has been on for four
    rng = np.random.default_rng(0)
    played = np.zeros(40 * 96, dtype=np.int64)
    for d in range(39):
        at = d * 96 + int(rng.integers(0, 80))
        played[at : at + 8] = 1
    played[-4:] = 1
    scene = scene_of({"w": played}, {"w": ["rest", "job"]})
    frames = outlook(scene, fit(scene), 12)
    p = chance(frames, "w", "job")
    assert p[:4].min() > 0.9
    assert p[5:].max() < 0.2
    assert frames.activations.filter(persona_id="job").is_empty()
