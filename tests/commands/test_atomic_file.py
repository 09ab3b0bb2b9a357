"""Files that are replaced at once, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from clickhouse_rerank.commands.atomic_file import write_atomically


@pytest.mark.parametrize("failing", ["fsync", "fchmod"])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A full disk, for example."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new", 0o644)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_content_is_private_until_it_is_complete_and_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced before it gets its name, and the folder after that; umask does not change the mode."""
    path = tmp_path / "file"
    fsync, fchmod, steps = os.fsync, os.fchmod, []

    def noting_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"file, named: {path.exists()}")
        fsync(descriptor)

    def noting_fchmod(descriptor: int, mode: int) -> None:
        steps.append(f"mode {stat.S_IMODE(os.fstat(descriptor).st_mode):o}")
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "fchmod", noting_fchmod)
    old = os.umask(0o077)
    try:
        write_atomically(path, b"content", 0o644)
    finally:
        os.umask(old)
    assert steps == ["mode 600", "file, named: False", "folder"]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"content", 0o644)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Its target stays as it is."""
    path, target = tmp_path / "file", tmp_path / "target"
    target.write_bytes(b"target")
    path.symlink_to(target)
    write_atomically(path, b"content", 0o600)
    assert not path.is_symlink() and (path.read_bytes(), target.read_bytes()) == (b"content", b"target")
