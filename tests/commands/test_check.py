"""`clickhouse-rerank check`: one line per finding, and a fix where there is something to mend."""

from __future__ import annotations

import builtins
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickhouse_http import Failure, Server
from clickhouse_rerank import __version__
from clickhouse_rerank.commands import cli, functions
from clickhouse_rerank.commands.check import launcher
from clickhouse_rerank.commands.install import accounts, changes
from clickhouse_rerank.engine.formats import FORMATS
from conftest import Sql, worker_environment
from provider import Provider, Reply

SERVER_UID = 54321
"""An account that no machine has."""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root judges for another account")
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
        self.folder = folder
        self.scripts, self.config_dir, self.config = folder / "scripts", folder / "etc", folder / "config.toml"
        self.key, self.other = folder / "key", folder / "other"
        for path, text in ((self.key, "good-key"), (self.other, "bad-key"), (self.config, CONFIG)):
            path.write_text(text.format(key=self.key, other=self.other, url=url))
            path.chmod(0o600)
        assert self.run("install") == 0
        self.launcher, self.registration = self.scripts / "rerank", self.config_dir / "rerank_function.xml"
        self.rules = self.config_dir / "config.d" / "rerank_masking.xml"

    @property
    def places(self) -> list[str]:
        places = {"user-scripts": self.scripts, "config-dir": self.config_dir, "config": self.config}
        return [f"--{name}={path}" for name, path in places.items()]

    def run(self, command: str, *arguments: str) -> int:
        return cli.main([command, *self.places, *arguments])

    def check(self, *arguments: str) -> int:
        return self.run("check", *arguments)


@pytest.fixture
def installed(tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]) -> Installation:
    made = Installation(tmp_path, provider.url)
    capsys.readouterr()
    return made


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """(good, to be mended) findings that were printed."""
    out, err = capsys.readouterr()
    assert err == "" and not any(secret in out for secret in ("good-key", "bad-key", "the-password"))
    told = out.splitlines()
    assert all(line[:5] in ("ok   ", "FIX  ") for line in told) and len(set(told)) == len(told)
    return [line[5:] for line in told if line[:3] == "ok "], [line[5:] for line in told if line[:3] == "FIX"]


@pytest.mark.usefixtures("dialled")
def test_each_credential_scores_a_document(
    installed: Installation, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """One request each; a key that is refused is a finding, and the exit code says that there is one."""
    script = provider.script
    provider.script = lambda request: Reply(401) if "bad-key" in request.headers["authorization"] else script(request)
    assert installed.check() == 1
    good, bad = lines(capsys)
    assert bad == ["cred:revoked for Jina: AUTH: Jina answered 401. Check the credential 'cred:revoked'."]
    assert "cred:good for Cohere scored a document" in good
    assert len(provider.requests) == 2


def test_without_calls_nothing_is_sent(
    installed: Installation, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    """And everything else is looked at."""
    assert installed.check("--no-calls") == 0
    good, bad = lines(capsys)
    assert bad == [] and not provider.requests
    one = installed
    for path in (one.launcher, one.registration, one.rules, one.config, one.key, one.other):
        assert f"{path} has the right owner and mode" in good
    assert f"{one.config} has 2 credentials" in good
    version = "{}.{}".format(*sys.version_info[:2])
    assert f"{one.launcher} runs clickhouse-rerank {__version__} on Python {version}" in good
    assert any(line.startswith(f"{one.launcher} answers as ") for line in good)


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
        ("rules", 0o664, "chmod g-w "),
        ("scripts", 0o777, "chmod o-w "),
        ("config_dir", 0o757, "chmod o-w "),
    ],
)
def test_a_mode_that_lets_others_in_is_named(
    installed: Installation, capsys: pytest.CaptureFixture[str], which: str, mode: int, fix: str
) -> None:
    """With the command that mends it: it makes the finding go away."""
    path: Path = getattr(installed, which)
    path.chmod(mode)
    mend(installed, capsys, fix + str(path))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("<stderr_reaction>throw<", "<stderr_reaction>log<", "stderr_reaction"),
        ("<send_chunk_header>1<", "<send_chunk_header>0<", "send_chunk_header"),
        ("<execute_direct>1<", "<execute_direct>0<", "execute_direct"),
        ("<name>query<", "<name>question<", "argument"),
        ("<type>UInt32<", "<type>Int32<", "argument"),
        ("<command_read_timeout>120000<", "<command_read_timeout>1000<", "command_read_timeout"),
    ],
)
def test_a_registration_that_its_worker_cannot_do_with_is_named(
    installed: Installation, capsys: pytest.CaptureFixture[str], old: str, new: str, named: str
) -> None:
    """Some of them would make every error an empty answer."""
    text = installed.registration.read_text()
    assert old in text
    installed.registration.write_text(text.replace(old, new, 1))
    assert installed.check("--no-calls") == 1
    _, (found,) = lines(capsys)
    assert f"has a {named} that the worker does not support" in found
    installed.registration.write_text(text)
    assert installed.check("--no-calls") == 0


def mend(installed: Installation, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """One finding has this command, which makes all well."""
    assert installed.check("--no-calls") == 1
    bad = [line for line in lines(capsys)[1] if command in line]
    assert bad, command
    for step in bad[0].partition("Run: ")[2].split(", or ")[0].split(" && "):
        subprocess.run(shlex.split(step), check=True)
    assert installed.check("--no-calls") == 0, lines(capsys)[1]
    lines(capsys)


def given_to_the_server(installed: Installation) -> None:
    """As a server's packages leave it, with the server's keys its own."""
    for path in (installed.scripts, installed.config_dir, installed.key, installed.other):
        os.chown(path, SERVER_UID, SERVER_UID)
    installed.config.chmod(0o640)
    os.chown(installed.config, 0, SERVER_UID)


@pytest.fixture
def on_a_server(provider: Provider, capsys: pytest.CaptureFixture[str]) -> Iterator[Installation]:
    """Seen by root, and run by an account of its own, in folders that it may enter, from a Python that it may run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        installed = Installation(folder, provider.url)
        given_to_the_server(installed)
        capsys.readouterr()
        yield installed


@AS_ROOT
@pytest.mark.parametrize(
    ("path", "mode", "fix"),
    [
        ("folder", 0o700, "chmod o+x {}"),
        ("launcher", 0o700, "chgrp {gid} {} && chmod g+rx {}"),
        ("registration", 0o600, "chgrp {gid} {} && chmod g+r {}"),
        ("config", 0o600, "chgrp {gid} {} && chmod g+r {}"),
    ],
)
def test_what_the_servers_user_cannot_reach(
    on_a_server: Installation, capsys: pytest.CaptureFixture[str], path: str, mode: int, fix: str
) -> None:
    """Root sees for the account that owns the folders; the first obstacle is named, with what removes it."""
    place: Path = getattr(on_a_server, path)
    place.chmod(mode)
    assert on_a_server.check("--no-calls") == 1
    bad = lines(capsys)[1]
    command = fix.format(place, place, gid=SERVER_UID).replace("{}", str(place))
    assert any("is not accessible to uid 54321, the server's user. Run: " + command in line for line in bad), bad


@AS_ROOT
def test_a_python_that_the_servers_user_cannot_reach(
    on_a_server: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An environment in somebody's home: `install` says so at once, and `check` later."""
    home = on_a_server.folder / "home"
    home.mkdir(mode=0o700)
    (home / "python3").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(home / "python3"))
    told = (
        f"{home}/python3 is not accessible to uid {SERVER_UID}, the server's user, because of the mode of {home}. Make "
    )
    assert on_a_server.run("install") == 0
    assert told in capsys.readouterr().out
    assert on_a_server.check("--no-calls") == 1
    (bad,) = lines(capsys)[1]
    assert bad.startswith(told)


UNPRIVILEGED = """
import os, sys
from clickhouse_rerank.commands import cli
from clickhouse_rerank.commands.check import command
from clickhouse_rerank.commands.install import command
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
sys.exit(cli.main(sys.argv[2:]))
"""


@AS_ROOT
@pytest.mark.parametrize("command", ["check", "install", "uninstall"])
def test_who_may_not_look(on_a_server: Installation, command: str) -> None:
    """Another user is told whom to be, and sees no traceback."""
    one = on_a_server
    for path in (one.scripts, one.config_dir):
        path.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-I", "-c", UNPRIVILEGED, str(SERVER_UID + 1), command, *one.places],
        env=worker_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Run this as root" in done.stdout + done.stderr and "Traceback" not in done.stderr


@AS_ROOT
def test_the_variables_of_root_are_handed_to_nobody() -> None:
    """What runs as the server's account may be of that account's making."""
    who = accounts.SystemAccount("uid 54321", SERVER_UID, SERVER_UID, ())
    variables = {"PATH": "/usr/bin:/bin", "CLICKHOUSE_PASSWORD": "the-password", "COHERE_API_KEY": "-"}
    code, out, _ = launcher._run(["/usr/bin/env"], b"", variables, who, ["COHERE_API_KEY"])
    assert code == 0 and set(out.decode().split()) == {"PATH=/usr/bin:/bin", "COHERE_API_KEY=-"}


@AS_ROOT
def test_nothing_is_run_as_root_for_a_server(on_a_server: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in the server's folders runs as the server's account."""
    seen = on_a_server.folder / "seen"
    seen.mkdir(mode=0o777)
    seen.chmod(0o1777)
    python = on_a_server.folder / "python3"
    python.write_text(f"#!/bin/sh\nid -u >> {seen}/uids\nexit 1\n")
    python.chmod(0o755)
    on_a_server.launcher.write_text(f"#!{python} -I\n")
    assert on_a_server.check("--no-calls") == 1
    assert set((seen / "uids").read_text().split()) == {str(SERVER_UID)}
    assert any(f"{python} does not run as uid 54321" in line for line in lines(capsys)[1])


@AS_ROOT
def test_a_server_is_who_owns_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the usual account, where there is one; in a container it may have no name."""
    folder = tmp_path / "a"
    folder.mkdir()
    os.chown(folder, SERVER_UID, 4)
    assert accounts.server_account([tmp_path, folder / "b" / "c"]) == (f"uid {SERVER_UID}", SERVER_UID, 4, ())
    monkeypatch.setattr(accounts, "_PACKAGED_ACCOUNT", "no-such-account")
    assert accounts.server_account([tmp_path]) is None
    monkeypatch.setattr(accounts, "_PACKAGED_ACCOUNT", "daemon")
    found = accounts.server_account([tmp_path])
    assert found is not None and found.name == "daemon"


@pytest.mark.parametrize("which", ["launcher", "registration", "rules"])
def test_a_missing_file_is_named(installed: Installation, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`install` puts it back."""
    path: Path = getattr(installed, which)
    path.unlink()
    assert installed.check("--no-calls") == 1
    assert f"{path} is missing. Run: clickhouse-rerank install" in lines(capsys)[1]
    assert installed.run("install") == 0
    assert installed.check("--no-calls") == 0


PYTHONS = [
    ("", "is not a launcher of clickhouse-rerank. Move it away."),
    ("#!/nonexistent/python3 -I\n", "names /nonexistent/python3, which does not exist. Run clickhouse-rerank install"),
    ("#!{old} -I\n", "is Python 3.9, but 3.11 is the oldest that works."),
    ("#!{bare} -I\n", "has no package clickhouse_rerank that "),
    ("#!{other} -I\n", "runs clickhouse-rerank 9.9.9 with "),
    ("#!{broken} -I\n", "does not run as "),
]


@pytest.mark.parametrize(("text", "told"), PYTHONS)
def test_the_launchers_python(
    installed: Installation, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gone, too old, without the package, or with another version of it: each is said, and the launcher not run."""
    says = {"old": "echo 3 9", "bare": "echo 3 12; exit 1", "other": "echo 3 12; echo 9.9.9", "broken": "exit 3"}
    pythons = {name: installed.folder / f"python-{name}" for name in says}
    for name, line in says.items():
        pythons[name].write_text(f"#!/bin/sh\n{line}\n")
        pythons[name].chmod(0o755)
    installed.launcher.write_text(text.format(**pythons))
    installed.launcher.chmod(0o755)
    assert installed.check("--no-calls") == 1
    bad = lines(capsys)[1]
    assert len(bad) == 1 and told in bad[0]


@pytest.mark.parametrize("name", FORMATS)
def test_the_launcher_answers_in_its_format(
    installed: Installation, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row through it, called as the registration says."""
    assert installed.run("install", "--format", name) == 0
    capsys.readouterr()
    assert installed.check("--no-calls") == 0
    assert any("answers as " in line for line in lines(capsys)[0])


def test_a_registration_that_does_not_fit_its_command(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """A format changed in one of its two places, and an element that is not XML, are found by that call."""
    text = installed.registration.read_text()
    installed.registration.write_text(text.replace("<format>JSONEachRow", "<format>TabSeparated"))
    assert installed.check("--no-calls") == 1
    assert "does not answer as " in " ".join(lines(capsys)[1])
    installed.registration.write_text(text.replace("<name>Rerank<", "<name>Other<"))
    assert installed.check("--no-calls") == 1
    assert "does not register Rerank with the command rerank." in " ".join(lines(capsys)[1])
    installed.registration.write_text(text[:-5])
    assert installed.check("--no-calls") == 1
    assert "cannot be read as XML." in " ".join(lines(capsys)[1])


def test_timeouts_that_do_not_fit_the_registration(installed: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """What the worker would say to a query, `check` says before."""
    with installed.config.open("a") as file:
        file.write("[limits]\nrow_deadline_s = 200\n")
    assert installed.check("--no-calls") == 1
    (bad,) = lines(capsys)[1]
    assert bad.startswith("limits.row_deadline_s plus limits.rate_limit_wait_s must be at least 5 s below")


def test_files_of_an_older_version(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version that wrote them is named; a file that was changed after is no mistake."""
    installed.registration.write_text(installed.registration.read_text() + "<!-- mine -->\n")
    assert installed.check("--no-calls") == 0
    assert any(line.startswith(f"{installed.registration} was changed after") for line in lines(capsys)[0])
    with monkeypatch.context() as older:
        older.setattr(changes, "__version__", "0.0.1")
        installed.registration.unlink()
        assert installed.run("install") == 0
    capsys.readouterr()
    assert installed.check("--no-calls") == 1
    assert lines(capsys)[1] == [
        f"{installed.registration} is from clickhouse-rerank 0.0.1, but this is {__version__}. "
        "Run: clickhouse-rerank install"
    ]


def test_a_mistake_in_the_configuration_is_a_line(installed: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """The same sentence that a query would give, once."""
    installed.config.write_text("[limits]\nrows = 1\n")
    assert installed.check() == 1
    (bad,) = lines(capsys)[1]
    assert "[limits] has the unknown key rows." in bad


def test_no_configuration_is_none(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server without one is in order; one that is named must be there."""
    installed.config.unlink()
    monkeypatch.delenv("CLICKHOUSE_RERANK_CONFIG", raising=False)
    assert installed.check() == 1
    assert any(line.startswith(f"{installed.config} cannot be read") for line in lines(capsys)[1])
    monkeypatch.setattr("clickhouse_rerank.config.settings.DEFAULT_CONFIG", str(installed.config))
    assert installed.check() == 0
    assert "there is no configuration; none is needed" in lines(capsys)[0]


@pytest.fixture
def server(sql: Sql) -> Iterator[Server]:
    """ClickHouse on loopback, which takes the user `operator`."""
    one = Server(sql.client, "operator", "the-password")
    yield one
    one.close()


class Url:
    """`check --url`, from a machine where nothing is installed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.config = folder / "empty.toml"  # not by the variable, for the engine's workers inherit that
        self.config.touch(0o600)
        monkeypatch.setenv("CLICKHOUSE_PASSWORD", "the-password")

    def __call__(self, url: str) -> tuple[list[str], list[str]]:
        nowhere = self.folder / "nowhere"
        places = (f"--user-scripts={nowhere}", f"--config-dir={nowhere}/etc", f"--config={self.config}")
        code = cli.main(["check", *places, f"--url={url}"])
        good, bad = lines(self.capsys)
        assert code == bool(bad)
        return [line for line in good if str(self.config) not in line], bad


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Url:
    return Url(tmp_path, monkeypatch, capsys)


@pytest.mark.usefixtures("dialled")
def test_a_server_that_is_well(look: Url, server: Server, sql: Sql) -> None:
    """Its version, the function, an answer, the wrappers; user and password from the URL or from variables."""
    count = sum(1 for _ in functions.statements())
    for user in ("operator", "operator:the-password"):
        good, bad = look(f"http://{user}@{server.address}/")
        assert bad == [] and good == [
            f"http://{server.address} is ClickHouse {sql.value('SELECT version()')}",
            "the server has loaded Rerank",
            "the server answers Rerank with BM25",
            f"the server has all {count} wrappers",
            "no setting of the user changes rows on their way",
        ]
    assert not any("password" in statement for statement in server.statements)


def replaced(part: str, by: str | Failure) -> Any:
    """Statements with `part` in them become `by`."""

    def change(statement: str) -> str | None:
        if part not in statement:
            return None
        if isinstance(by, Failure):
            raise by
        return by

    return change


NOTHING = "SELECT '' AS name WHERE 0"
NO_TABLE = Failure(60, "UNKNOWN_TABLE", "Table system.user_defined_functions does not exist.")
DENIED = Failure(497, "ACCESS_DENIED", "operator: Not enough privileges.")
FAILS = Failure(
    1, "UNSUPPORTED_METHOD", "Executable generates stderr: Rerank: CONFIG: f has the unknown key x. Known: y."
)
LOAD_ERROR = "SELECT 'Failed' AS a, 'Code: 36. DB::Exception: Unexpected\\n\\x1bformat CSVV. (BAD_ARGUMENTS)' AS b"
SERVERS: list[tuple[list[tuple[str, str | Failure]], str]] = [
    ([("name = 'Rerank'", NOTHING)], "the server has no Rerank. Run clickhouse-rerank install on its machine"),
    ([("origin FROM", NOTHING), ("load_status", LOAD_ERROR)],
     "the server cannot load Rerank: Unexpected format CSVV. (BAD_ARGUMENTS)"),
    ([("origin FROM", NOTHING), ("load_status", NO_TABLE)], "before 26.2 it does not report why. Run: SYSTEM RELOAD"),
    ([("origin FROM", "SELECT 'System'")], "the server has another function named Rerank (System)."),
    ([("origin FROM", DENIED)], "the user has no access: operator: Not enough privileges."),
    ([("'BM25'", FAILS)], "the server's Rerank fails: Rerank: CONFIG: f has the unknown key x. Known: y. Run check"),
    ([("'BM25'", "SELECT 'green pear'")], "the server's Rerank gives a wrong answer."),
    ([("settings WHERE changed", "SELECT 'input_format_tsv_skip_first_lines' AS name, '1' AS value")],
     "Set input_format_tsv_skip_first_lines = 0, else a query hangs with TabSeparated"),
    ([("settings WHERE changed", "SELECT 'output_format_json_validate_utf8' AS name, '1' AS value")],
     "Set output_format_json_validate_utf8 = 0, else JSONEachRow does not return invalid UTF-8 as it was"),
    ([("SQLUserDefined", "SELECT 'BM25Rerank' AS name")], "the server has 1 wrappers, but not AnthropicRerank, "),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), SERVERS)
def test_a_server_that_is_not(look: Url, server: Server, changes: list[tuple[str, str | Failure]], told: str) -> None:
    """One finding, with its fix."""

    def change(statement: str) -> str | None:
        return next((new for part, by in changes if (new := replaced(part, by)(statement)) is not None), None)

    server.change = change
    _, bad = look(f"http://operator@{server.address}")
    assert len(bad) == 1 and told in bad[0]


def test_wrappers_are_a_choice(look: Url, server: Server) -> None:
    """A server without any is in order; how to make them is said."""
    server.change = replaced("SQLUserDefined", NOTHING)
    good, bad = look(f"http://operator@{server.address}")
    assert bad == [] and "clickhouse-rerank functions | clickhouse-client" in good[-2]


def test_a_wrong_password(look: Url, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is named, the password is not."""
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "bad-key")
    _, bad = look(f"http://operator@{server.address}")
    assert bad == [
        f"http://{server.address} does not accept the user 'operator' with this password. Set CLICKHOUSE_PASSWORD."
    ]
    monkeypatch.setenv("CLICKHOUSE_USER", "bad-key")
    assert look(f"http://x:bad-key@{server.address}")[1] == [bad[0].replace("operator", "x")]


def test_nobody_there(look: Url) -> None:
    """A port that nobody listens on, and one behind which is no ClickHouse."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    _, bad = look(f"http://operator@{closed}")
    assert bad == [
        f"http://{closed} does not answer like a ClickHouse server. "
        "Check host, port (8123 or 8443, not 9000) and http_port."
    ]


def test_another_service_there(look: Url, provider: Provider) -> None:
    """Something that speaks HTTP and is no ClickHouse."""
    host = provider.url.split("/")[2]
    provider.script = lambda _: Reply(404, body=b"not here")
    _, bad = look(f"http://operator@{host}")
    assert len(bad) == 1 and f"http://{host} " in bad[0]


@pytest.mark.parametrize(
    "url", ["clickhouse://h:9000", "h:8123", "http://", "http://h:x/", "http://h/?password=the-password"]
)
def test_a_url_that_is_none(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its form is said."""
    assert cli.main(["check", "--url", url]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == "Rerank: BAD_URL: --url must be of the form http://host:8123/ or https://host:8443/.\n"


def test_without_the_package(look: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    """How to get it is said."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("clickhouse_connect"):
            raise ImportError
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    _, bad = look("http://127.0.0.1:9/")
    assert bad == [
        "--url needs the package clickhouse-connect. "
        "Run in a checkout: pip install '.[check]' (once published: pip install 'clickhouse-rerank[check]')"
    ]
