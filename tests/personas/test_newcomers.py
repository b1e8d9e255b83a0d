"""Young workloads play, and are sized by, the personas that their labels and first hours make likely."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from planted_needs import DAY, SLOT, START, calendar, job, needs, workloads

from persona_platform.frames import ACTIVATION_KEYS, MEMBERSHIP, OTHER
from persona_platform.outlook.model import fit_outlook
from persona_platform.outlook.predict import predict_outlook
from persona_platform.outlook.simulate import simulate
from persona_platform.outlook.state import current_state
from persona_platform.personas.assignment import play
from persona_platform.personas.catalog import catalog_frames, catalog_from_frames
from persona_platform.personas.learning import learn
from persona_platform.personas.newcomers.label_prior import label_prior
from persona_platform.personas.newcomers.labels import LABELS, with_prefix
from persona_platform.personas.newcomers.meeting import newcomer_quantiles
from persona_platform.personas.newcomers.peer_sums import gather_sums
from persona_platform.personas.newcomers.peers import PEERS, choose_peers, gather_peers, no_peers
from persona_platform.personas.share import Share
from persona_platform.personas.timeline import timeline

DAYS = 28
MEET = DAYS * DAY  # the first slot after the known part: midnight, on a Monday


def labelled(names):
    """Workloads of two teams; the timezone, tier and storage class say nothing."""
    return workloads(names).with_columns(
        team=pl.when(pl.col("workload_id").str.starts_with("night")).then(pl.lit("batch")).otherwise(pl.lit("people")),
        pool=pl.lit("main"),
    )


def series_of(kind, seed, days=DAYS + 9, size=1.0):
    if kind == "night":
        return size * job(days, 2, 3, 16, seed=seed)
    if kind == "office":
        return size * job(days, 9, 9, 4, on=range(5), seed=seed)
    return size * 3.0 * np.exp(np.random.default_rng(seed).normal(0, 0.04, days * DAY))


KNOWN = {
    f"{kind}-{i}": series_of(kind, 10 * n + i) for n, kind in enumerate(("night", "office", "even")) for i in range(5)
}


@pytest.fixture(scope="module")
def learned():
    known = {name: series[:MEET] for name, series in KNOWN.items()}
    return learn(needs(known), labelled(known), calendar(DAYS + 10), slot=SLOT, previous=None, seed=0)


@pytest.fixture(scope="module")
def tables(learned):
    return learned.catalog.peer_tables


def persona(learned, kind):
    rows = learned.catalog.patterns.filter(pl.col("workload_id").str.starts_with(kind))
    busiest = rows.filter(pl.col("kind") != "resting")
    assert busiest["persona_id"].n_unique() == 1
    return busiest["persona_id"][0]


def young(kind, age, *, name=None, size=1.0):
    """What is read of a newcomer that begins at MEET, after ``age`` slots."""
    series = series_of(kind, 77, size=size)
    return needs({name or f"{kind}-new": series[MEET : MEET + age]}, START + MEET * SLOT), series


def with_timeline(frame):
    return timeline(frame, workloads(frame["workload_id"].unique().to_list()), calendar(8), SLOT)


def asked(tables, name, seen, age, quantiles=(0.5, 0.95), slots=DAY):
    said = newcomer_quantiles(
        tables, labelled([name]), seen, calendar(DAYS + 10),
        slot=SLOT, origin=START + (MEET + age) * SLOT, slots=slots, quantiles=quantiles,
    )  # fmt: skip
    return said.filter(pl.col("need") == "cpu_cores")["value"].to_numpy().reshape(slots, len(quantiles))


def nothing():
    return needs({"nobody": np.array([1.0])}).clear()


@pytest.mark.parametrize(
    ("name", "first"),
    [("night-new", "night"), ("night", "night"), ("office-9f3c", "office"), ("even", "even")],
)
def test_labels_alone_point_to_peers_that_bear_them(tables, learned, name, first):
    labels = with_prefix(labelled([name])).select(LABELS).to_numpy().astype(str)
    prior = label_prior(tables, labels)[0]
    assert prior.sum() == pytest.approx(1.0)
    likeliest = tables.personas[tables.part[prior.argmax(), 0]].persona_id
    of_kind = {
        p.persona_id for p in learned.catalog.personas if any(m.workload_id.startswith(first) for m in p.members)
    }
    assert likeliest in of_kind
    assert 0.0 < prior[tables.nobody] < 0.05  # some mass stays with nobody


def test_a_label_that_few_bear_weighs_little(tables):
    ordinary = with_prefix(labelled(["night-new"])).select(LABELS).to_numpy().astype(str)
    odd = ordinary.copy()
    odd[0, LABELS.index("storage_class")] = "tape"  # nobody has it
    same, changed = label_prior(tables, ordinary)[0], label_prior(tables, odd)[0]
    assert same.argmax() == changed.argmax()


def test_before_it_was_read_a_workload_is_what_its_peers_are(tables):
    median, high = asked(tables, "night-new", nothing(), 0).T
    assert median[3 * 4 : 4 * 4] == pytest.approx(16.0, rel=0.15)
    assert (median[12 * 4 :] < 0.5).all()
    assert (high >= median).all()


@pytest.mark.parametrize("kind", ["night", "office", "even"])
@pytest.mark.parametrize("hours", [6, 24, 48])
def test_hours_of_history_speak_against_a_label_that_says_nothing(tables, kind, hours):
    """The id and the team are unknown to the fleet: only what was read can tell."""
    seen, series = young(kind, 4 * hours, name="x")
    high = asked(tables, "x", seen, 4 * hours, quantiles=(0.95,))[:, 0]
    coming = series[MEET + 4 * hours : MEET + 4 * hours + DAY]
    if kind != "office" or hours > 6:  # in its first six hours, at night, an office rests like all that rest
        assert np.mean(coming <= high * 1.1) > 0.9
    if hours >= 24:
        assert high.mean() < 3.0 * coming.mean() + 1.0


def test_a_larger_one_is_sized_by_its_own_history(tables):
    """Before it was read at work, its rest tells of its size; then its work does."""
    for age, tolerance in ((0, None), (8, 0.25), (6 * 4, 0.15), (2 * DAY, 0.1)):
        seen, _ = young("night", age, size=1.4)
        at = (2 * DAY - age) % DAY + 3 * 4  # three in the morning, of the next night
        median = asked(tables, "night-new", seen if age else nothing(), age, quantiles=(0.5,), slots=2 * DAY)[at, 0]
        assert median == pytest.approx(22.4 if tolerance else 16.0, rel=tolerance or 0.2)


def test_one_like_nobody_is_soon_taken_as_it_is(tables):
    """A level that no peer has, at all hours: the mass left for nobody holds it."""
    series = 40.0 * np.exp(np.random.default_rng(3).normal(0, 0.03, DAY))
    seen = needs({"y": series}, START + MEET * SLOT)
    low, high = asked(tables, "y", seen, DAY, quantiles=(0.1, 0.9)).T
    assert (low > 20.0).all()
    assert (high < 80.0).all()


@pytest.mark.parametrize("need", ["cpu_cores", "mem_bytes"])
def test_quantiles_rise_and_cover_every_need(need):
    names = [f"night-{i}" for i in range(4)]
    series = {name: series_of("night", i)[:MEET] for i, name in enumerate(names)}
    memory = {name: np.where(s > 1.0, 64e9, 4e9) for name, s in series.items()}
    catalog = learn(
        needs(series, mem_bytes=memory), labelled(names), calendar(DAYS + 10), slot=SLOT, previous=None, seed=0
    ).catalog
    assert catalog.peer_tables is not None
    said = newcomer_quantiles(
        catalog.peer_tables, labelled(["night-new"]), nothing(), calendar(DAYS + 10),
        slot=SLOT, origin=START + MEET * SLOT, slots=DAY, quantiles=(0.1, 0.5, 0.9),
    ).filter(pl.col("need") == need)  # fmt: skip
    values = said["value"].to_numpy().reshape(DAY, 3)
    assert said.height == 3 * DAY
    assert (np.diff(values, axis=1) >= 0).all()
    assert values[3 * 4, 1] == pytest.approx({"cpu_cores": 16.0, "mem_bytes": 64e9}[need], rel=0.2)


def test_play_gives_newcomers_the_personas_of_their_peers(learned):
    seen, _ = young("night", 30 * 4)
    known = needs({"night-0": KNOWN["night-0"][MEET : MEET + 30 * 4]}, START + MEET * SLOT)
    played = play(pl.concat([known, seen]), labelled(["night-0", "night-new"]), calendar(DAYS + 10), learned.catalog)
    assert {c: played.membership.schema[c] for c in MEMBERSHIP} == MEMBERSHIP
    assert list(played.activations.columns[: len(ACTIVATION_KEYS)]) == list(ACTIVATION_KEYS)
    new = played.membership.filter(pl.col("workload_id") == "night-new")
    assert new.height == 30 * 4
    at_three = new.filter(pl.col("slot").dt.hour().is_between(3, 3))
    assert at_three["persona_id"].unique().to_list() == [persona(learned, "night")]
    noon = new.filter(pl.col("slot").dt.hour() == 12)
    resting = learned.catalog.patterns.filter(pl.col("kind") == "resting")["persona_id"].unique().to_list()
    assert set(noon["persona_id"]) <= set(resting)
    assert new["probability"].is_between(0.5, 1.0).all()
    work = played.activations.filter((pl.col("workload_id") == "night-new") & (pl.col("kind") == "active"))
    assert work.height == 2
    roles = played.newcomers.roles
    assert roles["workload_id"].unique().to_list() == ["night-new"]
    assert roles.unique(["workload_id", "role"])["weight"].sum() == pytest.approx(1.0)
    assert roles.filter((pl.col("role") == 0) & (pl.col("kind") == "active"))["persona_id"].to_list() == [
        persona(learned, "night")
    ]


def test_without_peers_a_stranger_plays_other(learned):
    from dataclasses import replace

    seen, _ = young("night", DAY)
    played = play(seen, labelled(["night-new"]), calendar(DAYS + 10), replace(learned.catalog, peers=no_peers()))
    assert played.membership["persona_id"].unique().to_list() == [OTHER]
    assert played.newcomers.roles.is_empty()


def test_the_young_stay_out_of_the_catalog_but_not_out_of_the_activations():
    series = {f"night-{i}": series_of("night", i)[:MEET] for i in range(4)}
    late = needs({"night-new": series_of("night", 9)[MEET - DAY : MEET]}, START + (MEET - DAY) * SLOT)
    frame = pl.concat([needs(series), late])
    people, days = labelled([*series, "night-new"]), calendar(DAYS + 1)
    result = learn(frame, people, days, slot=SLOT, previous=None, seed=0)
    assert "night-new" not in result.catalog.patterns["workload_id"].to_list()
    assert "night-new" in result.activations["workload_id"].to_list()
    assert play(frame, people, days, result.catalog).activations.equals(result.activations)


def frames_by(names, *groups):
    """The same needs parted by workloads; each group is the beginnings of some names."""
    return [names.filter(pl.any_horizontal(pl.col("workload_id").str.starts_with(g) for g in of)) for of in groups]


@pytest.mark.parametrize(
    "groups",
    [
        [("night-0", "night-1", "office-0", "office-1", "night-new"), ("night-2", "office-2", "even")],
        [("night-new", "even-new"), ("night-0", "night-1", "night-2"), ("office", "even-0")],  # young ones alone
    ],
)
def test_learned_in_parts_the_peers_are_the_same(groups):
    series = {f"{kind}-{i}": KNOWN[f"{kind}-{i}"][:MEET] for kind in ("night", "office") for i in range(3)}
    series["even-0"] = KNOWN["even-0"][:MEET]
    late = needs(
        {"night-new": series_of("night", 9)[MEET - DAY : MEET], "even-new": series_of("even", 9)[MEET - DAY : MEET]},
        START + (MEET - DAY) * SLOT,
    )
    frame = pl.concat([needs(series), late])
    parts = frames_by(frame, *groups)
    assert sum(part.height for part in parts) == frame.height
    people, days = labelled(frame["workload_id"].unique().to_list()), calendar(DAYS + 1)
    shares = [Share(part) for part in parts]
    whole, parted = (learn(n, people, days, slot=SLOT, previous=None, seed=0) for n in (frame, shares))
    assert whole.catalog.peers.equals(parted.catalog.peers)
    assert whole.catalog.patterns.equals(parted.catalog.patterns)
    assert whole.activations.equals(parted.activations)


def test_patterns_of_one_persona_are_one_row_of_a_peer():
    """Two jobs of one workload that are alike: played when either is, as large as both."""
    line = needs({"w": np.concatenate([np.ones(DAY), np.full(DAY, 8.0), np.full(2 * DAY, 32.0)])})
    slots = with_timeline(line).with_columns(pattern=pl.col("cpu_cores").replace_strict({1.0: 0, 8.0: 1, 32.0: 2}))
    sums = gather_sums(slots, slots.select("workload_id", "slot", kind=pl.lit("sale")).head(0), SLOT)
    patterns = pl.DataFrame(
        {
            "workload_id": ["w"] * 3, "pattern": [0, 1, 2], "kind": ["resting", "active", "active"],
            "persona_id": ["p001", "p002", "p002"], "slots": [DAY, DAY, 2 * DAY],
        }
    )  # fmt: skip
    peers = gather_peers(sums, patterns, workloads(["w"]), SLOT)
    assert peers.select("persona_id", "kind", "share").rows() == [("p001", "resting", 0.25), ("p002", "active", 0.75)]
    work = peers.row(1, named=True)
    assert np.sum(work["played"]) == 3 * DAY
    assert np.sum(work["spread"]) == 3 * DAY
    assert sum(work["height_sum"]) / sum(work["height_count"]) == pytest.approx((np.log(8.0) + 2 * np.log(32.0)) / 3)
    assert (work["sizes"].count(8.0), work["sizes"].count(32.0)) == (5, 11)  # of the main need, and no others


def test_where_all_are_young_everyone_is_learned():
    series = {f"night-{i}": series_of("night", i)[:DAY] for i in range(3)}
    result = learn(needs(series), labelled(series), calendar(2), slot=SLOT, previous=None, seed=0)
    assert set(result.catalog.patterns["workload_id"]) == set(series)
    assert result.catalog.peer_tables is None


def test_peers_are_few_and_stand_for_all():
    patterns = pl.DataFrame(
        {
            "workload_id": [f"w{i:04d}" for i in range(1000)],
            "persona_id": ["p001" if i % 10 else "p002" for i in range(1000)],
            "slots": [4000] * 999 + [10],  # the last was hardly read
        }
    )
    chosen = choose_peers(patterns, workloads(patterns["workload_id"].to_list()), SLOT, most=40)
    assert chosen.height == 40
    assert "w0999" not in chosen["workload_id"].to_list()
    assert chosen["stands_for"].sum() == pytest.approx(999)
    rare = chosen.join(patterns, on="workload_id").filter(pl.col("persona_id") == "p002")
    assert rare["stands_for"].sum() == pytest.approx(100)


def test_peers_are_kept_with_the_catalog(learned):
    frames = catalog_frames(learned.catalog)
    assert dict(frames["peers"].schema) == PEERS
    assert catalog_from_frames(frames).peers.equals(learned.catalog.peers)
    without = {name: frame for name, frame in frames.items() if name != "peers"}  # a catalog of before
    assert catalog_from_frames(without).peer_tables is None


@pytest.fixture(scope="module")
def outlook(learned):
    people = labelled(KNOWN)
    return fit_outlook(
        learned.activations, learned.catalog.patterns, people, calendar(DAYS + 10),
        slot=SLOT, until=START + MEET * SLOT, seed=0,
    )  # fmt: skip


def test_the_outlook_of_a_newcomer_is_that_of_its_roles(learned, outlook):
    seen, _ = young("night", 30 * 4)  # until six in the morning
    people, days = labelled(["night-new"]), calendar(DAYS + 10)
    played = play(seen, people, days, learned.catalog)
    origin = START + (MEET + 30 * 4) * SLOT
    state = current_state(played.activations, played.newcomers.known_as(learned.catalog.patterns), origin, SLOT)
    roles = played.newcomers.roles
    said = predict_outlook(outlook, state, people, days, origin, DAY, roles=roles)
    sums = said.slots.group_by("slot").agg(pl.col("probability").sum())
    assert sums["probability"].to_numpy() == pytest.approx(1.0)
    night = said.slots.filter(pl.col("persona_id") == persona(learned, "night")).sort("slot")
    hour = night["slot"].dt.hour().to_numpy()
    assert night["probability"].to_numpy()[hour == 3].mean() > 0.6
    assert night["probability"].to_numpy()[(hour > 7) & (hour < 23)].mean() < 0.05
    within_a_day = said.activations.filter(pl.col("horizon_s") == 86_400)
    assert within_a_day["persona_id"].to_list() == [persona(learned, "night")]
    assert within_a_day["probability"][0] > 0.8


def test_on_each_path_a_newcomer_has_one_role(outlook, learned):
    """Two roles of even chance: on half of the paths it works at night, on the other half by day, never both."""
    night, office = persona(learned, "night"), persona(learned, "office")
    resting = learned.catalog.patterns.filter(pl.col("kind") == "resting")["persona_id"][0]
    rows = [
        ("n", 0, 0.5, 0, "resting", resting), ("n", 0, 0.5, 1, "active", night),
        ("n", 1, 0.5, 0, "resting", resting), ("n", 1, 0.5, 2, "active", office),
    ]  # fmt: skip
    roles = pl.DataFrame(rows, schema=["workload_id", "role", "weight", "pattern", "kind", "persona_id"], orient="row")
    state = pl.DataFrame(
        {"workload_id": ["n"], "pattern": [0], "persona_id": [resting], "since": [START], "start_seen": [True]}
    )
    origin = START + MEET * SLOT
    future = simulate(outlook, state, labelled(["n"]), calendar(DAYS + 10), origin, DAY, 200, 0, roles=roles)
    assert future.workload_ids == ["n"]
    assert future.patterns.shape == (200, 1, DAY)
    works = [(future.patterns[:, 0] == pattern).any(axis=1) for pattern in (1, 2)]
    assert not (works[0] & works[1]).any()
    assert works[0].mean() == pytest.approx(0.5, abs=0.15)
    assert works[1].mean() == pytest.approx(0.5, abs=0.15)
    assert dict(future.played.select("pattern", "persona_id").iter_rows()) == {0: resting, 1: night, 2: office}


@pytest.mark.parametrize("age", [8, 26 * 4])
def test_the_mixture_sizes_newcomers_ahead(learned, outlook, age):
    """Planning a newcomer's demand: its coming night is provided for before it was ever seen at work."""
    from persona_platform.forecasting.mixture import mixture_demand

    seen, _ = young("night", age)
    people, days, origin = labelled(["night-new"]), calendar(DAYS + 10), START + (MEET + age) * SLOT
    played = play(seen, people, days, learned.catalog)
    new = played.newcomers
    state = current_state(played.activations, new.known_as(learned.catalog.patterns), origin, SLOT)
    future = simulate(outlook, state, people, days, origin, DAY, 64, 0, roles=new.roles)
    targets = pl.DataFrame({"target": ["t"], "pool": ["main"], "kappa": [0.95], "hold_slots": [1]})
    units = pl.DataFrame({"target": ["t"], "need": ["cpu_cores"], "amount": [1.0]})
    said = mixture_demand(
        future, seen, played.membership, learned.catalog, people, targets, units,
        origin=origin, slot=SLOT, seed=0, newcomers=new.sizes,
    )  # fmt: skip
    night = said.demand.filter(pl.col("slot") == origin + timedelta(hours=1))  # both are met at two in the morning
    assert night["q_kappa"][0] == pytest.approx(16.0, rel=0.3)
    assert night["mean"][0] > 8.0
    explained = said.expected.filter(pl.col("slot") == night["slot"][0]).sort("expected")
    assert explained["persona_id"][-1] == persona(learned, "night")
