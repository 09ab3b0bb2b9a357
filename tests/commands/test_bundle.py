"""The ZIP for ClickHouse Cloud, unpacked and run as there; `make generate` writes what is generated."""

from __future__ import annotations

import io
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clickhouse_rerank
import engine_bytes
from clickhouse_rerank.admission.shared_folder import shared_folder
from clickhouse_rerank.commands import bundle, cli
from clickhouse_rerank.commands.install import artifacts
from clickhouse_rerank.config.settings import Limits, Settings
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.types import Row
from conftest import ROOT, Worker
from provider import Provider, Reply

REQUIREMENTS = ROOT / "udf" / "requirements.txt"
LOCK = ROOT / "requirements" / "dev.txt"
PAGE = ROOT / "docs" / "cloud.md"
PACKAGE = Path(clickhouse_rerank.__file__).parent
FORMATS = engine_bytes.FORMATS
NOT_IN_A_WORKER = {"shtab"}
CLOUD = {**default_environment(), "python_version": "3.11", "python_full_version": "3.11.0", "extra": ""}


def needed(names: list[str], seen: set[str]) -> Iterator[str]:
    """What these requirements bring with them on the service's Python, themselves included; no extras."""
    for requirement in map(Requirement, names):
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate(CLOUD)):
            continue
        seen.add(name)
        yield name
        yield from needed(distribution(name).requires or [], seen)


def requirements() -> str:
    """What a worker needs, with the versions that the tests run with."""
    pins: dict[str, str] = {}
    for line in re.findall(r"(?m)^[a-z0-9-]+==[^\\\n]+", LOCK.read_text("utf-8")):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(CLOUD):
            pins[pin.name] = f"{pin.name}{pin.specifier}\n"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    ours = [name for name in declared if Requirement(name).name not in NOT_IN_A_WORKER]
    return "".join(pins[name] for name in sorted(needed(ours, set())))


def with_values(text: str) -> str:
    """The page with the values of the console as they are printed."""
    rows = "".join(f"| {field} | `{value}` |\n" for field, value in bundle.values("RowBinary"))
    block = re.compile(r"(<!-- values -->\n).*?(<!-- /values -->)", re.DOTALL)
    text, found = block.subn(lambda match: f"{match[1]}| field | value |\n|---|---|\n{rows}{match[2]}", text)
    assert found == 1
    return text


def test_what_is_generated_is_current() -> None:
    """The pins, and the table in the documentation."""
    assert REQUIREMENTS.read_text("utf-8") == requirements(), "run: make generate"
    assert with_values(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8"), "run: make generate"


def test_terraform_says_the_same() -> None:
    """The resource in the documentation has the values of the console."""
    (block,) = re.findall(r"```terraform\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    said = {key: value.strip('"') for key, value in re.findall(r"(?m)^  (\w+) += (?!\[)(.*)$", block)}
    arguments = re.findall(r'name = "(\w+)", type = "(.*?)"', block)
    console = dict(bundle.values("RowBinary"))
    assert ", ".join(map(" ".join, arguments)) == console["Arguments"]
    assert said["sandbox_type"] == "netenable" and console["Network access"] == "enabled"
    for key, field in {
        "function_name": "Name",
        "runtime": "Runtime type",
        "type": "Type",
        "format": "Format",
        "return_type": "Return type",
        "send_chunk_header": "Send chunk header",
        "pool_size": "Pool size",
        "max_command_execution_time": "Max command exec time (s)",
        "command_read_timeout": "Command read timeout (ms)",
        "command_write_timeout": "Command write timeout (ms)",
    }.items():
        assert said[key] == console[field], key


def test_the_zip_holds_regular_files_only_and_all_of_the_package() -> None:
    """main.py, which may be executed, the pins and each module; sorted, without the time and user of its making."""
    data = bundle.archive("RowBinary")
    assert data == bundle.archive("RowBinary")
    entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    names = [entry.filename for entry in entries]
    modules = {f"clickhouse_rerank/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*.py")}
    assert names == sorted({"main.py", "requirements.txt", *modules})
    for entry in entries:
        mode = 0o100755 if entry.filename == "main.py" else 0o100644
        assert (entry.external_attr >> 16, entry.create_system) == (mode, 3), entry.filename
        assert (entry.date_time, entry.compress_type) == ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)


ARCHIVE = """
import sys
sys.path.insert(0, sys.argv[1])
from clickhouse_rerank.commands import bundle
sys.stdout.buffer.write(bundle.archive("RowBinary"))
"""


def test_an_installed_package_makes_the_same_bytes(tmp_path: Path) -> None:
    """In a wheel the files of udf/ lie within the package; they are no modules."""
    ignore = shutil.ignore_patterns("__pycache__")
    shipped = Path(shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=ignore)) / "share"
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    shipped.mkdir()
    for source, place in wheel["force-include"].items():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / place)
    done = subprocess.run([sys.executable, "-I", "-c", ARCHIVE, tmp_path], capture_output=True, check=True, timeout=60)
    assert done.stdout == bundle.archive("RowBinary")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose python3 has the pinned packages and no other, not even this one."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "site").mkdir()
    (folder / "bin").mkdir()
    for pin in map(Requirement, REQUIREMENTS.read_text("utf-8").splitlines()):
        found = distribution(pin.name)
        for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            place = Path(str(found.locate_file(name)))
            if place.exists() and not (folder / "site" / name).exists():
                (folder / "site" / name).symlink_to(place)
    launcher = folder / "bin" / "python3"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    launcher.chmod(0o755)
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(folder / "site")}
    seen = subprocess.run(
        ["python3", "-c", "import clickhouse_rerank"], env=environment, capture_output=True, check=False
    )
    assert b"No module named 'clickhouse_rerank'" in seen.stderr
    return environment


def unpacked(folder: Path, format_name: str, configuration: bytes | None = None) -> Path:
    """main.py of an unpacked bundle, with the modes that the ZIP says."""
    with zipfile.ZipFile(io.BytesIO(bundle.archive(format_name, configuration))) as file:
        for entry in file.infolist():
            Path(file.extract(entry, folder)).chmod(entry.external_attr >> 16)
    return folder / "main.py"


Start = Callable[[Path], Worker]


@pytest.fixture
def start(python: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an unpacked main.py as the service does: no arguments, no variables but Python's, in /."""
    started: list[Worker] = []
    monkeypatch.chdir("/")

    def one(main: Path) -> Worker:
        started.append(Worker(main, [], python))
        return started[-1]

    yield one
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


def bm25(*documents: str) -> Row:
    return Row("red apple", list(documents), 1, "BM25", "", "", "")


@pytest.mark.parametrize("name", FORMATS)
def test_an_unpacked_bundle_answers(tmp_path: Path, start: Start, name: str) -> None:
    """Several chunks in the format it was made for, with the package from the ZIP and the pinned packages."""
    one = start(unpacked(tmp_path, name))
    one.send(engine_bytes.chunk([bm25("a pear", "a red apple")] * 2, name))
    one.send(engine_bytes.chunk([bm25("a red apple")], name))
    code, out, err = one.finish()
    assert (code, err) == (0, b"")
    assert [answer[0][:2] for answer in engine_bytes.answers(out, name)] == [
        (1, b"a red apple"),
        (1, b"a red apple"),
        (0, b"a red apple"),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_ends_the_process(tmp_path: Path, start: Start, name: str) -> None:
    """There is no stderr_reaction in the service: only with an exit code is what stands on stderr the query's error."""
    one = start(unpacked(tmp_path, name))
    one.send(engine_bytes.chunk([bm25("a red apple"), Row("q", ["d"], 1, "nobody", "", "", "")], name))
    code, out, err = one.finish()
    assert code == 1 and err.startswith(b"Rerank: UNKNOWN_PROVIDER: ") and err.count(b"\n") == 0
    assert len(engine_bytes.answers(out, name)) <= 1


def key_for(provider: Provider) -> bytes:
    """A configuration with a key for the provider."""
    return (
        f'[credentials.prod]\nprovider = "Cohere"\napi_key = "the-key"\nbase_url = "{provider.url}"\ndefault = true\n'
        f'[network]\nallow_private = ["127.0.0.1:{provider.port}"]\n'
    ).encode()


def test_a_bundled_configuration_is_the_workers(tmp_path: Path, start: Start, provider: Provider) -> None:
    """Its credential is used, whatever modes it was unpacked with; the variable that names another is not looked at."""
    main = unpacked(tmp_path, "JSONEachRow", key_for(provider))
    one = start(main)
    one.send(engine_bytes.chunk([Row("red apple", ["pear", "red apple"], 1, "Cohere", "", "", "")], "JSONEachRow"))
    assert one.finish() == (0, b'{"result":[[1,"red apple",1.0]]}\n', b"")
    assert [request.headers["authorization"] for request in provider.requests] == ["Bearer the-key"]
    assert stat.S_IMODE((tmp_path / "config.toml").stat().st_mode) == 0o644


def test_rows_before_an_error_are_whole(tmp_path: Path, start: Start, provider: Provider) -> None:
    """A provider that fails in the midst of a chunk: answers up to there, the reason, exit 1; nothing shifts."""
    provider.reset(lambda request: Reply(status=401, json={"message": "no"}))
    one = start(unpacked(tmp_path, "RowBinary", key_for(provider)))
    rows = [*[bm25(f"red apple {number}") for number in range(5)], Row("q", ["d"], 1, "Cohere", "", "", "")]
    one.send(engine_bytes.chunk(rows, "RowBinary"))
    code, out, err = one.finish()
    assert code == 1 and err.startswith(b"Rerank: AUTH: ") and b"the-key" not in err
    assert len(engine_bytes.answers(out, "RowBinary")) <= 5


SESSION = """
import sys
from chdb.session import Session
session = Session(f":memory:?udf_path={sys.argv[1]}")
print(session.query("SELECT Rerank('red apple', ['pear', 'red apple'], 1, 'BM25', '', '', '')[1].2", "TSV"), end="")
try:
    session.query("SELECT Rerank('q', ['d'], 1, 'nobody', '', '', '')")
except RuntimeError as error:
    print("Rerank: UNKNOWN_PROVIDER: " in str(error))
print(session.query("SELECT Rerank('apple', ['pear', 'apple'], 1, 'BM25', '', '', '')[1].2", "TSV"), end="")
session.close()
"""


@pytest.mark.parametrize("name", FORMATS)
def test_an_engine_without_our_settings_runs_main_py(tmp_path: Path, python: dict[str, str], name: str) -> None:
    """What the console can set is enough: the answer, the reason of a failure in the query's error, the next answer."""
    unpacked(tmp_path, name)
    text = artifacts.registration(name)
    text = re.sub(r"<command>.*?</command>", "<command>main.py</command>", text)
    text, left_out = re.subn(r" *<(stderr_reaction|check_exit_code|command_termination_timeout)>.*\n", "", text)
    assert left_out == 3
    (tmp_path / "rerank_function.xml").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-c", SESSION, tmp_path],
        env=python,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["red apple", "True", "apple"], done.stderr


def test_the_command_writes_the_zip_and_says_what_to_enter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time, too; the file is for everybody without a configuration, and its owner's alone with one."""
    path, config = tmp_path / "r.zip", tmp_path / "config.toml"
    config.write_text('[credentials.prod]\nprovider = "Jina"\napi_key = "the-key"\n[cache]\npath = "/tmp/scores"\n')
    config.chmod(0o600)
    assert cli.main(["bundle", "--output", str(path), "--format", "TabSeparated"]) == 0
    out = capsys.readouterr().out
    assert path.read_bytes() == bundle.archive("TabSeparated")
    for field, value in bundle.values("TabSeparated"):
        assert re.search(rf"(?m)^    {re.escape(field)} +{re.escape(value)}$", out)
    assert "note: " not in out
    assert cli.main(["bundle", "--output", str(path), "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert path.read_bytes() == bundle.archive("RowBinary", config.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "note: The ZIP contains the keys" in out and "[cache] path = '/tmp/scores'" in out and "the-key" not in out
    assert sorted(tmp_path.iterdir()) == [config, path]


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ('[credentials.a]\nprovider = "Jina"\napi_key = "k"', 0o644, "chmod o="),
        (
            '[credentials.a]\nprovider = "Jina"\napi_key_env = "K"',
            0o600,
            "[credentials.a] api_key_env names an environment variable",
        ),
        ('[credentials.a]\nprovider = "Jina"\napi_key_file = "/k"', 0o600, "api_key_file names a file of this machine"),
        ('[credentials.a]\nprovider = "SageMaker"\naws_identity = "server"', 0o600, "aws_identity needs a role"),
        ('[network]\nca_file = "/etc/ca.pem"', 0o600, "[network] ca_file names a file"),
        ("[limits]\nrow_deadline_s = 0", 0o600, "row_deadline_s must be"),
        ("[nonsense", 0o600, "is not TOML"),
    ],
)
def test_a_configuration_that_cannot_work_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, mode: int, words: str
) -> None:
    """One line that names the setting, and no ZIP."""
    config = tmp_path / "config.toml"
    config.write_text(text)
    config.chmod(mode)
    assert cli.main(["bundle", "--output", str(tmp_path / "r.zip"), "--config", str(config)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [config]


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its path."""
    assert cli.main(["bundle", "--output", str(tmp_path / "r.zip"), "--config", str(tmp_path / "no.toml")]) == 1
    assert str(tmp_path / "no.toml") in capsys.readouterr().err


def test_a_machine_without_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes find a folder all the same, and whether it can be used is for who needs it to say."""

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert shared_folder(Settings()).parent == Path("/tmp")
    assert shared_folder(Settings(limits=Limits(counters="/a"))) == Path("/a")


def test_what_cannot_be_written_leaves_no_keys_behind(tmp_path: Path) -> None:
    """A folder in the place of the file is named, and nothing else is there afterwards."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(RerankError, match="is a folder"):
        bundle.write(folder, b"keys", private=True)
    with pytest.raises(OSError):
        bundle.write(tmp_path / "gone" / "a.zip", b"keys", private=True)
    assert list(tmp_path.rglob("*")) == [folder]


if __name__ == "__main__":
    REQUIREMENTS.write_text(requirements(), "utf-8")
    PAGE.write_text(with_values(PAGE.read_text("utf-8")), "utf-8")
