"""Waiting for PostgreSQL to say that something was published or observed (LISTEN/NOTIFY)."""

import select
import threading
import time
from types import TracebackType
from typing import Final, Self

from resources.persona_store.postgres import ACTIVITY, CATALOG
from resources.postgres_server import connect, spoken

_LOOK_S: Final = 0.25
"""How often a waiting thread looks whether it is to stop."""


class Wakeups:
    """A listening connection, from its making on: what is committed after that wakes the next wait.

    Listen first, read then: what was committed before is read, what is committed later wakes.
    """

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self._connection.autocommit = True
        with spoken(), self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CATALOG}; LISTEN {ACTIVITY}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Whether something was said, within that time and before ``stop`` was set.

        Raises :class:`UnreachableError` when the connection is lost.
        """
        until = time.monotonic() + seconds
        while not stop.is_set():
            with spoken():
                self._connection.poll()
            if self._connection.notifies:
                self._connection.notifies.clear()
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            select.select([self._connection], [], [], min(left, _LOOK_S))
        return False
