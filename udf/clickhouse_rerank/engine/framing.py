"""Chunks on the wire: a line with the number of rows, then that many rows.

Takes bytes and gives headers and undecoded rows; it does not know what a row means. Rows stay undecoded, so that each
row is decoded only when its turn comes.
"""

from ..errors import ProtocolError
from .formats import Format

_MAX_HEADER = 20


class Framing:
    """Cuts the input of one worker into chunk headers (int: rows that follow) and rows (bytes)."""

    def __init__(self, fmt: Format) -> None:
        self._format = fmt
        self._buffer = bytearray()
        self._rows_left = 0
        self._progress: list[int] = []

    @property
    def between_chunks(self) -> bool:
        """Whether all bytes so far are complete chunks."""
        return self._rows_left == 0 and bytes(self._buffer).strip() in self._format.NOISE | {b""}

    def feed(self, data: bytes) -> list[int | bytes]:
        """Take `data`, and return each header and each row that it completes, in order."""
        buffer = self._buffer
        buffer += data
        complete: list[int | bytes] = []
        at = 0
        while at < len(buffer):
            if self._rows_left:
                end = self._format.end_of_row(buffer, at, self._progress)
                if end < 0:
                    break
                self._progress.clear()
                with memoryview(buffer) as view:
                    row = bytes(view[at:end])
                if not self._is_noise(row):
                    self._rows_left -= 1
                    complete.append(row)
            else:
                end = buffer.find(b"\n", at, at + _MAX_HEADER) + 1
                if not end:
                    if len(buffer) - at >= _MAX_HEADER:
                        raise ProtocolError("A chunk does not begin with its row count. Set send_chunk_header to 1.")
                    break
                line = bytes(buffer[at:end])
                if not self._is_noise(line):
                    self._rows_left = _row_count(line)
                    complete.append(self._rows_left)
            at = end
        del buffer[:at]
        if self._progress:
            self._progress[0] -= at
        return complete

    def _is_noise(self, line: bytes) -> bool:
        return len(line) < 4 and line.strip() in self._format.NOISE


def _row_count(line: bytes) -> int:
    if not line[:-1].isdigit():
        raise ProtocolError("A chunk does not begin with its row count. Set send_chunk_header to 1.")
    return int(line)
