"""Reaching the PostgreSQL server that many hosts share: its URL from the environment, connections, faults.

Every fault is one sentence that holds no password. What is kept on the server stands elsewhere:
``resources.persona_store.postgres`` for personas, Dagster's own storage for runs.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from persona_platform.errors import ConfigError, InputError
from persona_platform.settings import StorageSettings

FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"

_URL: Final = re.compile(
    r"postgresql://(?:[^:/?#@\s]*(?::[^:/?#@\s]*)?@)?[^/?#@\s]*(?:/[^/?#@\s]*)?(?:\?[^?#@\s]*)?", re.ASCII
)
"""Narrower than libpq, which takes a part of a password with an unescaped ``@`` or ``/`` for a host and shows it."""

_PATIENCE: Final = {
    "connect_timeout": 10,
    # a host that vanished is noticed within a minute, not after the two hours that TCP takes by default
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "persona",
    "options": "-c timezone=UTC",
}


_LOST: Final = ("08", "57P0")
"""SQLSTATE classes of a connection that failed, and of a server that is ending, starting or has crashed."""


class UnreachableError(ConfigError):
    """The server does not answer, or the connection was lost: another try may succeed."""


def postgres_url(storage: StorageSettings) -> str:
    """The URL that ``[storage]`` points at. Raises :class:`ConfigError` when it is unset or has another form."""
    name = storage.postgres_env
    url = os.environ.get(name or "", "").strip()
    if not url:
        raise ConfigError(f"The environment variable {name}, which [storage] names, is not set: set it to {FORM}.")
    if not _URL.fullmatch(url):
        raise ConfigError(
            f"The environment variable {name}, which [storage] names, does not hold {FORM}: "
            "correct it, and write special characters of the password as %XX."
        )
    return url


def driver() -> Any:
    """psycopg2. Raises :class:`ConfigError` when the extra that brings it is not installed."""
    try:
        import psycopg2
        import psycopg2.extensions
    except ImportError:
        raise ConfigError(
            "PostgreSQL needs the extra postgres, which is not installed: pip install 'persona-platform[postgres]'."
        ) from None
    return psycopg2


def connect(url: str) -> Any:
    """A connection. Raises :class:`UnreachableError` with the server's own reason, without the password."""
    psycopg2 = driver()
    try:
        given = psycopg2.extensions.parse_dsn(url)
    except psycopg2.ProgrammingError:
        raise ConfigError(f"The URL of the PostgreSQL server cannot be read: it has the form {FORM}.") from None
    try:
        return psycopg2.connect(url, **{name: value for name, value in _PATIENCE.items() if name not in given})
    except psycopg2.OperationalError as fault:
        reason = _reason(fault)
        if given.get("password") and given["password"] in reason:
            reason = "the connection failed"
        raise UnreachableError(
            f"PostgreSQL cannot be used: {reason}; check that the server runs, and its URL."
        ) from None


@contextmanager
def spoken() -> Iterator[None]:
    """Faults of the server as sentences: a lost connection, or the server's own reason."""
    psycopg2 = driver()
    try:
        yield
    except psycopg2.Error as fault:
        if fault.pgcode is None or fault.pgcode.startswith(_LOST):
            raise UnreachableError(f"The connection to PostgreSQL was lost ({_reason(fault)}); try again.") from None
        raise InputError(f"PostgreSQL refused ({_reason(fault)}); nothing of this was written.") from fault


def _reason(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return " ".join(lines[0].split()).rstrip(".") if lines else type(fault).__name__


__all__ = ["UnreachableError", "connect", "driver", "postgres_url", "spoken"]
