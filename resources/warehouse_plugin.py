"""Functions that dbt's ``parquet_by_day`` materialization calls from SQL to put its files in place.

dbt-duckdb loads this module by name from ``dbt/profiles.yml``. SQL alone can neither make a folder nor
remove a file, and a rename of our own keeps the promise that a reader sees the old file of a day or the new
one.
"""

from pathlib import Path

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb.sqltypes import VARCHAR

_SCRATCH = ".scratch.parquet"


def scratch_part(folder: str) -> str:
    """The path under which a day is written first; its folder is made."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return str(path / _SCRATCH)


def publish_part(folder: str, day: str) -> str:
    """Move what was written to the place of its day."""
    part = _part(folder, day)
    part.parent.mkdir(exist_ok=True)
    (Path(folder) / _SCRATCH).replace(part)
    return str(part)


def remove_part(folder: str, day: str) -> str:
    """Remove the file of a day that has no rows (any more)."""
    part = _part(folder, day)
    part.unlink(missing_ok=True)
    if part.parent.exists() and not any(part.parent.iterdir()):
        part.parent.rmdir()
    return str(part)


def _part(folder: str, day: str) -> Path:
    return Path(folder) / f"day={day}" / "part.parquet"


class Plugin(BasePlugin):
    """Registers the functions on each connection that dbt opens."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called once a connection, by dbt-duckdb."""
        conn.create_function("scratch_part", scratch_part, [VARCHAR], VARCHAR, side_effects=True)
        conn.create_function("publish_part", publish_part, [VARCHAR, VARCHAR], VARCHAR, side_effects=True)
        conn.create_function("remove_part", remove_part, [VARCHAR, VARCHAR], VARCHAR, side_effects=True)
