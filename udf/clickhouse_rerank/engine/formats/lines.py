"""Row boundaries of the formats that escape line feeds: a row is a line."""


def end_of_row(buffer: bytearray, start: int, progress: list[int]) -> int:
    """Where the row that begins at `start` ends, or -1 until more bytes are there.

    `progress` belongs to this row and starts empty; it remembers what was searched.
    """
    end = buffer.find(b"\n", progress[0] if progress else start)
    if end < 0:
        progress[:] = [len(buffer)]
        return -1
    return end + 1
