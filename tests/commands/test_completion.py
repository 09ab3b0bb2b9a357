"""Scripts that complete the command, as the shell that reads them runs them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from clickhouse_rerank.commands import cli
from clickhouse_rerank.commands.arguments import SHELLS


def printed(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("clickhouse-rerank compl", {"completion"}),
        ("clickhouse-rerank completion ", {"bash", "zsh", "fish"}),
        ("clickhouse-rerank demo --provider Cohe", {"Cohere"}),
        ("clickhouse-rerank check --no", {"--no-calls"}),
        ("clickhouse-rerank install --config-dir ", {"folder"}),
        ("clickhouse-rerank install --config ", {"folder", "file"}),
        ("clickhouse-rerank sql 'SELECT 1' --path ", {"folder"}),
    ],
)
def test_bash_offers_what_the_parser_takes(
    line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, options, names of providers, and folders or files where an option takes one."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
    script = f"""{printed("bash", capsys)}
COMP_WORDS=({" ".join(map(shlex.quote, words))})
COMP_CWORD={len(words) - 1}
read -r _ _ _ _ function _ <<< "$(complete -p clickhouse-rerank)"
"$function"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert (set(done.stdout.split()), done.stderr) == (offered, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the shell can read it, where it is installed."""
    text = printed(shell, capsys)
    for command in ("demo", "sql", "install", "uninstall", "check", "bundle", "functions", "providers", "masking"):
        assert command in text
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_shell_that_has_no_script(capsys: pytest.CaptureFixture[str]) -> None:
    """The known ones are listed."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "sh"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and all(shell in said for shell in SHELLS)
