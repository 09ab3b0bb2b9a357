"""Row boundaries of formats that escape line feeds: a row is a line."""


def end_of_row(buffer: bytearray, start: int, progress: list[int]) -> int:
    """The position after the row that begins at `start`, or -1 if its end has not arrived.

    `progress` belongs to this row and starts empty; it remembers how far the buffer was searched.
    """
    end = buffer.find(b"\n", progress[0] if progress else start)
    if end < 0:
        progress[:] = [len(buffer)]
        return -1
    return end + 1
