"""Rows of bytes in PostgreSQL's binary COPY format, as the file that psycopg2 reads.

The text format would take twice the bytes, and an escape of each. The binary one is a signature, and for each row
the number of its fields, then for each field its length and itself
(https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
"""

from collections.abc import Iterable, Sequence
from typing import Final

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # and no flags, no extension
_TRAILER: Final = b"\xff\xff"


class CopyStream:
    """What ``copy_expert`` reads rows from."""

    def __init__(self, rows: Iterable[Sequence[bytes]]) -> None:
        self._rows = iter(rows)
        self._ahead = bytearray(_SIGNATURE)
        self._ended = False

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        while len(self._ahead) < size and not self._ended:
            row = next(self._rows, None)
            if row is None:
                self._ahead += _TRAILER
                self._ended = True
                break
            self._ahead += len(row).to_bytes(2)
            for field in row:
                self._ahead += len(field).to_bytes(4) + field
        out = bytes(self._ahead[:size])
        del self._ahead[:size]
        return out
