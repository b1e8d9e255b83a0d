"""Patterns as a refit finds them, without learning: each persona is a cloud of features around its own centre."""

import numpy as np
import polars as pl

SCHEMA = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "kind": pl.String,
    "persona_id": pl.String,
    "slots": pl.Int64,
    "features": pl.List(pl.Float64),
}


def fleet(labels, *, seed=0, kind="active", columns=5, slots=100, apart=20.0, workloads=None):
    """One workload for each entry of ``labels``: the persona of each of its patterns (a string or several)."""
    rng = np.random.default_rng(seed)
    names = sorted({name for of in labels for name in (of if isinstance(of, tuple) else (of,))})
    centres = {name: rng.normal(0, apart, columns) for name in names}
    rows = []
    for i, of in enumerate(labels):
        name = workloads[i] if workloads else f"w{i:05d}"
        played = of if isinstance(of, tuple) else (of,)
        for number, persona in enumerate(played):
            features = (centres[persona] + rng.normal(0, 0.3, columns)).tolist()
            rows.append((name, number + 1, kind, persona, int(slots + rng.integers(0, 20)), features))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def found(patterns, clusters):
    """The same patterns as a new clustering found them: ``clusters`` says which cluster each persona became."""
    return patterns.with_columns(cluster=pl.col("persona_id").replace_strict(clusters, return_dtype=pl.Int64)).drop(
        "persona_id"
    )
