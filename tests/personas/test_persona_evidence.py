"""What records say beyond their means: intervals, what events change, rhythm, what leads, what goes beside."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_needs import DAY, SLOT, START, calendar, job, needs, workloads
from scipy.stats import norm

from persona_platform.personas.learning import learn
from persona_platform.personas.portrait.amounts import NeedCounts, interval, mean, quantiles, survival
from persona_platform.personas.portrait.complements import complements
from persona_platform.personas.portrait.duration import band
from persona_platform.personas.portrait.duration import survival as lasting
from persona_platform.personas.portrait.histograms import STEP, amounts, bins, capped
from persona_platform.personas.portrait.motion import PLACES, shape
from persona_platform.personas.portrait.recurrence import intensity, intensity_interval
from persona_platform.personas.portrait.requirement import alike, shares_with_intervals
from persona_platform.personas.portrait.rhythm import MONTH, Begun, rhythm
from persona_platform.personas.portrait.uplift import Steadiness, Stretch, need_uplifts
from persona_platform.personas.record import REQUIREMENT_QUANTILES
from persona_platform.personas.share import Share

HOUR, WEEK = 3_600, 168 * 3_600
WITHIN = norm.ppf((np.arange(50) + 0.5) / 50)


def counted(members: list[list[float]], least: list[list[float]] | None = None) -> NeedCounts:
    """Counts of one need from each member's values, and from values that were bounds only."""
    least = least or [[] for _ in members]
    who = np.concatenate([np.full(len(a) + len(b), i) for i, (a, b) in enumerate(zip(members, least, strict=True))])
    with np.errstate(divide="ignore"):
        place = bins(np.log(np.concatenate([np.array([*a, *b], float) for a, b in zip(members, least, strict=True)])))
    bound = np.concatenate([[0] * len(a) + [1] * len(b) for a, b in zip(members, least, strict=True)])
    return NeedCounts.of(who, place, 1.0 - bound, bound.astype(float), len(members))


def bounds(counts: NeedCounts, pooled: float = 0.01, shared: float = 0.0):
    return interval(counts, pooled, shared, np.random.default_rng(0))


def test_a_need_that_was_only_bounded_counts_as_at_least_that():
    # By hand: of 4, one ends at 2 (3/4 left); at 4 one of the 2 still open ends (3/4 * 1/2); the last at 8.
    counts = counted([[2.0, 4.0, 8.0]], [[2.0]])
    curve = survival(counts.seen.sum(axis=0), counts.capped.sum(axis=0), np.float64(0))
    assert curve[bins(np.log([2.0, 4.0, 8.0])) - counts.first] == pytest.approx([0.75, 0.375, 0.0])
    assert quantiles(counts).tolist() == pytest.approx([2.0, 4.0, 8.0, 8.0, 8.0])
    assert mean(counts) == pytest.approx(0.25 * 2 + 0.375 * 4 + 0.375 * 8)


values = st.lists(st.one_of(st.just(0.0), st.floats(0.5, 64.0)), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.lists(values, min_size=1, max_size=5), st.data())
def test_saturation_never_lowers_a_need(members, data):
    bounded = [data.draw(st.lists(st.booleans(), min_size=len(m), max_size=len(m))) for m in members]
    plain = counted(members)
    split = counted(
        [[v for v, b in zip(m, flags, strict=True) if not b] for m, flags in zip(members, bounded, strict=True)],
        [[v for v, b in zip(m, flags, strict=True) if b] for m, flags in zip(members, bounded, strict=True)],
    )
    assert (quantiles(split) >= quantiles(plain) * (1 - 1e-9)).all()
    assert mean(split) >= mean(plain) * (1 - 1e-9)


@settings(max_examples=8, deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_an_interval_holds_its_quantile_rises_with_it_and_is_never_negative(members):
    counts = counted(members)
    low, high = bounds(counts)
    assert (low <= quantiles(counts)).all()
    assert (quantiles(counts) <= high).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert (low >= 0).all()


def test_few_members_give_a_wide_interval_and_many_a_narrow_one():
    widths = []
    for members in (1, 2, 5, 20, 100, 400):
        heights = 0.3 * norm.ppf((np.arange(members) + 0.5) / members)
        low, high = bounds(counted([np.exp(h + 0.1 * WITHIN).tolist() for h in heights]), pooled=0.3**2)
        widths.append(np.log(high / low)[1])
    assert (np.diff(widths) < 0).all()
    assert widths[0] > 4 * widths[-2]
    assert widths[-1] == pytest.approx(3.92 * 0.3 / np.sqrt(400), rel=0.5)


def test_members_that_all_stood_too_high_together_widen_the_interval():
    counts = counted([np.full(50, 4.0).tolist()] * 40)
    narrow, wide = (np.log(high / low)[1] for low, high in (bounds(counts), bounds(counts, shared=0.1)))
    assert wide > narrow + 0.2


def test_a_bin_is_one_and_a_half_per_cent_wide_and_keeps_powers_of_two():
    assert amounts(bins(np.log([1.0, 16.0, 2.0**40]))).tolist() == pytest.approx([1.0, 16.0, 2.0**40])
    assert pytest.approx(0.015, abs=2e-4) == STEP
    assert amounts(bins(np.array([-np.inf]))).tolist() == [0.0]


def test_memory_is_bounded_only_where_it_stands_at_its_highest():
    slots = pl.DataFrame({"cpu_cores": [8.0] * 4, "mem_bytes": [2.0, 4.0, 4.0, 4.0], "saturated": [True] * 3 + [False]})
    who = np.zeros(4, dtype=int)
    assert capped(slots, "cpu_cores", who).tolist() == [True, True, True, False]
    assert capped(slots, "mem_bytes", who).tolist() == [False, True, True, False]
    assert capped(slots.drop("cpu_cores"), "mem_bytes", who).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("own", "worth"),
    [
        ([[1, 0], [0, 1], [1, 0], [1, 0]], 4),  # each member has one size: four draws
        ([[0.75, 0.25]] * 4, 160),  # each activation draws its own
    ],
    ids=["the member's", "the activation's"],
)
def test_the_interval_of_a_share_knows_whose_the_size_is(own, worth):
    member = np.repeat(np.arange(4), 40)
    at = np.concatenate([np.repeat([0, 1], [round(40 * p), round(40 * q)]) for p, q in own])
    share, low, high = shares_with_intervals(at, member, np.ones(160), 2)[0]
    assert share == pytest.approx(0.75)
    spread = np.sqrt(0.75 * 0.25 / worth)
    assert 0.75 <= (high - low) / (3.92 * spread) <= 1.75
    assert alike(np.array(own, float), np.full(4, 40.0)) == pytest.approx(1.0 if worth == 4 else 0.0, abs=0.05)


def test_survival_lies_in_its_band_as_greenwood_has_it():
    lengths, censored = np.array([2, 4, 4, 6]), np.array([False, False, True, False])
    low, high = band(lengths, censored)
    # By hand at 4: S = 1/2, the sum of d / (n (n - d)) is 1/12 + 1/6, so theta = 1.96 * 0.5 / ln 2.
    theta = 1.959964 * np.sqrt(1 / 12 + 1 / 6) / np.log(2.0)
    assert (low[4], high[4]) == pytest.approx((0.5 ** np.exp(theta), 0.5 ** np.exp(-theta)))
    assert (low[0], high[0]) == (1.0, 1.0)
    assert high[6] > 0.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=40))
def test_the_band_holds_survival_and_never_rises(rows):
    lengths, censored = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    curve = lasting(lengths, censored)
    low, high = band(lengths, censored)
    assert (low <= curve + 1e-12).all()
    assert (curve <= high + 1e-12).all()
    assert (np.diff(low) <= 1e-12).all()
    assert (np.diff(high) <= 1e-12).all()


def test_intensity_covers_the_rates_that_starts_were_drawn_from():
    rng = np.random.default_rng(3)
    truth = np.where(np.arange(168) % 24 < 8, 0.3, 0.05)
    exposure = np.full(168, 80.0)
    inside = []
    for _ in range(20):
        starts = rng.poisson(truth * exposure).astype(float)
        low, high = intensity_interval(starts, exposure)
        assert (low <= intensity(starts, exposure)).all()
        inside.append(((low <= truth) & (truth <= high)).mean())
    assert 0.88 <= np.mean(inside) <= 1.0
    assert intensity_interval(np.zeros(168), exposure)[1].max() > 0.0


def steady(deviation: float, days: int = 40) -> Steadiness:
    return Steadiness(deviation**2 / np.arange(1, 11), days, 100.0)


def campaign(ratio: float, times: int = 4) -> list[Stretch]:
    return [Stretch(("campaign",), float(np.log(ratio)), 3, 100.0)] * times


def test_an_event_that_nobody_saw_changes_nothing():
    found = need_uplifts(["campaign"], [([], steady(0.05))] * 3)
    for (uplift,) in found:
        assert uplift.ratio == pytest.approx(1.0, abs=0.01)
        assert uplift.low < 0.95
        assert uplift.high > 1.05


def test_what_one_persona_saw_is_borrowed_by_the_others_with_doubt():
    saw, never = need_uplifts(["campaign"], [(campaign(1.5), steady(0.05)), ([], steady(0.05))])
    assert saw[0].low < 1.5 < saw[0].high
    assert saw[0].high / saw[0].low < 1.25
    assert 1.05 < never[0].ratio < 1.5
    assert never[0].low < 1.02
    assert never[0].high / never[0].low > 1.3
    lone = need_uplifts(["campaign"], [(campaign(1.5), steady(0.05)), *[(campaign(1.0), steady(0.05))] * 8])
    assert lone[0][0].ratio == pytest.approx(1.5, rel=0.05)
    assert all(0.95 < u.low <= u.ratio <= u.high < 1.05 for (u,) in lone[1:])


def test_days_that_move_by_themselves_make_an_uplift_doubtful():
    calm, wild = need_uplifts(["campaign"], [(campaign(1.3), steady(0.02)), (campaign(1.3), steady(0.4))])
    assert calm[0].low > 1.15
    assert wild[0].low < 1.1
    assert wild[0].high / wild[0].low > calm[0].high / calm[0].low


def test_an_event_over_another_is_told_after_the_others_effect():
    both = [Stretch(("campaign", "payday"), float(np.log(1.5 * 1.2)), 1, 100.0)] * 4
    ((first, second),) = need_uplifts(["campaign", "payday"], [(campaign(1.5) + both, steady(0.03))])
    assert first.ratio == pytest.approx(1.5, rel=0.08)
    assert second.low < 1.2 < second.high


def begun(seconds, members: int = 3) -> Begun:
    """The same starts of some members, seconds after a Monday 00:00 UTC."""
    monday = int(START.timestamp())
    second = np.array([monday + s for s in seconds], dtype=np.int64)
    hour = (second - monday) % WEEK // HOUR
    edge = np.zeros(len(second), dtype=bool)
    return Begun(np.repeat(np.arange(members), len(second)), *(np.tile(part, members) for part in (second, hour, edge)))


WEEKS = [w * WEEK for w in range(8)]
DAYS = [d * 24 * HOUR for d in range(56)]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("starts", "period"),
    [
        ([h * HOUR for h in range(0, 24 * 14, 4)], 4 * HOUR),
        ([h * HOUR for h in range(0, 24 * 14, 7)], 7 * HOUR),
        ([d + 2 * HOUR for d in DAYS], 24 * HOUR),
        ([d + 2 * HOUR for d in DAYS if d // (24 * HOUR) % 7 < 5], 24 * HOUR),
        ([w + 6 * HOUR for w in WEEKS], WEEK),
        ([w + 6 * HOUR for w in WEEKS[::2]], 2 * WEEK),
        (np.sort(RNG.uniform(0, 56 * 24 * HOUR, 60)), 0),
        ([5 * HOUR], 0),
    ],
    ids=["4 h", "7 h", "daily", "working days", "weekly", "fortnightly", "none", "once"],
)
def test_a_rhythm_is_found_and_not_assumed(starts, period):
    found, regularity = rhythm(begun(starts), 900)
    assert found == period
    assert regularity == (pytest.approx(1.0) if period else 0.0)


def test_the_edges_of_months_are_a_rhythm():
    plain = begun([0, 30 * 24 * HOUR, 31 * 24 * HOUR])
    edges = Begun(plain.member, plain.second, plain.hour_of_week, np.ones(len(plain.second), dtype=bool))
    assert rhythm(edges, 900) == (MONTH, 1.0)


@pytest.mark.parametrize(
    ("heights", "word"),
    [
        ([0.0, 0.02, 0.0, -0.01, 0.0, 0.01, 0.0, -0.3], "flat"),  # the last slot of a job is partly used
        (np.linspace(-0.5, 0.5, PLACES), "ramp"),
        ([-0.4, 0.1, 0.4, 0.1, -0.1, 0.2, 0.3, -0.4], "wave"),
        ([-0.1, -0.1, -0.1, 1.0, -0.1, -0.1, -0.1, -0.1], "spike"),
    ],
)
def test_the_shape_of_an_activation(heights, word):
    assert shape(np.stack([10 * np.array(heights), np.full(PLACES, 10.0)], axis=1)) == word


def test_personas_whose_peaks_do_not_meet_complement_each_other():
    hour = np.arange(168) % 24
    night, day, same = (hour < 12) * 4.0, (hour >= 12) * 1.0, (hour < 12) * 2.0
    found = complements(np.array([night, day, same, night]), ["cpu_cores"] * 3 + ["gpus"], ["a", "b", "c", "d"])
    assert [(c.persona_id, c.saving) for c in found[0]] == [("b", pytest.approx(0.5))]
    assert {c.persona_id for c in found[1]} == {"a", "c"}
    assert found[3] == []  # gpus are not shared with cores


@pytest.fixture(scope="module")
def web():
    """Six sites whose requests come one slot ahead of the cores, their memory beside, and a campaign."""
    rng = np.random.default_rng(0)
    spans = [(START + timedelta(days=d, hours=8), START + timedelta(days=d + 1, hours=20)) for d in (8, 22, 36)]
    busy = np.zeros(42 * DAY, dtype=bool)
    for a, b in spans:
        busy[int((a - START) / SLOT) : int((b - START) / SLOT)] = True
    series, requests, memory = {}, {}, {}
    for i in range(6):
        site = job(42, 8, 11, 6 * rng.uniform(0.8, 1.3), noise=0.06, seed=i)
        moved = np.repeat(np.exp(rng.normal(0, 0.04, 42)), DAY)
        series[f"w{i}"] = site * np.where(busy & (site > 2), 1.6, 1.0) * moved
        requests[f"w{i}"] = 40 * np.append(series[f"w{i}"][1:], 0.2)
        memory[f"w{i}"] = 2.0**30 * (4 + 2 * series[f"w{i}"])
    frame = needs(series, mem_bytes=memory)
    at = needs(series, requests=requests).select("workload_id", "slot", "requests")
    return frame, workloads(series), calendar(42, events={"campaign": spans}), at


def test_a_record_knows_what_leads_what_goes_along_and_what_an_event_changes(web):
    frame, people, days, activity = web
    found = learn([Share(frame, activity)], people, days, slot=SLOT, previous=None, seed=0).catalog
    active = next(p for p in found.personas if p.kind == "active" and len(p.members) == 6)
    assert [(lead.activity, lead.slots) for lead in active.leads] == [("requests", 1)]
    assert active.leads[0].correlation > 0.9
    memory = next(r for r in active.relations if r.need == "mem_bytes")
    assert memory.correlation > 0.9
    assert memory.per_main == pytest.approx(2.0**30 * (2 + 4 / 6.6), rel=0.1)
    (uplift,) = active.recurrence.uplifts
    assert (uplift.kind, uplift.events) == ("campaign", 3)
    assert uplift.need_low < 1.6 < uplift.need_high
    assert uplift.need_low > 1.3
    assert active.recurrence.period_s == 24 * HOUR
    assert "daily" in active.description
    assert "1.6 times as much during campaign" in active.description
    at = REQUIREMENT_QUANTILES.index(0.5)
    assert active.requirement.low["cpu_cores"][at] < active.requirement.high["cpu_cores"][at]


def test_a_job_of_one_slot_is_led_and_not_opposed():
    cron = np.full(14 * DAY, 0.2)
    cron[::16] = 12.0
    frame = needs({"a": cron}, jobs={"a": np.append(cron[1:], 0.2)})
    share = Share(frame.drop("jobs"), frame.select("workload_id", "slot", "jobs"))
    found = learn([share], workloads(["a"]), calendar(14), slot=SLOT, previous=None, seed=0).catalog
    active = next(p for p in found.personas if p.kind == "active")
    assert [(lead.activity, lead.slots) for lead in active.leads] == [("jobs", 1)]
    assert active.leads[0].correlation > 0.9
    assert active.recurrence.period_s == 4 * HOUR
    assert active.variability == 0.0  # one slot tells nothing of what moves within


def test_learning_in_parts_is_learning_at_once(web):
    frame, people, days, activity = web
    parts = frame.partition_by("workload_id", maintain_order=True)
    shares = (Share(pl.concat(p), activity) for p in (parts[:2], parts[2:5], parts[5:]))
    whole, pieces = (
        learn(n, people, days, slot=SLOT, previous=None, seed=0) for n in ([Share(frame, activity)], shares)
    )
    assert pieces.activations.equals(whole.activations)
    assert pieces.catalog.patterns.drop("features").equals(whole.catalog.patterns.drop("features"))
    for one, other in zip(pieces.catalog.personas, whole.catalog.personas, strict=True):
        assert one.description == other.description
        assert one.requirement.quantiles == other.requirement.quantiles
        assert one.recurrence.intensity == pytest.approx(other.recurrence.intensity)
        assert one.leads[0].correlation == pytest.approx(other.leads[0].correlation) if other.leads else not one.leads
    assert len(pieces.catalog.members) == len(whole.catalog.members)
    for mine, theirs in zip(pieces.catalog.members, whole.catalog.members, strict=True):
        assert (mine.workload_id, mine.patterns, mine.occupancy) == (
            theirs.workload_id,
            theirs.patterns,
            theirs.occupancy,
        )
        assert np.frombuffer(mine.quantiles, "<f4") == pytest.approx(np.frombuffer(theirs.quantiles, "<f4"))
