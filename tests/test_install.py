"""Installation: the files that ClickHouse looks for, and that they work where they are put."""

from __future__ import annotations

import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import engine_bytes
from clickhouse_rerank import cli, install
from clickhouse_rerank.model import Row
from conftest import Worker, worker_environment

FORMATS = engine_bytes.FORMATS


def words(registration: Path) -> tuple[str, str]:
    function = ElementTree.parse(registration).getroot()[0]
    return function.findtext("format", ""), function.findtext("command", "")


def test_install_puts_its_files_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The launcher is executable, the others are for the server to read; folders are made; what is next is printed."""
    scripts, config = tmp_path / "a" / "user_scripts", tmp_path / "etc"
    assert cli.main(["install", "--user-scripts", str(scripts), "--config-dir", str(config)]) == 0
    placed = (scripts / "rerank", config / "rerank_function.xml", config / "config.d" / "rerank_masking.xml")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(placed)
    assert [stat.S_IMODE(path.stat().st_mode) for path in placed] == [0o755, 0o644, 0o644]
    assert words(config / "rerank_function.xml") == ("JSONEachRow", "rerank")
    out = capsys.readouterr().out
    assert f"wrote {scripts / 'rerank'}" in out and "SYSTEM RELOAD FUNCTIONS" in out


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run prints paths, modes and contents, and creates not even a folder."""
    folder = tmp_path / "new"
    assert cli.main(["install", "--user-scripts", str(folder), "--config-dir", str(folder), "--dry-run"]) == 0
    assert not folder.exists()
    out = capsys.readouterr().out
    assert f"would write {folder / 'rerank'} (mode 755)" in out and "<name>Rerank</name>" in out


def test_a_second_installation_replaces_the_first(tmp_path: Path) -> None:
    """Installing again, in another format, replaces the files, a read-only one too."""
    arguments = ["install", "--user-scripts", str(tmp_path), "--config-dir", str(tmp_path)]
    assert cli.main(arguments) == 0
    (tmp_path / "rerank").write_text("old")
    (tmp_path / "rerank").chmod(0o400)
    assert cli.main([*arguments, "--format", "RowBinary"]) == 0
    assert (tmp_path / "rerank").read_text() == install.launcher()
    assert words(tmp_path / "rerank_function.xml") == ("RowBinary", "rerank --format RowBinary")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path is named on stderr, with a non-zero exit code."""
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "scripts")
    assert cli.main(["install", "--user-scripts", folder, "--config-dir", folder]) == 1
    out, err = capsys.readouterr()
    assert out == "" and folder in err and err.count("\n") == 1


QUERY = """
import sys
from chdb.session import Session
session = Session(f"{sys.argv[2]}?udf_path={sys.argv[1]}")
print(session.query("SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '')[1].2", "TSV"))
try:
    session.query("SELECT Rerank('q', ['d'], 1, 'Cohere', 'http://127.0.0.1:9/', 'the-key', '')")
except RuntimeError as error:
    print("BLOCKED" in str(error))
session.close()
"""


@pytest.mark.parametrize("name", FORMATS)
def test_one_folder_for_both_serves_chdb(tmp_path: Path, name: str) -> None:
    """Both files in one folder are chDB's udf_path; installed for a server, the worker does not reach loopback."""
    udf = str(tmp_path / "udf")
    assert cli.main(["install", "--user-scripts", udf, "--config-dir", udf, "--format", name]) == 0
    done = subprocess.run(
        [sys.executable, "-I", "-c", QUERY, udf, str(tmp_path / "data")],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["red", "apple", "True"], done.stderr


def answer_of(folder: Path) -> bytes:
    """What the installed launcher answers to one chunk."""
    one = Worker(folder / "rerank", ["--format", "TabSeparated"], worker_environment())
    try:
        one.send(engine_bytes.chunk([Row("a", ["b", "a"], 1, "BM25", "", "", "")], "TabSeparated"))
        code, out, err = one.finish()
        assert (code, err) == (0, b"")
        return out
    finally:
        one.process.kill()
        one.process.communicate()


def test_the_launcher_is_bound_to_its_interpreter(tmp_path: Path) -> None:
    """The first line names the interpreter that has the package, isolated from the server's environment."""
    for file in install.plan(tmp_path, tmp_path):
        install.write(file)
    assert (tmp_path / "rerank").read_text().startswith(f"#!{sys.executable} -I\n")
    assert answer_of(tmp_path).startswith(b"[(1,'a',")


def test_the_first_line_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel cuts at bytes: a path of few characters may be too long."""
    monkeypatch.setattr(sys, "executable", "/" + "ü" * 70)
    assert install.launcher().startswith("#!/bin/sh\n")


@pytest.mark.parametrize("folder", ["x" * 120, "a folder"])
def test_an_interpreter_that_fits_no_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """A path too long for the kernel's first line, or with a space, is reached through a shell."""
    python = tmp_path / folder / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    for file in install.plan(tmp_path, tmp_path):
        install.write(file)
    assert (tmp_path / "rerank").read_text().startswith("#!/bin/sh\n")
    assert answer_of(tmp_path).startswith(b"[(1,'a',")


def test_the_registration_leaves_time_for_the_workers_own_deadline() -> None:
    """The engine's silence limit is above the default deadline of a row, so the user reads the worker's reason."""
    from clickhouse_rerank.settings import Limits

    function = ElementTree.fromstring(install.registration("JSONEachRow"))[0]
    values = {element.tag: element.text for element in function}
    assert int(str(values["command_read_timeout"])) > 1000 * Limits().row_deadline_s
    assert (values["stderr_reaction"], values["send_chunk_header"], values["type"]) == ("throw", "1", "executable_pool")
