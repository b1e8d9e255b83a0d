"""Sample files as batches, whatever state they are in."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from persona_platform.errors import InputError
from persona_platform.utilization.readers import UNPARSED, sample_batches, sample_files, sample_rows

HEADER = "workload_id,ts,metric,value\n"


def lines(count: int) -> str:
    return "".join(f"w{i},{1700000000 + i},cpu_cores,{i}\n" for i in range(count))


def frame(rows: int) -> pl.DataFrame:
    return pl.read_csv((HEADER + lines(rows)).encode())


def read(path: Path, rows: int = 4) -> list[tuple[int, pl.DataFrame]]:
    return list(sample_batches(path, rows))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_batches_are_bounded_and_numbered_from_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        frame(10).write_parquet(path)
    else:
        text = (HEADER + lines(10)).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    batches = read(path)
    assert [(first, batch.height) for first, batch in batches] == [(1, 4), (5, 4), (9, 2)]
    assert pl.concat(b for _, b in batches)["workload_id"].to_list() == [f"w{i}" for i in range(10)]


@pytest.mark.parametrize("torn", [[0], [9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 4, 9]])
def test_a_torn_line_keeps_its_place(tmp_path: Path, torn: list[int]) -> None:
    rows = lines(10).splitlines(keepends=True)
    for at in torn:
        rows[at] = f"torn{at},only\n"
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "\n" + "".join(rows))
    batches = read(path)
    numbered = {first + i: row for first, batch in batches for i, row in enumerate(batch.iter_rows(named=True))}
    assert sorted(numbered) == list(range(1, 11))
    for i in range(10):
        row = numbered[i + 1]
        if i in torn:
            assert row[UNPARSED] == f"torn{i},only"
        else:
            assert row["workload_id"] == f"w{i}"


def test_quotes_a_byte_order_mark_and_bad_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b'"a,""b",1700000000,m,1\n\xff\xfe,1700000000,m,1\n')
    ((_, batch),) = read(path)
    assert batch["workload_id"].to_list() == ['a,"b', "\ufffd\ufffd"]


def test_more_columns_than_needed_are_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("unit,value,metric,ts,workload_id,dataset\ncores,1,m,2025-01-01,w,d\n")
    ((_, batch),) = read(path)
    assert batch.rows() == [("w", "2025-01-01", "m", "1", "d")]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_wrong_column_set_names_what_is_there_and_what_is_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    wide = pl.DataFrame({"host": ["a"], "ts": ["2025-01-01"], "cpu": [1.0]})
    wide.write_csv(path) if name.endswith("csv") else wide.write_parquet(path)
    with pytest.raises(InputError) as told:
        read(path)
    for word in (str(path), "workload_id, metric, value", "host, ts, cpu", "Rename"):
        assert word in str(told.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", HEADER.encode(), HEADER.encode().strip()])
def test_an_empty_file_has_no_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert sum(batch.height for _, batch in read(path)) == 0


def test_an_empty_parquet_file_has_no_rows(tmp_path: Path) -> None:
    frame(1).clear().write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").touch()
    assert read(tmp_path / "a.parquet") == read(tmp_path / "b.parquet") == []


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame(1000).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.parquet cannot be read as Parquet"):
        read(path)


def test_rows_are_known_before_reading_only_for_parquet(tmp_path: Path) -> None:
    frame(7).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(HEADER + lines(7))
    assert (sample_rows(tmp_path / "a.parquet"), sample_rows(tmp_path / "a.csv")) == (7, 0)


def test_a_folder_stands_for_its_sample_files(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "deep/c.csv.gz", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sample_files([tmp_path, tmp_path / "b.csv"]) == [
        tmp_path / "a.parquet",
        tmp_path / "b.csv",
        tmp_path / "deep/c.csv.gz",
    ]


@pytest.mark.parametrize(("name", "says"), [("none.csv", "no file"), ("notes.txt", "neither"), ("void", "no sample")])
def test_a_path_that_is_no_sample_file_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match=says):
        sample_files([tmp_path / name])
