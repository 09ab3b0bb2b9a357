"""The command line in a process of its own; `make generate` rewrites sql/functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clickhouse_rerank.commands import cli, functions
from clickhouse_rerank.providers import PROVIDERS
from conftest import ROOT, worker_environment

FUNCTIONS = ROOT / "sql" / "functions"


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr) of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "clickhouse_rerank.commands.cli", *arguments],
        input=stdin,
        capture_output=True,
        env=worker_environment(),
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_sql_prints_the_result_and_nothing_else() -> None:
    """The result goes to stdout, TabSeparated where it is no terminal; wrappers are there."""
    query = "SELECT r.1, r.2 FROM (SELECT BM25Rerank('b', ['a', 'b'], 2) AS rs) ARRAY JOIN rs AS r"
    assert run("sql", query) == (0, b"1\tb\n0\ta\n", b"")


def test_sql_format_and_stdin() -> None:
    """--format names the output format; - reads several statements from stdin, any bytes in literals included."""
    assert run("sql", "-", "--format", "JSONEachRow", stdin=b"SELECT 1 AS a; SELECT '\xc3\xbc' AS b;\n") == (
        0,
        '{"a":1}\n{"b":"ü"}\n'.encode(),
        b"",
    )


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("sql", "SELECT Rerank('q', ['d'], 1, 'nobody', '', '', '')"), b"", b"Rerank: UNKNOWN_PROVIDER: "),
        (("sql", "SELECT Rerank('q', [unhex('ff')], 1, 'nobody', '', '', '')"), b"", b"Rerank: UNKNOWN_PROVIDER: "),
        (("sql", "SELECT nosuch(unhex('ff'))"), b"", b"UNKNOWN_FUNCTION"),
        (("sql", "SELECT CAST(unhex('ff') AS UInt8)"), b"", b"CANNOT_PARSE_TEXT"),
        (("sql", "-"), b"SELECT '\xff'", b"not valid UTF-8"),
        (("sql", "SELECT 1", "--format", "Nope"), b"", b"UNKNOWN_FORMAT"),
        (("sql", "SELECT 1", "--path", "a?b"), b"", b"must not contain ?"),
        (("sql", "SELECT 1", "--path", str(Path(__file__).resolve() / "x")), b"", b"cannot be opened"),
    ],
)
def test_an_error_goes_to_stderr(arguments: tuple[str, ...], stdin: bytes, words: bytes) -> None:
    """A failing query prints one line on stderr, without a stack trace, and exits 1 with an empty stdout."""
    code, out, err = run(*arguments, stdin=stdin)
    assert (code, out) == (1, b"")
    assert words in err and err.count(b"\n") == 1
    assert b"Traceback" not in err and b"Stack trace" not in err


def test_path_keeps_tables(tmp_path: Path) -> None:
    """What one run writes to --path the next one reads; without it nothing is kept."""
    create = "CREATE TABLE t (d String) ORDER BY d; INSERT INTO t VALUES ('a'), ('b')"
    path = str(tmp_path / "tables")
    assert run("sql", create, "--path", path) == (0, b"", b"")
    query = "SELECT BM25Rerank('b', groupArray(d), 1)[1].2 FROM t"
    assert run("sql", query, "--path", path) == (0, b"b\n", b"")
    assert run("sql", query)[0] == 1


def test_the_command_line_names_its_mistakes() -> None:
    """An unknown command or option exits 2 and shows the usage."""
    for arguments in (("nothing",), ("sql",), ("install", "--format", "CSV")):
        code, out, err = run(*arguments)
        assert (code, out) == (2, b"") and err.startswith(b"usage: clickhouse-rerank")


def test_worker_is_the_udf_process() -> None:
    """`clickhouse-rerank worker` speaks the engine's protocol."""
    row = b"a\t['a']\t1\tBM25\t\t\t\n"
    code, out, err = run("worker", "--format", "TabSeparated", stdin=b"1\n" + row)
    assert (code, err) == (0, b"") and out.startswith(b"[(0,'a',")


def test_functions_options(capsys: pytest.CaptureFixture[str]) -> None:
    """--replace and --on-cluster change each statement's head and nothing else."""
    assert cli.main(["functions"]) == 0
    plain = capsys.readouterr().out
    assert cli.main(["functions", "--replace", "--on-cluster", "{cluster}"]) == 0
    other = capsys.readouterr().out
    for provider in PROVIDERS.values():
        assert f"CREATE FUNCTION IF NOT EXISTS {provider.name}Rerank AS (" in plain
        assert f"CREATE OR REPLACE FUNCTION {provider.name}Rerank ON CLUSTER '{{cluster}}' AS (" in other
    assert cli.main(["functions", "--on-cluster", "o'b\\c"]) == 0
    assert "ON CLUSTER 'o\\'b\\\\c' AS" in capsys.readouterr().out


def files() -> dict[str, str]:
    return {f"{name}.sql": f"{statement}\n" for name, statement in functions.statements()}


def test_the_committed_functions_are_the_printed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """sql/functions holds one file per wrapper, as `clickhouse-rerank functions` prints it."""
    committed = {path.name: path.read_text("utf-8") for path in FUNCTIONS.iterdir()}
    assert committed == files(), "run: make generate"
    assert cli.main(["functions"]) == 0
    assert capsys.readouterr().out == "".join(files().values())


@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [(">&-", 0, ""), (">/dev/full", 1, "[Errno 28] No space left on device"), ("2>&-", 0, "")],
)
def test_streams_that_lead_nowhere(redirection: str, code: int, words: str) -> None:
    """Closed or full, they are no reason for a traceback."""
    line = f"{sys.executable} -m clickhouse_rerank.commands.cli functions {redirection}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (code, words)


def test_what_an_encoding_lacks_is_a_question_mark() -> None:
    """The demonstration has words of several languages."""
    environment = worker_environment(PYTHONIOENCODING="latin-1")
    command = [sys.executable, "-m", "clickhouse_rerank.commands.cli", "demo"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True, env=environment)
    assert done.stderr == b"" and b"?????" in done.stdout


def test_a_temporary_folder_that_the_engine_cannot_name(tmp_path: Path) -> None:
    """It reads a path as part of a URL."""
    folder = tmp_path / "a%20b"
    folder.mkdir()
    command = [sys.executable, "-m", "clickhouse_rerank.commands.cli", "sql", "SELECT 1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=worker_environment(TMPDIR=str(folder))
    )
    assert done.returncode == 1 and "Set TMPDIR" in done.stderr
    assert not list(folder.iterdir())


if __name__ == "__main__":
    for old in FUNCTIONS.glob("*.sql"):
        old.unlink()
    for file_name, text in files().items():
        (FUNCTIONS / file_name).write_text(text, "utf-8")


def test_a_reader_that_has_enough_hears_no_complaint() -> None:
    """Output into a closed pipe ends quietly."""
    command = [Path(sys.executable).with_name("clickhouse-rerank"), "providers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1
