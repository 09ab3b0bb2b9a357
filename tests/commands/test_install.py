"""Installation: what ClickHouse looks for, where it looks; that it works there, and goes without trace."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import engine_bytes
from clickhouse_rerank.commands import cli
from clickhouse_rerank.commands.arguments import build_parser
from clickhouse_rerank.commands.install import accounts, artifacts, changes
from clickhouse_rerank.commands.install.manifest import digest
from clickhouse_rerank.commands.install.paths import InstallPaths
from clickhouse_rerank.config.settings import Settings, parse, reference
from clickhouse_rerank.types import Row
from conftest import ROOT, Worker, worker_environment
from model_folder import make

FORMATS = engine_bytes.FORMATS
SERVER_UID = 54321
"""An account that no machine has."""
SERVER_CONFIG = """<clickhouse>
  <logger><level>none</level></logger>
  <user_scripts_path>{root}/var/lib/clickhouse/user_scripts/</user_scripts_path>
  <user_defined_executable_functions_config>*_function.xml</user_defined_executable_functions_config>
</clickhouse>
"""


class Root:
    """A scratch root laid out as a server's packages leave it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.scripts = folder / "var/lib/clickhouse/user_scripts"
        self.etc = folder / "etc/clickhouse-server"
        self.config = folder / "etc/clickhouse-rerank/config.toml"
        closed = 0o500 if os.geteuid() == 0 else 0o700
        for made, mode in ((self.scripts, 0o750), (self.etc / "config.d", closed), (folder / "run", 0o755)):
            made.mkdir(parents=True)
            made.chmod(mode)
        (self.etc / "config.xml").write_text(SERVER_CONFIG.format(root=folder))
        (self.etc / "config.xml").chmod(0o400)
        self.launcher, self.registration = self.scripts / "rerank", self.etc / "rerank_function.xml"
        self.rules, self.manifest = self.etc / "config.d" / "rerank_masking.xml", self.etc / "rerank_installed.json"

    @property
    def files(self) -> tuple[Path, ...]:
        return self.launcher, self.config, self.rules, self.registration, self.manifest

    def run(self, command: str, *arguments: str) -> int:
        places = ("--user-scripts", str(self.scripts), "--config-dir", str(self.etc), "--config", str(self.config))
        return cli.main([command, *places, *arguments])

    def state(self) -> dict[str, tuple[int, int, int, bytes | None]]:
        """Path -> mode, owner, group, content of every file and folder."""
        found = {}
        for path in sorted(self.path.rglob("*")):
            status = path.lstat()
            text = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, text)
        return found


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def words(registration: Path) -> tuple[str, str, str]:
    function = ElementTree.parse(registration).getroot()[0]
    return function.findtext("format", ""), function.findtext("command", ""), function.findtext("pool_size", "")


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


SERVER = """
import sys
from chdb.session import Session
session = Session(f"{sys.argv[1]}/run/data?config-file={sys.argv[1]}/etc/clickhouse-server/config.xml")
def ask(sql):
    try:
        print(str(session.query(sql, "TSV")).strip(), flush=True)
    except RuntimeError as error:
        print(str(error)[:300], flush=True)
ask("SELECT Rerank('red apple', ['green pear', 'red apple'], 1, 'BM25', '', '', '')[1].2")
ask("SELECT pool_size, format, load_status FROM system.user_defined_functions WHERE name = 'Rerank'")
ask("SELECT Rerank('q', ['d'], 1, 'Cohere', 'https://other.example/', 'k', '')")
sys.stdin.readline() or sys.exit(0)
ask("SYSTEM RELOAD FUNCTIONS")
ask("SELECT name FROM system.functions WHERE name = 'Rerank'")
ask("SELECT 'end'")
session.close()
"""


def test_a_root_laid_out_like_a_server(root: Root) -> None:
    """Installed, the engine that is started with that configuration answers by it; uninstalled, all is as it was."""
    before = root.state()
    assert root.run("install", "--format", "RowBinary", "--pool-size", "3") == 0
    assert set(root.state()) - set(before) == {str(path) for path in (*root.files, root.config.parent)}
    root.config.write_text('[network]\nallow_hosts = ["api.example"]\n')
    engine = subprocess.Popen(
        [sys.executable, "-I", "-c", SERVER, str(root.path)],
        env=worker_environment(CLICKHOUSE_RERANK_CONFIG=str(root.config)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with engine:
        assert engine.stdin is not None and engine.stdout is not None
        assert engine.stdout.readline() == "red apple\n"
        assert engine.stdout.readline() == "3\tRowBinary\tSuccess\n"
        assert "BLOCKED" in engine.stdout.readline()
        root.config.write_text(artifacts.configuration())
        assert root.run("uninstall") == 0
        out, _ = engine.communicate("\n", timeout=60)
    assert out.split() == ["end"], out
    shutil.rmtree(root.path / "run/data")
    assert root.state() == before


def test_what_is_put_and_how(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """Files are the installer's and readable by the server; folders are made; what is next is printed."""
    old = os.umask(0o077)
    try:
        assert root.run("install") == 0
    finally:
        os.umask(old)
    assert modes(root.launcher, root.rules, root.registration, root.manifest) == [0o755, 0o644, 0o644, 0o644]
    assert modes(root.config.parent) == [0o755]
    assert {path.stat().st_uid for path in root.files} == {os.geteuid()}
    assert words(root.registration) == ("JSONEachRow", "rerank", "16")
    out = capsys.readouterr().out
    assert f"wrote {root.launcher}\n" in out and "SYSTEM RELOAD FUNCTIONS" in out
    assert f"CLICKHOUSE_RERANK_CONFIG={root.config}" in out
    assert not [path for path in root.path.rglob("*") if path.name.startswith(".")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_server_reads_the_configuration_and_other_users_do_not(root: Root) -> None:
    """Its group is that of the account that owns the server's folders; everything else stays root's."""
    for folder in (root.scripts, root.etc):
        os.chown(folder, SERVER_UID, SERVER_UID)
    assert root.run("install") == 0
    status = root.config.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, SERVER_UID)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in root.files if path != root.config} == {(0, 0)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_server_that_nobody_knows_can_read_the_configuration(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of root's and no account of the usual name: readable by all, until keys are in it."""
    monkeypatch.setattr(accounts, "_PACKAGED_ACCOUNT", "no-such-account")
    assert root.run("install") == 0
    assert modes(root.config) == [0o644]
    root.config.write_text('[credentials.p]\nprovider = "Cohere"\napi_key = "the-key"\n')
    assert root.run("check", "--no-calls") == 1


def test_installing_again_changes_nothing(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even the files' identities; format and pool size are those of the last time."""
    assert root.run("install", "--format", "TabSeparated", "--pool-size", "7") == 0
    before = {path: path.stat().st_ino for path in root.files}
    capsys.readouterr()
    assert root.run("install") == 0
    assert {path: path.stat().st_ino for path in root.files} == before
    out = capsys.readouterr().out
    assert out.count("unchanged ") == 3 and "wrote" not in out and f"kept {root.config}" in out
    assert root.run("install", "--pool-size", "9") == 0
    assert words(root.registration) == ("TabSeparated", "rerank --format TabSeparated", "9")


def test_an_upgrade_replaces_what_the_older_version_wrote(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the configuration, which stays even untouched, and goes with `uninstall` all the same."""
    before = root.state()
    with monkeypatch.context() as older:
        source = artifacts.source
        older.setattr(artifacts, "source", lambda name: source(name) + ("" if name == artifacts.REGISTRATION else "\n"))
        older.setattr(changes, "__version__", "0.0.1")
        older.setattr("clickhouse_rerank.commands.masking.xml", lambda: "<clickhouse/>\n")
        assert root.run("install") == 0
    old = root.config.read_text()
    assert root.run("install") == 0
    assert root.launcher.read_text() == artifacts.launcher() and "rule_rerank_1" in root.rules.read_text()
    assert root.config.read_text() == old != artifacts.configuration()
    assert json.loads(root.manifest.read_text())["version"] == changes.__version__
    assert root.run("uninstall") == 0
    assert root.state() == before


def test_a_crash_between_two_files_is_no_riddle_for_the_next_run(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the broken run had written, the next one knows as its own, old and new."""
    before = root.state()
    assert root.run("install", "--format", "RowBinary") == 0
    write, written = artifacts.write, []

    def cut(file: artifacts.File) -> None:
        written.append(file.path)
        if written == [root.manifest, root.registration, root.manifest]:
            raise OSError("power cut")
        write(file)

    monkeypatch.setattr(artifacts, "write", cut)
    assert root.run("install", "--format", "JSONEachRow") == 1
    monkeypatch.setattr(artifacts, "write", write)
    assert words(root.registration)[0] == "JSONEachRow"
    assert root.run("install", "--format", "TabSeparated") == 0
    assert words(root.registration)[0] == "TabSeparated"
    assert root.run("uninstall") == 0
    assert root.state() == before


def test_what_an_operator_changed_stays(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither `install` nor `uninstall` touches it; each names it, and exits with 3."""
    assert root.run("install") == 0
    edited = root.registration.read_text().replace("120000", "240000")
    root.registration.write_text(edited)
    root.config.write_text('[credentials.p]\nprovider = "Cohere"\napi_key = "the-key"\n')
    root.config.chmod(0o600)
    capsys.readouterr()
    assert root.run("install", "--format", "RowBinary", "--dry-run") == 3
    assert root.run("install", "--format", "RowBinary") == 3
    assert root.registration.read_text() == edited
    out = capsys.readouterr().out
    assert f"kept {root.registration}: it is not as install wrote it." in out
    assert "the-key" not in out and "240000" not in out
    assert root.run("uninstall") == 3
    out = capsys.readouterr().out
    assert f"kept {root.registration}" in out and f"kept {root.config}" in out
    assert root.registration.read_text() == edited and "the-key" in root.config.read_text()
    assert not any(path.exists() for path in (root.launcher, root.rules, root.manifest))
    assert root.run("uninstall") == 0
    assert "nothing is installed" in capsys.readouterr().out


def test_a_configuration_that_was_there_is_kept(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """Unread and unshown, even if it is as `install` would write it; keeping it is no failure."""
    root.config.parent.mkdir()
    for text in (artifacts.configuration(), 'api_key = "the-key"'):
        root.config.write_text(text)
        before = root.state()
        assert root.run("install", "--dry-run") == root.run("install") == 0
        assert root.run("uninstall", "--dry-run") == root.run("uninstall") == 0
        assert root.state() == before
        assert "the-key" not in capsys.readouterr().out


@pytest.mark.parametrize("dry", [True, False])
def test_it_brings_a_model(root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: bool) -> None:
    """Into its folder and a new configuration, which the worker can read; a dry run brings nothing."""
    model, models = make(tmp_path / "words"), root.path / "var/lib/clickhouse-rerank/models"
    before = root.state()
    assert root.run("install", "--model", str(model), "--models", str(models), *["--dry-run"] * dry) == 0
    out = capsys.readouterr().out
    table = f'[models.words]\npath = "{models}/words"\n'
    if dry:
        assert out.startswith(f"would bring {model} into {models}\n") and table in out and root.state() == before
        return
    assert out.startswith(f"Added words: {models}/words, 0.0 MB\n")
    assert root.config.read_text().endswith(f"\n{table}")
    assert parse(tomllib.loads(root.config.read_text()), {}, where="c").models["words"].folder == models / "words"
    assert root.run("uninstall") == 0
    assert (models / "words" / "tokenizer.json").is_file() and not root.config.exists()


def test_a_configuration_that_is_kept_lacks_the_model(
    root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines for it are printed; a model that cannot score changes nothing of the server."""
    model, models = make(tmp_path / "words"), root.path / "models"
    root.config.parent.mkdir(parents=True)
    root.config.write_text("")
    assert root.run("install", "--model", str(model), "--models", str(models)) == 0
    assert f'Add to it:\n\n[models.words]\npath = "{models}/words"\n' in capsys.readouterr().out
    assert root.run("uninstall") == 0
    (model / "onnx" / "model.onnx").write_bytes(b"junk")
    before = root.state()
    assert root.run("install", "--model", str(model), "--models", str(models)) == 1
    assert root.state() == before and "has no usable network" in capsys.readouterr().err


def test_a_stranger_of_the_same_name_stays(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """A script called rerank that no install wrote is neither replaced nor removed."""
    root.launcher.write_text("#!/bin/sh\nKEY=the-key\n")
    assert root.run("install") == 3
    assert "the-key" in root.launcher.read_text()
    out = capsys.readouterr().out
    assert f"kept {root.launcher}: " in out and "the-key" not in out
    assert root.run("uninstall") == 0
    assert root.launcher.exists()


def test_a_mode_that_was_changed_is_set_again(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """A launcher that lost its x gets it back."""
    assert root.run("install") == 0
    root.launcher.chmod(0o600)
    assert root.run("install", "--dry-run") == 0
    assert f"would set the owner and mode of {root.launcher} (mode 755)" in capsys.readouterr().out
    assert root.run("install") == 0
    assert modes(root.launcher) == [0o755]


def test_a_dry_run_prints_every_change_and_makes_none(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """New files whole, changed ones as a unified diff, folders; and the same for `uninstall`."""
    before = root.state()
    assert root.run("install", "--dry-run") == 0
    assert root.state() == before
    out = capsys.readouterr().out
    assert f"would make folder {root.config.parent}\n" in out
    for path, mode, line in zip(
        root.files,
        ("755", r"6\d\d", "644", "644", "644"),
        ("main(sys.argv[1:])", "#row_deadline_s = 30", "<rule_rerank_1>", "<name>Rerank</name>", '"pool_size": 16'),
        strict=True,
    ):
        assert re.search(rf"would write {re.escape(str(path))} \(mode {mode}\):\n", out) and line in out
    assert root.run("install") == 0
    after = root.state()
    capsys.readouterr()
    assert root.run("install", "--dry-run", "--format", "RowBinary") == 0
    out = capsys.readouterr().out
    assert f"--- {root.registration}\n+++ {root.registration}\n@@ " in out
    assert "\n-    <format>JSONEachRow</format>\n" in out and "\n+    <format>RowBinary</format>\n" in out
    assert out.count("unchanged ") == 2 and "pool_size>16" not in out
    assert root.run("uninstall", "--dry-run") == 0
    assert root.state() == after
    assert f"would remove {root.launcher}\n" in capsys.readouterr().out


def test_a_folder_with_somebodys_file_in_it_stays(root: Root) -> None:
    """Folders that were made go only if they are empty; those that were there stay even empty."""
    root.scripts.rmdir()
    assert root.run("install") == 0
    (root.scripts / "other").write_text("")
    (root.config.parent / "mine.toml").write_text("")
    assert root.run("uninstall") == 0
    assert (root.scripts / "other").exists() and (root.config.parent / "mine.toml").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}'])
def test_a_damaged_record_is_one_line(root: Root, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is guessed: the record is named, nothing is changed."""
    assert root.run("install") == 0
    root.manifest.write_text(text)
    before = root.state()
    capsys.readouterr()
    for command in ("install", "uninstall"):
        assert root.run(command) == 1
        out, err = capsys.readouterr()
        assert out == "" and f"{root.manifest} is damaged." in err and err.count("\n") == 1
    assert root.state() == before


def test_a_forged_record_leads_nowhere(root: Root) -> None:
    """The server's user may write it: files and folders elsewhere are not removed on its word."""
    assert root.run("install") == 0
    other, folder = root.path / "other", root.path / "empty"
    other.write_text("x")
    folder.mkdir()
    forged = json.loads(root.manifest.read_text())
    forged["digests"][str(other)] = [digest(b"x")]
    forged["folders"] += [str(folder)]
    root.manifest.write_text(json.dumps(forged))
    assert root.run("uninstall") == 0
    assert other.exists() and folder.exists()


def test_uninstall_wants_the_options_of_install(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """With another place of the configuration, nothing is removed, and the one that was installed is named."""
    before = root.state()
    assert root.run("install") == 0
    after = root.state()
    assert root.run("uninstall", "--config", str(root.path / "other.toml")) == 1
    assert f"{root.config} was installed too." in capsys.readouterr().err
    assert root.state() == after
    assert root.run("uninstall") == 0
    assert root.state() == before


def test_a_link_in_the_way_is_not_followed(root: Root) -> None:
    """What the server's user plants in its folder does not lead the installer's hand."""
    target = root.path / "target"
    target.write_text("stays")
    for name in (".rerank.new", ".rerank"):
        (root.scripts / name).symlink_to(target)
    assert root.run("install") == 0
    assert target.read_text() == "stays"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The path is named on stderr, with a non-zero exit code."""
    (tmp_path / "file").write_text("")
    folder = str(tmp_path / "file" / "scripts")
    assert cli.main(["install", "--user-scripts", folder, "--config-dir", folder]) == 1
    out, err = capsys.readouterr()
    assert out == "" and str(tmp_path / "file") in err and err.count("\n") == 1


def test_who_may_not_write_is_told_before_anything_is_written(
    root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One folder that is closed, and none of the others is touched."""
    before = root.state()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != root.etc)
    assert root.run("install") == 1
    assert root.state() == before
    out, err = capsys.readouterr()
    assert out == "" and f"{root.etc} cannot be written to by this user. Run this as root" in err


SERVERS_OWN = [
    ({"config.xml": "<clickhouse/>"}, "has no user_defined_executable_functions_config"),
    ({"config.xml": SERVER_CONFIG.replace("*_function.xml", "/other/*.xml")}, "functions_config /other/*.xml, so the"),
    ({"config.xml": SERVER_CONFIG.replace("*_function.xml", "*_function.*ml")}, ""),
    ({"config.xml": SERVER_CONFIG, "config.d/z.xml": "<a><user_scripts_path>/s</user_scripts_path></a>"},
     "Run install with --user-scripts /s"),
    ({"config.xml": "<clickhouse/>", "config.d/f.xml": SERVER_CONFIG}, ""),
    ({"config.xml": "<clickhouse/>", "config.d/f.yaml": "user_defined_executable_functions_config: x"}, ""),
    ({"config.xml": "<clickhouse>"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("files", "told"), SERVERS_OWN)
def test_what_the_servers_own_configuration_says(
    root: Root, files: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it would not read the registration or find the command, `install` and `check` say what to change."""
    for name, text in files.items():
        (root.etc / name).unlink(missing_ok=True)
        (root.etc / name).write_text(text.format(root=root.path))
    assert root.run("install") == 0
    installed = capsys.readouterr().out
    assert root.run("check", "--no-calls") == bool(told)
    checked = capsys.readouterr().out
    for out in (installed, checked):
        assert told in out and ("so the server" in out) == bool(told)


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
    """Both files in one folder are chDB's udf_path; the worker does not reach loopback. Nothing else is put."""
    udf = str(tmp_path / "udf")
    where = ("--user-scripts", udf, "--config-dir", udf)
    assert cli.main(["install", *where, "--format", name]) == 0
    assert sorted(path.name for path in Path(udf).iterdir()) == [
        "rerank",
        "rerank_function.xml",
        "rerank_installed.json",
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-c", QUERY, udf, str(tmp_path / "data")],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["red", "apple", "True"], done.stderr
    assert cli.main(["uninstall", *where]) == 0
    assert not (tmp_path / "udf").exists()


def answer_of(folder: Path) -> bytes:
    """What the installed launcher answers to one chunk."""
    one = Worker(folder / "rerank", ["--format", "TabSeparated"], worker_environment())
    try:
        one.send(engine_bytes.chunk([Row("a", ["b", "a"], 1, "BM25", "", "", "")], "TabSeparated"))
        (line,) = one.lines(1)
        assert one.finish() == (0, b"", b"")
        return line
    finally:
        one.process.kill()
        one.process.communicate()


def test_the_launcher_is_bound_to_its_interpreter(tmp_path: Path) -> None:
    """The first line names the interpreter that has the package, isolated from the server's environment."""
    for file in artifacts.plan(tmp_path, tmp_path):
        artifacts.write(file)
    assert (tmp_path / "rerank").read_text().startswith(f"#!{sys.executable} -I\n")
    assert answer_of(tmp_path).startswith(b"[(1,'a',")


def test_the_first_line_is_counted_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel cuts at bytes: a path of few characters may be too long."""
    monkeypatch.setattr(sys, "executable", "/" + "ü" * 70)
    assert artifacts.launcher().startswith("#!/bin/sh\n")


@pytest.mark.parametrize("folder", ["x" * 120, "a folder"])
def test_an_interpreter_that_fits_no_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """A path too long for the kernel's first line, or with a space, is reached through a shell."""
    python = tmp_path / folder / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    for file in artifacts.plan(tmp_path, tmp_path):
        artifacts.write(file)
    assert (tmp_path / "rerank").read_text().startswith("#!/bin/sh\n")
    assert artifacts.interpreter(artifacts.launcher()) == str(python)
    assert answer_of(tmp_path).startswith(b"[(1,'a',")


def test_the_registration_leaves_time_for_the_workers_own_deadline() -> None:
    """The engine's silence limit is above the default deadline of a row, so the user reads the worker's reason."""
    from clickhouse_rerank.config.settings import Limits

    function = ElementTree.fromstring(artifacts.registration("JSONEachRow"))[0]
    values = {element.tag: element.text for element in function}
    assert int(str(values["command_read_timeout"])) > 1000 * Limits().row_deadline_s
    assert (values["stderr_reaction"], values["send_chunk_header"], values["type"]) == ("throw", "1", "executable_pool")


def test_another_folder_leaves_nothing_in_the_old_one(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands where it belonged before goes, or is named if it was changed since."""
    before = root.state()
    assert root.run("install") == 0
    elsewhere = root.launcher.parent.with_name("elsewhere")
    assert root.run("install", "--user-scripts", str(elsewhere), "--dry-run") == 0
    assert f"would remove {root.launcher}" in capsys.readouterr().out and root.launcher.exists()
    assert root.run("install", "--user-scripts", str(elsewhere)) == 0
    assert f"removed {root.launcher}" in capsys.readouterr().out and not root.launcher.exists()
    assert root.run("install") == 0
    elsewhere.rmdir()
    assert root.run("uninstall") == 0
    assert root.state() == before


def test_a_record_that_is_lost_is_found_again(root: Root) -> None:
    """Files that are as an install would write them are an install's, but for the configuration."""
    assert root.run("install") == 0
    root.manifest.unlink()
    assert root.run("install") == 0
    assert root.run("uninstall") == 0
    assert not root.launcher.exists() and root.config.exists()


@pytest.mark.parametrize("size", ["0", "-1", "x"])
def test_a_pool_has_a_size(root: Root, size: str) -> None:
    """Anything but a positive number is a mistake in the command."""
    with pytest.raises(SystemExit) as raised:
        root.run("install", "--pool-size", size)
    assert raised.value.code == 2


TEMPLATE = (ROOT / "udf" / "config.toml").read_text("utf-8")
SETTINGS = re.sub(r"(?m)^#(?=[\[a-z])", "", TEMPLATE)
"""With every setting that stands in a comment made."""


def test_the_installed_configuration_makes_no_setting() -> None:
    """It is read, and is the same as none."""
    assert parse(tomllib.loads(TEMPLATE), {}, where="f") == Settings()


_EXAMPLE = {"credentials": "prod", "models": "minilm"}
"""Table whose tables have names of their own -> the name in the template."""


def test_the_installed_configuration_names_every_setting() -> None:
    """Each section and key that settings.py declares, in its order of sections: a new one belongs into it too."""
    document = tomllib.loads(SETTINGS)
    named = [
        (section, key)
        for section in document
        for key in document[section].get(_EXAMPLE.get(section, ""), document[section])
    ]
    declared = [(table.removesuffix(".NAME"), key) for table, key, _ in reference()]
    assert list(dict(named)) == list(dict(declared)), "sections of udf/config.toml and of settings.py differ"
    assert sorted(named) == sorted(declared), "keys of udf/config.toml and of settings.py differ"


def test_the_installed_configuration_shows_the_defaults() -> None:
    """Each number is what holds without it, and with one key per credential all of it is taken."""
    document = tomllib.loads(SETTINGS)
    for table, key, what in reference():
        if what.check.type in (int, float, bool) and what.default is not None:
            name = table.removesuffix(".NAME")
            section = document[name][_EXAMPLE[name]] if table.endswith(".NAME") else document[name]
            assert section[key] == what.default, key
    for key in ("api_key_file", "api_key_env", "aws_identity"):
        del document["credentials"]["prod"][key]
    del document["network"]["ca_file"]
    assert dataclasses.replace(parse(document, {}, where="f").limits, counters="") == Settings().limits


def test_default_paths_are_those_of_the_packages() -> None:
    """Without options: where a server's packages look, and where the worker looks."""
    paths = InstallPaths.of(build_parser().parse_args(["install"]), os.environ)
    assert paths == InstallPaths(
        Path("/var/lib/clickhouse/user_scripts"),
        Path("/etc/clickhouse-server"),
        Path(os.environ.get("CLICKHOUSE_RERANK_CONFIG", "/etc/clickhouse-rerank/config.toml")),
    )
