"""What a follower of PostgreSQL lacks: from any version to any later one, exactly what turns one into the other."""

import random
from itertools import combinations

import pytest
from store_scenes import activity, member, persona

from resources.persona_store.catalog import Publication, digest_of
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.postgres_changes import activity_after, changes, head, versions_after
from resources.persona_store.records import MEMBERS, PERSONAS
from resources.postgres_server import connect


@pytest.fixture
def cursor(url):
    PostgresStore(url)
    connection = connect(url)
    connection.autocommit = True
    with connection.cursor() as opened:
        yield opened
    connection.close()


def random_catalog(rng):
    """A few personas of a few contents with a few members: much goes, comes back, or returns to what it was."""
    ids = rng.sample(["p1", "p2", "p3", "p4"], rng.randint(0, 4))
    personas = [persona(i, description=rng.choice("ab")) for i in ids]
    names = ["w1", "w2", "long-" * 30]
    pairs = [(i, w) for i in ids for w in rng.sample(names, rng.randint(0, 3))]
    return personas, [member(i, w, weight=rng.choice([0.25, 0.5])) for i, w in pairs]


@pytest.mark.parametrize("seed", range(4))
def test_changes_turn_any_version_into_any_later_one(url, cursor, seed):
    rng = random.Random(seed)
    store = PostgresStore(url)
    numbers = sorted(rng.sample(range(1, 30), 7))
    contents = {0: {}}
    for number in numbers:
        personas, members = random_catalog(rng)
        store.publish(number, personas, members)
        contents[number] = Publication.of(number, personas, members).tables
    for previous, version in combinations((0, *numbers), 2):
        found = changes(cursor, previous, version)
        for table, wanted in contents[version].items():
            before = contents[previous].get(table, {})
            after = {key: body for key, body in {**before, **found.tables[table]}.items() if body is not None}
            assert after == wanted
            assert not [key for key, body in found.tables[table].items() if body is None and key not in before]
        rows = [(k, contents[version][t][k]) for t in (PERSONAS, MEMBERS) for k in sorted(contents[version][t])]
        assert found.digest == digest_of(iter(rows))
    assert versions_after(cursor, numbers[2]) == numbers[3:]
    assert head(cursor).version == numbers[-1]


def test_activity_after_a_tick_is_what_was_kept_since(url, cursor):
    store = PostgresStore(url)
    store.update_activity([activity("w1"), activity("w2")])
    then = head(cursor).tick
    assert {row.workload_id for row in activity_after(cursor, 0)} == {"w1", "w2"}
    store.update_activity([activity("w1", -5), activity("w2", 5), activity("w3")])  # the first is older
    assert {row.workload_id for row in activity_after(cursor, then)} == {"w2", "w3"}
    assert activity_after(cursor, head(cursor).tick) == []
