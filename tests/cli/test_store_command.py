"""``persona store``: figures, backup, restore and verify of a project's Persona Database."""

import json
import os
from datetime import UTC, datetime

import lmdb
import pytest
from persona_records import nightly

from resources.persona_store import ActivityNow, MemberRecord, PersonaStore

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def publish(project, version):
    with PersonaStore(project.store) as store:
        store.publish(version, [nightly()], [MemberRecord("p001", "w1", 0.5, 0.9)])
        store.update_activity([ActivityNow("w1", "p001", NOON, NOON)])


@pytest.mark.parametrize("words", [["stats"], ["verify"], ["backup", "kept"]])
def test_without_a_store_the_refit_that_makes_one_is_named(project, persona, words):
    said = persona("store", *words)
    assert (said.code, project.store.exists()) == (2, False)
    assert said.sentence.endswith("has no Persona Database yet: persona refit publishes one.")


def test_stats_are_lines_or_json(project, persona):
    publish(project, 3)
    said = persona("store", "stats")
    assert said.code == 0
    assert "version     3, published 20" in said.out
    assert "personas    1, with 1 members" in said.out
    found = json.loads(persona("store", "stats", "--json").out)
    assert (found["version"], found["schema"], found["personas"], found["activity"], found["readers"]) == (
        3, 2, 1, 1, 0,
    )  # fmt: skip


def test_a_backup_comes_back(project, persona):
    publish(project, 1)
    assert json.loads(persona("store", "backup", "kept", "--json").out)["bytes"] > 0
    assert persona("store", "backup", "kept").sentence == "kept is there already; name a folder that is not."
    publish(project, 2)
    said = persona("store", "restore", "kept")
    assert said.out == "The store is the backup kept now: version 1, 1 personas, 1 members.\n"
    assert json.loads(persona("store", "stats", "--json").out)["version"] == 1
    assert json.loads(persona("store", "restore", "kept", "--json").out)["members"] == 1


def test_what_is_no_backup_is_one_sentence_and_the_store_stays(project, persona):
    publish(project, 1)
    said = persona("store", "restore", "nowhere")
    assert said.code == 2
    assert "nowhere is no backup of a persona store" in said.sentence
    assert json.loads(persona("store", "stats", "--json").out)["version"] == 1


def test_verify_says_sound_or_what_is_wrong(project, persona):
    publish(project, 1)
    assert persona("store", "verify").out == "The store is sound: version 1.\n"
    data = project.store / "gen-000001"
    with lmdb.open(str(data), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.delete(b"p001\0w1", db=env.open_db(b"rec", txn=txn))
    said = persona("store", "verify")
    assert said.code == 2
    assert "is damaged: the workload under b'w1' is listed in 'p001' and is no member of it" in said.sentence
    told = persona("store", "verify", "--json")
    assert (told.code, json.loads(told.out)["sound"]) == (2, False)


def test_a_damaged_file_is_one_sentence_and_can_be_restored_over(project, persona):
    publish(project, 1)
    persona("store", "backup", "kept")
    data = project.store / "gen-000001" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    said = persona("store", "stats")
    assert said.code == 2
    assert "damaged persona store" in said.sentence
    assert "persona store restore" in said.sentence
    assert persona("store", "restore", "kept").code == 0
    assert persona("store", "verify").code == 0
