"""The workloads file, its faults, and the defaults."""

from pathlib import Path

import polars as pl
import pytest

from persona_platform.errors import InputError
from persona_platform.frames import WORKLOADS, empty
from persona_platform.utilization.workloads import read_workloads_file, with_defaults


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "workloads.csv"
    path.write_text(text)
    return path


def test_missing_columns_and_empty_cells_are_null(tmp_path: Path) -> None:
    labels = read_workloads_file(write(tmp_path, "workload_id,tier,pool\nweb, critical ,\n"))
    assert dict(labels.schema) == WORKLOADS
    assert labels.rows() == [("web", None, None, "critical", None, None, None)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,pool\nweb,a\n", "lacks the column workload_id"),
        ("workload_id,tir\nweb,critical\n", "did you mean 'tier'"),
        ("workload_id,pool\nweb,a\n,b\n", "row 2, has no workload_id"),
        ("workload_id,pool\nweb,a\nweb,b\n", r"row 1, names a workload twice \(web\)"),
        ("workload_id,tier\nweb,gold\n", "has the tier 'gold'; expected critical"),
        ("workload_id,timezone\nweb,Mars/Base\n", "has the timezone 'Mars/Base'; expected an IANA"),
    ],
)
def test_a_fault_is_told_with_its_row(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_workloads_file(write(tmp_path, text))


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no workloads file"):
        read_workloads_file(tmp_path / "none.csv")
    assert read_workloads_file(write(tmp_path, "")).height == 0


def test_defaults_of_what_is_labelled_and_what_is_only_seen() -> None:
    labels = pl.DataFrame({"workload_id": ["web", "new"], "pool": [None, "p"]}).with_columns(
        pl.lit(None, pl.String).alias(name) for name in list(WORKLOADS)[2:]
    )
    seen = pl.DataFrame({"workload_id": ["web", "db"], "dataset": ["prod", "prod"]})
    full = with_defaults(labels, seen, timezone="Europe/Berlin")
    assert full.select("workload_id", "pool", "tier", "timezone").rows() == [
        ("db", "prod", "standard", "Europe/Berlin"),
        ("new", "p", "standard", "Europe/Berlin"),
        ("web", "prod", "standard", "Europe/Berlin"),
    ]
    assert with_defaults(empty(WORKLOADS), seen.clear(), timezone="UTC").height == 0
