"""What `make dist` leaves: a wheel that installs by itself, and a source archive that the tests run from."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from clickhouse_rerank import __version__
from conftest import ROOT

STEM = f"clickhouse_rerank-{__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def test_the_wheel_has_what_install_puts_in_place(built: Path) -> None:
    """The launcher, the registration, every module with the files beside it, and the command."""
    with zipfile.ZipFile(built / f"{STEM}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{STEM}.dist-info/METADATA").decode())
        scripts = wheel.read(f"{STEM}.dist-info/entry_points.txt").decode()
    package = ROOT / "udf" / "clickhouse_rerank"
    shipped = (file for file in package.rglob("*") if file.suffix in (".py", ".tsv", ".html", ".css", ".js"))
    assert {f"clickhouse_rerank/{file.relative_to(package)}" for file in shipped} <= names
    assert {"clickhouse_rerank/share/rerank", "clickhouse_rerank/share/rerank_function.xml"} <= names
    library = {f"clickhouse_rerank/share/library/{file.name}" for file in (ROOT / "sql" / "library").iterdir()}
    assert library and library <= names
    assert "clickhouse-rerank = clickhouse_rerank.commands.cli:main" in scripts
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert set(metadata.get_all("Provides-Extra", ())) == {"embedded", "check", "all", "local"}
    required = [line for line in metadata.get_all("Requires-Dist", ()) if "extra ==" not in line]
    assert not any(name in line for line in required for name in ("chdb", "clickhouse-connect"))
    assert metadata.get_payload().startswith("# clickhouse-rerank")


def test_the_source_archive_is_a_checkout(built: Path) -> None:
    """Every file that version control knows, but for what only it needs."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        names = {name.removeprefix(f"{STEM}/") for name in archive.getnames()}
    assert {name for name in done.stdout.split("\n") if name and (ROOT / name).exists()} <= names


def test_the_version_stands_in_one_place() -> None:
    """Nothing but the package says which version it is."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'dynamic = ["version"]' in project and __version__ not in project
