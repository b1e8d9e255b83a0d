"""Reaching PostgreSQL: every fault is one sentence, and no sentence holds the password."""

import pytest

from persona_platform.errors import ConfigError
from persona_platform.settings import StorageSettings
from resources.postgres_server import UnreachableError, connect, postgres_url

STORAGE = StorageSettings("TEST_DATABASE_URL", personas="postgres")


def test_the_url_comes_from_the_named_variable(server, database, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.tcp_url(database))
    connection = connect(postgres_url(STORAGE))
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_setting('application_name')")
        assert cursor.fetchone() == (database, "persona")
    connection.close()


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_unset_variable_is_named(monkeypatch, value):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_DATABASE_URL", value)
    with pytest.raises(
        ConfigError, match=r"TEST_DATABASE_URL, which \[storage\] names, is not set: set it to postgres"
    ):
        postgres_url(STORAGE)


@pytest.mark.parametrize(
    "value",
    [
        "sesame",
        "postgres://me:sesame@db/personas",
        "mysql://me:sesame@db/personas",
        "host=db password=sesame",
        "postgresql://me:open@sesame@db/personas",
        "postgresql://me:open/sesame@db/personas",
        "postgresql://me:open?sesame@db/personas",
        "postgresql://me:open#sesame@db/personas",
        "postgresql://me:open sesame@db/personas",
    ],
)
def test_what_is_no_url_of_postgresql_is_refused_without_being_repeated(monkeypatch, value):
    monkeypatch.setenv("TEST_DATABASE_URL", value)
    with pytest.raises(ConfigError, match=r"TEST_DATABASE_URL.*does not hold postgresql://.* as %XX") as raised:
        postgres_url(STORAGE)
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("persona:shut-sesame@127.0.0.1:{port}/postgres", "password authentication failed"),
        ("persona:open-sesame@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist'),
        ("persona:open-sesame@db.invalid:{port}/postgres", "could not translate host name"),
        ("persona:open-sesame@127.0.0.1:{port}/postgres?sslmode=require", "server does not support SSL"),
        ("persona:open-sesame@127.0.0.1:{port}/postgres?surprise=1", "cannot be read"),
        ("persona:refused@127.0.0.1:1/postgres", "the connection failed"),  # the password is a word of the reason
    ],
)
def test_a_server_that_cannot_be_used_is_one_sentence_without_the_password(server, url, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        connect("postgresql://" + url.format(port=server.port))
    assert "\n" not in str(raised.value)
    assert "sesame" not in str(raised.value)
    assert "refused" not in str(raised.value)


def test_a_stopped_server_is_unreachable(server, database):
    url = server.tcp_url(database)
    with pytest.raises(UnreachableError, match=r"Connection refused.* check that the server runs"):
        connect(url.replace(f":{server.port}/", ":1/"))
