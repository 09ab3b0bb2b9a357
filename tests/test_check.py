"""`clickhouse-rerank check`: one line per finding, and a fix where there is something to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickhouse_rerank import cli, install
from provider import Provider, Reply

CONFIG = """
[credentials.good]
provider = "Cohere"
api_key_file = "{key}"
base_url = "{url}"
[credentials.revoked]
provider = "Jina"
api_key_file = "{other}"
base_url = "{url}"
[network]
allow_private = ["127.0.0.1"]
"""


class Installation:
    """Files as an operator has them, all as they should be."""

    def __init__(self, folder: Path, url: str) -> None:
        self.scripts, self.config_dir, self.config = folder / "scripts", folder / "etc", folder / "config.toml"
        self.key, self.other = folder / "key", folder / "other"
        for file in install.plan(self.scripts, self.config_dir):
            install.write(file)
        for path, text in ((self.key, "good-key"), (self.other, "bad-key"), (self.config, CONFIG)):
            path.write_text(text.format(key=self.key, other=self.other, url=url))
            path.chmod(0o600)

    def check(self, *arguments: str) -> int:
        places = ("--user-scripts", str(self.scripts), "--config-dir", str(self.config_dir))
        return cli.main(["check", *places, *arguments])


@pytest.fixture
def installation(tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """With a provider on loopback; its configuration is the one that a variable names."""
    made = Installation(tmp_path, provider.url)
    monkeypatch.setenv("CLICKHOUSE_RERANK_CONFIG", str(made.config))
    return made


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """(good, to be mended) findings that were printed."""
    out, err = capsys.readouterr()
    assert err == "" and "good-key" not in out and "bad-key" not in out
    told = out.splitlines()
    return [line[5:] for line in told if line[:3] == "ok "], [line[5:] for line in told if line[:3] == "FIX"]


@pytest.mark.usefixtures("dialled")
def test_each_credential_scores_a_document(
    installation: Installation, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """One request each; a key that is refused is a finding, and the exit code says that there is one."""
    script = provider.script
    provider.script = lambda request: Reply(401) if "bad-key" in request.headers["authorization"] else script(request)
    assert installation.check() == 1
    good, bad = lines(capsys)
    assert bad == ["cred:revoked for Jina: AUTH: Jina answered 401. Check the credential 'cred:revoked'."]
    assert "cred:good for Cohere scored a document" in good
    assert len(provider.requests) == 2


def test_without_calls_nothing_is_sent(
    installation: Installation, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """And everything else is looked at."""
    assert installation.check("--no-calls") == 0
    good, bad = lines(capsys)
    assert bad == [] and not provider.requests
    for path in (installation.scripts / "rerank", installation.config_dir / "rerank_function.xml", installation.config):
        assert f"{path} is as it should be" in good
    assert f"{installation.config} has 2 credentials" in good


@pytest.mark.parametrize(
    ("which", "mode", "fix"),
    [
        ("key", 0o644, "chmod o= "),
        ("key", 0o660, "chmod g-w "),
        ("config", 0o602, "chmod o-w "),
        ("config", 0o620, "chmod g-w "),
        ("launcher", 0o775, "chmod g-w "),
        ("launcher", 0o757, "chmod o-w "),
        ("registration", 0o646, "chmod o-w "),
    ],
)
def test_a_mode_that_lets_others_in_is_named(
    installation: Installation, capsys: pytest.CaptureFixture[str], which: str, mode: int, fix: str
) -> None:
    """With the command that mends it; running that command makes the finding go away."""
    path = {
        "key": installation.key,
        "config": installation.config,
        "launcher": installation.scripts / "rerank",
        "registration": installation.config_dir / "rerank_function.xml",
    }[which]
    path.chmod(mode)
    assert installation.check("--no-calls") == 1
    _, bad = lines(capsys)
    assert any(str(path) in line and fix + str(path) in line for line in bad), bad


def test_a_mistake_in_the_configuration_is_a_line(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same sentence that a query would give."""
    installation.config.write_text("[limits]\nrows = 1\n")
    assert installation.check() == 1
    assert any("[limits] has the unknown key rows." in line for line in lines(capsys)[1])


def test_no_configuration_is_none(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A server without one is in order."""
    monkeypatch.delenv("CLICKHOUSE_RERANK_CONFIG")
    monkeypatch.setattr("clickhouse_rerank.settings.DEFAULT_CONFIG", str(tmp_path / "none.toml"))
    assert installation.check() == 0
    assert "no configuration, none needed" in lines(capsys)[0]
