"""How long a replay takes, and where the time goes: 100 targets, 30 days, 5-minute steps, every policy.

`python benchmarks/replay_speed.py` replays a generated fleet, each time in a process of its own: all policies with 10
settings each and ours learned once; the same with all their settings (ours 33, the tuned reactive one 192); and ours
alone, learned anew every day. Reading, decisions, summary and report are in it. It prints seconds, steps (targets times
settings times walked steps) a second, the share of the time spent in the model, and the largest memory.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target
from persona_platform.frames import SAMPLES
from persona_platform.replay import run
from persona_platform.replay.cases import CaseOptions, read_case
from persona_platform.replay.forward import Walking
from persona_platform.replay.terms import Terms

STEP = timedelta(minutes=5)
START = datetime(2026, 1, 1, tzinfo=UTC)


def samples(targets: int, days: int, seed: int = 0) -> pl.DataFrame:
    """Daily and weekly cycles of different phase, noise and bursts: a workload a target."""
    rng = np.random.default_rng(seed)
    steps = int(timedelta(days=days) / STEP)
    hours = np.arange(steps) * (STEP / timedelta(hours=1))
    frames = []
    for number in range(targets):
        cycle = 1 + 0.6 * np.sin(2 * np.pi * (hours / 24 + rng.random())) + 0.2 * np.sin(2 * np.pi * hours / 168)
        bursts = (rng.random(steps) < 0.003) * rng.exponential(3.0, steps)
        noise = rng.gamma(20.0, 1 / 20.0, steps)
        frames.append(
            pl.DataFrame({"value": rng.lognormal(1.0, 1.0) * np.maximum(cycle * noise + bursts, 0.0)}).with_columns(
                workload_id=pl.lit(f"w{number:04}"),
                ts=pl.datetime_range(START, START + (steps - 1) * STEP, STEP, time_unit="us", eager=True),
                metric=pl.lit("cpu_cores"),
                dataset=pl.lit("generated"),
            )
        )
    return pl.concat(frames).select(list(SAMPLES))


def measured(
    targets: int, days: int, refit: timedelta | None, policies: tuple[str, ...], settings: int | None
) -> dict[str, Any]:
    """Seconds of a replay, those of them in the model, steps walked and the peak memory of this process."""
    spent = 0.0

    def timed(inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*words: Any, **named: Any) -> Any:
            nonlocal spent
            begun = time.perf_counter()
            made = inner(*words, **named)
            spent += time.perf_counter() - begun
            return made

        return outer

    run.walk_stretch = timed(run.walk_stretch)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "generated.parquet"
        samples(targets, days).write_parquet(file)
        begun = time.perf_counter()
        case = read_case([file], CaseOptions(slot=STEP), now=START + timedelta(days=days))
        names = case.sizing.targets["target"].to_list()
        options = run.ReplayOptions(
            terms=Terms(STEP),
            limits=limits_frame([Target(name, name, limits=Limits()) for name in names]),
            walking=Walking(refit_every=refit),
            policies=policies,
            activations=0,
            settings=settings,
            variants=False,
        )
        comparison = run.replay(case, options, Path(folder) / "out", lambda *_: None)
        seconds = time.perf_counter() - begun
    walked = int(timedelta(days=days) * 0.4 / STEP)
    settings = sum(
        len(block.settings) * len(block.targets) for outcome in comparison.outcomes.values() for block in outcome.blocks
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "model": spent, "steps": settings * walked, "gib": peak}


def main() -> None:
    """Each case in its own process, so that its peak of memory is its own."""
    if len(sys.argv) > 1:
        targets, days, refit, policies, settings = json.loads(sys.argv[1])
        every = timedelta(days=1) if refit else None
        print(json.dumps(measured(targets, days, every, tuple(policies), settings)))
        return
    for what, *case in (
        ("all policies, 10 settings each, ours learned once", False, run.NAMES, 10),
        ("all policies, all settings, ours learned once", False, run.NAMES, None),
        ("ours, learned daily", True, ("ours",), 10),
    ):
        words = [sys.executable, __file__, json.dumps([100, 30, *case])]
        done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 (itself)
        said = json.loads(done.stdout)
        print(
            f"{what}: {said['seconds']:.0f} s, {said['steps'] / said['seconds']:,.0f} steps a second, "
            f"{said['model'] / said['seconds']:.0%} of the time in the model, {said['gib']:.1f} GiB"
        )


if __name__ == "__main__":
    main()
