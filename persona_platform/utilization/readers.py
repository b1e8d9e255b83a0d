"""Sample files as bounded batches: Parquet and CSV, with a torn line kept as a row of its own."""

import codecs
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from csv import reader as read_header
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

import polars as pl

from persona_platform.errors import InputError

if TYPE_CHECKING:
    from pyarrow.csv import InvalidRow
    from pyarrow.parquet import ParquetFile

REQUIRED: Final = ("workload_id", "ts", "metric", "value")
OPTIONAL: Final = ("dataset",)
UNPARSED: Final = "_unparsed_line"
"""Column of a batch with the text of a CSV line that has too few or too many fields; null for the others."""

_PARQUET: Final = (".parquet", ".pq")
_CSV: Final = (".csv", ".csv.gz")
_CSV_BLOCK: Final = 16 << 20


def sample_files(paths: Iterable[Path]) -> list[Path]:
    """Every sample file that ``paths`` name, in order; of a folder its Parquet and CSV files, sorted.

    Raises :class:`InputError` for a path that does not exist, a folder without sample files, or a file that
    is neither Parquet nor CSV.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(_PARQUET + _CSV))
            if not inside:
                raise InputError(f"The folder {path} holds no sample files; expected *.parquet or *.csv in it.")
            found += inside
        elif not path.exists():
            raise InputError(f"There is no file {path}; give the path of a Parquet or CSV file, or a folder.")
        elif not path.name.endswith(_PARQUET + _CSV):
            raise InputError(f"{path} is neither Parquet nor CSV; expected a name ending in .parquet or .csv.")
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def sample_rows(path: Path) -> int:
    """The number of rows of a Parquet file from its footer; 0 where only reading would tell."""
    if not path.name.endswith(_PARQUET) or path.stat().st_size == 0:
        return 0
    with _parquet(path) as file:
        return file.metadata.num_rows


def sample_batches(path: Path, rows: int = 1_000_000) -> Iterator[tuple[int, pl.DataFrame]]:
    """``(first row, batch)`` of a sample file, in order; row 1 is the first row of data.

    A batch has the columns of the contract that the file has, typed as in the file (all text for CSV), and
    at most about ``rows`` rows. An empty file has no batches. CSV bytes that are not UTF-8 become U+FFFD.

    Raises :class:`InputError` naming the file, what it has and what was expected.
    """
    if path.stat().st_size == 0:
        return iter(())
    return _parquet_batches(path, rows) if path.name.endswith(_PARQUET) else _csv_batches(path, rows)


def _columns(names: Sequence[str], path: Path) -> list[str]:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: it has "
            f"{', '.join(names) or 'none'}; expected {', '.join(REQUIRED)} (and optionally dataset). "
            "Rename its columns, or turn a wide table into one row for each reading."
        )
    return [name for name in (*REQUIRED, *OPTIONAL) if name in names]


def _parquet(path: Path) -> "ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as fault:
        raise InputError(f"{path} cannot be read as Parquet ({fault}); write it again or fetch it again.") from None


def _parquet_batches(path: Path, rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    import pyarrow as pa

    with _parquet(path) as file:
        columns = _columns(file.schema_arrow.names, path)
        first = 1
        try:
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                if batch.num_rows:
                    frame = pl.from_arrow(pa.table(batch).select(columns))
                    assert isinstance(frame, pl.DataFrame)
                    yield first, frame
                    first += batch.num_rows
        except (pa.ArrowException, OSError) as fault:
            raise InputError(f"{path} is damaged after row {first - 1} ({fault}); fetch it again.") from None


class _Utf8(io.RawIOBase):
    """Bytes of a file with what is not UTF-8 replaced: one bad byte costs its row, not the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        return self._decoder.decode(block, final=not block).encode()


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _csv_batches(path: Path, rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    import pyarrow as pa
    from pyarrow import csv

    unparsed: list[tuple[int, str]] = []

    def keep(line: "InvalidRow") -> str:
        unparsed.append((line.number - 1, line.text))
        return "skip"

    with _opened(path) as file:
        lines = io.TextIOWrapper(file, "utf-8-sig", "replace")
        written = (line for line in lines if line.strip())
        header, data = next(written, None), next(written, None)
    if header is None:
        return
    columns = _columns(next(read_header([header])), path)
    if data is None:
        return
    frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    with _opened(path) as file:
        try:
            reader = csv.open_csv(
                _Utf8(file),
                # The numbers of unparsed lines are known only to a single thread.
                read_options=csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
                parse_options=csv.ParseOptions(invalid_row_handler=keep),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            )
            first = 1
            for batch in reader:
                read = pl.from_arrow(pa.table(batch))
                assert isinstance(read, pl.DataFrame)
                frame = read
                whole = _with_unparsed(frame, first, unparsed)
                for offset in range(0, whole.height, rows):
                    yield first + offset, whole.slice(offset, rows)
                first += whole.height
            if unparsed:
                yield first, _with_unparsed(frame.clear(), first, unparsed)
        except pa.ArrowException as fault:
            raise InputError(
                f"{path} cannot be read as CSV ({fault}); expected comma-separated lines with the header "
                f"{','.join(REQUIRED)}."
            ) from None


def _with_unparsed(frame: pl.DataFrame, first: int, unparsed: list[tuple[int, str]]) -> pl.DataFrame:
    """``frame`` with the unparsed lines that lie among its rows, or right after, in their places."""
    taken = 0
    while taken < len(unparsed) and unparsed[taken][0] <= first + frame.height + taken:
        taken += 1
    if not taken:
        return frame
    lines = [unparsed.pop(0) for _ in range(taken)]
    at = {number for number, _ in lines}
    numbers = [n for n in range(first, first + frame.height + taken) if n not in at]
    return (
        pl.concat(
            [
                frame.with_columns(pl.Series("_row", numbers, pl.Int64)),
                pl.DataFrame(lines, schema={"_row": pl.Int64, UNPARSED: pl.String}, orient="row"),
            ],
            how="diagonal",
        )
        .sort("_row")
        .drop("_row")
    )
