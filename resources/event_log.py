"""Dagster's SQLite event log with its connections kept open: what this process's own runs write to.

An ingest of one year is 1,464 events (two assets, planned and made, a day). Dagster opens and closes a connection
for each; closing the last one of a file in WAL mode writes the whole log back, so a year took 55 s, most of it
waiting for the disk. Files and tables stay Dagster's own: the daemon and the web server read them as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.pool import NullPool

BUSY_S: Final = 60.0


class KeptEventLog(SqliteEventLogStorage):
    """The same log; one connection a file, under the lock that Dagster holds around each use of one."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._kept: dict[str, sa.Connection] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptEventLog":
        """What Dagster calls."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            found = self._kept.get(shard)
            if found is None:
                found = self._kept[shard] = self._opened(shard)
            with found.begin():
                yield found

    def _opened(self, shard: str) -> sa.Connection:
        engine = sa.create_engine(
            self.conn_string_for_shard(shard),
            poolclass=NullPool,
            connect_args={"timeout": BUSY_S, "check_same_thread": False},
        )
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        connection = engine.connect()
        # as safe as FULL in WAL mode when a process dies; a power cut may lose the last events, never the file
        connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
        connection.commit()
        return connection

    def dispose(self) -> None:
        """Closes what was kept."""
        with self._db_lock:
            for connection in self._kept.values():
                connection.close()
            self._kept.clear()
        super().dispose()


def event_log_settings(folder: Path) -> dict[str, Any]:
    """What puts this log over the one of a Dagster instance's folder."""
    base = folder / "history" / "runs"
    return {"module": __name__, "class": KeptEventLog.__name__, "config": {"base_dir": str(base)}}


__all__ = ["KeptEventLog", "event_log_settings"]
