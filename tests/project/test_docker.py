"""docker/, as far as it can be tried without Docker: its files agree, and an embedded engine takes what is in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from clickhouse_rerank.commands import cli
from clickhouse_rerank.commands.functions import library, statements
from clickhouse_rerank.commands.install import artifacts
from conftest import ROOT, Worker, worker_environment
from lock import LOCK, declared, pinned
from model_folder import make
from provider import Provider, Reply, Request, overlap
from server import engines

DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
TRIAL, CLUSTER = DOCKER / "compose.yaml", DOCKER / "compose.cluster.yaml"
OVERLAY = ROOT / "tests" / "server" / "compose.test.yaml"
SERVER_LOCK, LOCAL_LOCK = ROOT / "requirements" / "server.txt", ROOT / "requirements" / "local.txt"
LTS = engines.lts()


def compose(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text("utf-8")))


def services(path: Path) -> dict[str, Any]:
    return dict(compose(path)["services"])


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, comments dropped and lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


def test_one_release_of_the_server_everywhere() -> None:
    """A full version of an LTS line: those of March and August."""
    year, month, *patch = map(int, LTS.split("."))
    assert month in (3, 8) and len(patch) == 2 and year >= 26
    tags = {
        service["image"].rpartition(":")[2]
        for path in (TRIAL, CLUSTER, OVERLAY)
        for service in services(path).values()
        if "clickhouse" in service.get("image", "")
    }
    assert tags == {LTS}
    newest = tuple(map(int, engines.NEWEST.split(".")))
    assert newest > tuple(map(int, LTS.split(".")))


def test_every_image_is_pinned() -> None:
    """No image by a tag that moves."""
    images = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    images += [service["image"] for path in (TRIAL, CLUSTER) for service in services(path).values()]
    for image in images:
        tag = image.replace("${CLICKHOUSE}", LTS).removesuffix("}").rpartition(":")[2]
        assert re.fullmatch(r"(cpu-)?\d+\.\d+\.\d+(\.\d+)?", tag), image


def test_what_is_copied_exists_and_is_in_the_context() -> None:
    """The list of what Docker may see names each source of COPY, and nothing else but docker/."""
    sources = {
        source
        for word, rest in instructions()
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    }
    assert sources and all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    seen = {line[1:] for line in ignored if line.startswith("!")}
    assert seen == {source for source in sources if not source.startswith("docker/")} | {"docker"}


def test_what_is_mounted_exists() -> None:
    """Each file that a service takes from the checkout; each volume that it names is declared."""
    for path in (TRIAL, CLUSTER, OVERLAY):
        declared = compose(path).get("volumes", {})
        for service in services(path).values():
            for mount in service.get("volumes", ()):
                source = mount.partition(":")[0]
                assert (DOCKER / source).is_file() if source.startswith(".") else source in declared, mount


def test_every_service_that_stays_is_watched() -> None:
    """By its own health check or the image's; who waits for a service waits for one that exists."""
    assert [word for word, _ in instructions()].count("HEALTHCHECK") == 1
    for path in (TRIAL, CLUSTER):
        all_of_them = services(path)
        for name, service in all_of_them.items():
            ours = service["image"].startswith("clickhouse-rerank:")
            assert ours or "test" in service["healthcheck"], name
            for other, condition in service.get("depends_on", {}).items():
                assert other in all_of_them and condition == {"condition": "service_healthy"}


def test_ports_are_published_on_loopback_only() -> None:
    """A trial is open to nobody else."""
    for path in (TRIAL, CLUSTER):
        for service in services(path).values():
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize(("lock", "extra"), [(SERVER_LOCK, ()), (LOCAL_LOCK, ("local",))])
def test_a_servers_lock_is_the_lock_without_the_embedded_engine(lock: Path, extra: tuple[str, ...]) -> None:
    """The same versions with the same hashes; nothing that only another extra brings."""
    ours, theirs = pinned(lock), pinned(LOCK)
    assert ours.items() <= theirs.items()
    assert not {"chdb", "chdb-core", "pandas", "pyarrow", "clickhouse-connect"} & ours.keys()
    assert all(declared(kind).keys() <= ours.keys() for kind in ("run", *extra))
    blocks = re.split(r"(?m)^(?=[a-z0-9-]+==)", lock.read_text("utf-8"))[1:]
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("command", [["sql", "SELECT 1"], ["demo"]])
def test_without_the_embedded_engine_its_commands_say_so(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, as in the image."""
    monkeypatch.setitem(sys.modules, "chdb.session", None)
    assert cli.main(command) == 1
    assert capsys.readouterr().err == (
        "The embedded engine needs the package chdb. "
        "Run in a checkout: pip install '.[embedded]' (once published: pip install 'clickhouse-rerank[embedded]')\n"
    )


EMBEDDED = """
import sys
from chdb.session import Session
session = Session(sys.argv[1])
for statement in sys.argv[2:]:
    print(session.query(statement, "TabSeparated"), end="")
"""


def embedded(folder: Path, config: str, *queries: str, **environment: str) -> list[list[str]]:
    """The rows of queries on an embedded engine with a server's configuration, in a process of its own."""
    (folder / "config.xml").write_text(config, "utf-8")
    session = f"{folder / 'data'}?config-file={folder / 'config.xml'}"
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED, session, *queries],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=worker_environment(**environment),
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def built(root: Path, **arguments: str) -> Path:
    """A root in which the last step of the Dockerfile ran, word for word, with this environment's package."""
    commands = root / "opt" / "clickhouse-rerank" / "bin"
    for folder in (
        commands,
        root / "usr/local/bin",
        root / "docker-entrypoint-initdb.d",
        root / "etc/clickhouse-server",
    ):
        folder.mkdir(parents=True)
    (commands / "clickhouse-rerank").symlink_to(Path(sys.executable).with_name("clickhouse-rerank"))
    # Of the server's program the step uses `clickhouse su USER:GROUP COMMAND` only.
    (root / "usr/local/bin/clickhouse").write_text(
        '#!/bin/sh\n[ "$1 $2" = "su clickhouse:clickhouse" ] && shift 2 && exec "$@"\n'
    )
    (root / "usr/local/bin/clickhouse").chmod(0o755)
    step = [rest for word, rest in instructions() if word == "RUN"][-1]
    step = re.sub(r"(?<=[ ])/(?=opt/|etc/|usr/|docker-entrypoint)", f"{root}/", step)
    environment = worker_environment(PATH=f"{root}/usr/local/bin:{os.environ['PATH']}", **arguments)
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", step],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(DOCKER / "config.d" / "rerank_scripts.xml", root / "etc/clickhouse-server/config.d")
    return root


def test_the_image_is_a_server_with_rerank(tmp_path: Path) -> None:
    """An engine finds what the Dockerfile puts in place: the function, and the wrappers of the first start."""
    image = built(tmp_path / "root", MODEL="")
    etc = image / "etc" / "clickhouse-server"
    scripts = ElementTree.parse(etc / "config.d" / "rerank_scripts.xml").findtext("user_scripts_path", "")
    assert (image / scripts.lstrip("/") / artifacts.LAUNCHER).is_file()
    config = f"""<clickhouse>
      <user_scripts_path>{image}{scripts}</user_scripts_path>
      <user_defined_executable_functions_config>{etc}/*_function.*ml</user_defined_executable_functions_config>
    </clickhouse>"""
    wrappers, measures = (
        (image / "docker-entrypoint-initdb.d" / f"rerank_{name}.sql").read_text("utf-8")
        for name in ("functions", "library")
    )
    rows = embedded(
        tmp_path,
        config,
        wrappers,
        measures,
        "SELECT BM25Rerank('red apple', ['green pear', 'red apple'], 1)[1].2",
        "SELECT count() FROM system.functions WHERE origin = 'SQLUserDefined'",
        "SELECT load_status FROM system.user_defined_functions",
    )
    assert rows == [["red apple"], [str(len([*statements(), *library()]))], ["Success"]]
    assert tomllib.loads((image / "etc/clickhouse-rerank/config.toml").read_text()) == {}
    assert (etc / "config.d" / "rerank_masking.xml").is_file()


def test_the_image_has_the_model_that_it_is_built_with(tmp_path: Path) -> None:
    """The worker scores with it, by its name or without; nothing else is set."""
    model = make(tmp_path / "words")
    image = built(tmp_path / "root", MODEL=str(model))
    config = image / "etc/clickhouse-rerank/config.toml"
    models = image / "opt/clickhouse-rerank/models"
    assert tomllib.loads(config.read_text()) == {"models": {"words": {"path": str(models / "words")}}}
    row = {"query": "red apple", "documents": ["pear", "red"], "top_k": 1, "provider": "CrossEncoder"}
    row |= {"base_url": "", "api_key": "", "others": ""}
    environment = worker_environment(CLICKHOUSE_RERANK_CONFIG=str(config))
    worker = Worker(image / "opt/clickhouse-rerank/user_scripts" / artifacts.LAUNCHER, (), environment)
    worker.send(f"1\n{json.dumps(row)}\n".encode())
    (line,) = worker.lines(1)
    worker.finish()
    assert json.loads(line) == {"result": [[1, "red", 0.0]]}


def test_the_shards_know_each_other(tmp_path: Path) -> None:
    """shards.xml gives the engine a cluster of two, and '{cluster}' and '{shard}' their meaning."""
    text = (DOCKER / "cluster" / "shards.xml").read_text("utf-8")
    root = ElementTree.fromstring(text)
    hosts = [host.text for host in root.iterfind("remote_servers/rerank/shard/replica/host")]
    shards = {name: service for name, service in services(CLUSTER).items() if "SHARD" in service.get("environment", {})}
    assert hosts == list(shards) == ["shard1", "shard2"]
    assert [service["environment"]["SHARD"] for service in shards.values()] == ["1", "2"]
    # On this machine both are the engine itself, whose own port says so; nothing is looked up or dialled.
    here = re.sub("<zookeeper>.*</zookeeper>", "<tcp_port>9000</tcp_port>", text, flags=re.DOTALL)
    here = re.sub("shard[12]", "127.0.0.1", here)
    rows = embedded(
        tmp_path,
        here,
        "SELECT cluster, shard_num, port, user FROM system.clusters WHERE cluster = getMacro('cluster')",
        "SELECT getMacro('shard')",
        "SELECT count() FROM cluster('{cluster}', system.one)",
        SHARD="2",
        CLICKHOUSE_PASSWORD="secret",
    )
    assert rows == [["rerank", "1", "9000", "default"], ["rerank", "2", "9000", "default"], ["2"], ["2"]]


def test_the_keeper_is_where_the_shards_look() -> None:
    """Host, ports and the address of its health check."""
    keeper = ElementTree.parse(DOCKER / "cluster" / "keeper.xml").getroot().find("keeper_server")
    shards = ElementTree.parse(DOCKER / "cluster" / "shards.xml").getroot()
    assert keeper is not None
    service = services(CLUSTER)["keeper"]
    assert shards.findtext("zookeeper/node/host") == keeper.findtext("raft_configuration/server/hostname") == "keeper"
    assert shards.findtext("zookeeper/node/port") == keeper.findtext("tcp_port")
    port, path = keeper.findtext("http_control/port"), keeper.findtext("http_control/readiness/endpoint")
    assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}{path}"


def test_the_wrappers_are_made_for_the_cluster_of_the_macro() -> None:
    """The service runs what the command line offers."""
    (command,) = services(CLUSTER)["wrappers"]["command"]
    made, _, client = command.partition(" | ")
    text = subprocess.run(
        ["/bin/sh", "-c", made.replace("clickhouse-rerank", str(Path(sys.executable).with_name("clickhouse-rerank")))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    count = len([*statements(), *library()])
    assert text.count("CREATE OR REPLACE FUNCTION") == text.count("ON CLUSTER '{cluster}'") == count
    assert client == "clickhouse-client --host shard1"


def test_the_trial_needs_no_key(launcher: Path, provider: Provider, tmp_path: Path) -> None:
    """config.toml leads TEIRerank to the service `tei`, which is spoken to as TEI speaks, without a key."""
    text = (DOCKER / "config.toml").read_text("utf-8")
    name, _, port = "tei:80".partition(":")
    assert services(TRIAL)[name]["environment"]["PORT"] == port and text.count(f"{name}:{port}") == 2
    (tmp_path / "config.toml").write_text(text.replace("tei:80", provider.url.removeprefix("http://")))

    def tei(request: Request) -> Reply:
        asked = request.json
        return Reply(json=[{"index": i, "score": overlap(asked["query"], t)} for i, t in enumerate(asked["texts"])])

    provider.reset(tei)
    row = {"query": "apple", "documents": ["pear", "apple"], "top_k": 1, "provider": "TEI"}
    row |= {"base_url": "", "api_key": "", "others": ""}
    environment = worker_environment(CLICKHOUSE_RERANK_CONFIG=str(tmp_path / "config.toml"))
    worker = Worker(launcher, (), environment)
    worker.send(f"1\n{json.dumps(row)}\n".encode())
    (line,) = worker.lines(1)
    worker.finish()
    assert json.loads(line) == {"result": [[1, "apple", 1.0]]}
    (request,) = provider.requests
    assert request.path == "/rerank" and "authorization" not in {header.lower() for header in request.headers}


@pytest.mark.parametrize("state", ["created", "running", None])
def test_a_container_that_did_not_run_has_not_ended(state: str | None) -> None:
    """Only then is its exit code one."""
    assert not engines.ended(state) and engines.ended("exited")


def test_waiting_ends_with_what_did_not_happen() -> None:
    """The condition is asked once at least."""
    engines.until(lambda: True, "nothing", 0)
    with pytest.raises(TimeoutError, match="the server did not happen within 0 s"):
        engines.until(lambda: False, "the server", 0)
