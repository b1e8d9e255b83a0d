"""A real PostgreSQL server for the tests, started once a session, and a database of its own for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_process import Server, programs


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The running server. Tests are skipped only where its programs are missing."""
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("PostgreSQL's server programs are not installed: apt-get install postgresql")
    # not under pytest's folder, which another user cannot enter; short, since a socket's path is at most 107 bytes
    folder = Path(tempfile.mkdtemp(prefix="persona-pg-"))
    running = Server(bin_folder, folder)
    try:
        running.create()
        running.start()
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: Server) -> str:
    """The name of a database of this test's own."""
    return server.new_database()


@pytest.fixture
def url(server: Server, database: str) -> str:
    """The URL of that database."""
    return server.url(database)
