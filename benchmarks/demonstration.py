"""What the demonstration learned against the fleet's truth, and what it saved.

`python benchmarks/demonstration.py .demo` reads a folder that `persona demo` left. The adjusted Rand index is over the
slots that are active in truth; a persona with two job sizes counts as one. The savings are those of the replay of the
fleet's last two days.
"""

import sys
from pathlib import Path

import polars as pl
from sklearn.metrics import adjusted_rand_score

from persona_platform.cli.comparison import kept_comparison
from persona_platform.cli.story import savings_rows
from persona_platform.settings import Project
from resources.frames import FrameStore


def agreement(project: Project) -> dict[str, float]:
    """Adjusted Rand index over active slots, and F1 of active against resting."""
    truth = pl.read_parquet(project.home / "truth" / "membership")
    frames = FrameStore(project.frames)
    kinds = frames.read("personas/catalog", name="patterns").select(
        "workload_id", "pattern", learned_kind=pl.col("kind")
    )
    learned = frames.read("personas/membership").join(kinds, on=["workload_id", "pattern"], how="left")
    both = truth.join(learned, on=["workload_id", "slot"])
    active = both.filter(pl.col("kind") == "active")
    is_active, said_active = both["kind"] == "active", both["learned_kind"] == "active"
    hits = (is_active & said_active).sum()
    return {
        "slots compared": both.height,
        "adjusted Rand index": float(adjusted_rand_score(active["persona"], active["persona_id"])),
        "F1 of active": 2 * hits / (is_active.sum() + said_active.sum()),
    }


def main() -> None:
    """Prints both."""
    project = Project(Path(sys.argv[1] if len(sys.argv) > 1 else ".demo").resolve())
    for name, value in agreement(project).items():
        print(f"{name}: {value:,.3f}" if isinstance(value, float) else f"{name}: {value:,}")
    comparison = kept_comparison(project)
    if comparison is not None:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, float_precision=2):
            print(savings_rows(comparison))


if __name__ == "__main__":
    main()
