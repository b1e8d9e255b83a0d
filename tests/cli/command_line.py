"""What the tests of the command line share: how a command ended, small samples, a short configuration."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from persona_platform.cli.app import main

CONFIG = '[project]\nname = "x"\n[planning]\nhorizon = "6h"\npaths = 16\n'
START = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line of an error, without its beginning. Anything else on standard error fails the test."""
        lines = [line for line in self.err.splitlines() if not line.startswith("Planning at")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: "), self.err
        assert "Traceback" not in self.out
        assert lines[0].endswith("."), self.err
        return lines[0].removeprefix("Error: ")


Run = Callable[..., Said]


def ended(*words: str | Path) -> Said:
    """Runs one command of the command line in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def readings(
    days: float = 3,
    ids: tuple[str, ...] = ("web-1", "web-2"),
    *,
    metric: str = "cpu_cores",
    start: datetime = START,
    step: timedelta = timedelta(hours=1),
) -> pl.DataFrame:
    """Samples of a few workloads with a shape of the day."""
    count = int(timedelta(days=days) / step)
    at = pl.int_range(count)
    one = pl.select(ts=start + at * step, value=(at % 24).cast(pl.Float64) / 4 + 1)
    rows = [one.with_columns(workload_id=pl.lit(name), metric=pl.lit(metric)) for name in ids]
    return pl.concat(rows).select("workload_id", "ts", "metric", "value")
