"""The engines of the suite, each from nothing to a session with Rerank, its wrappers and a provider within reach."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import clickhouse_connect

from conftest import ROOT, Session

HTTP = 8123
PASSWORD = "for-tests-only"
PROVIDER_PORT = 8900
PROVIDER = f"http://127.0.0.1:{PROVIDER_PORT}"
"""Where the provider is, for a worker in a container."""
PYTHON = "/opt/clickhouse-rerank/bin/python"
HERE = Path(__file__).parent
START_S = 300
"""Time for a server to start; images are pulled and built before it begins."""
NEWEST = "26.9.14.10"
"""The newest release of ClickHouse when this was written."""


def lts() -> str:
    """The release that docker/Dockerfile is built on."""
    (version,) = re.findall(r"(?m)^ARG CLICKHOUSE=(\S+)$", (ROOT / "docker" / "Dockerfile").read_text("utf-8"))
    return str(version)


@dataclass(frozen=True)
class Engine:
    """One engine under test."""

    name: str
    session: Session = field(repr=False)
    provider_url: str
    nodes: tuple[int, ...] = (1,)
    """The numbers that providers give the shards; the first is that of the node which is asked."""

    def source(self, of_each: str) -> str:
        """What to read FROM for what each shard has, a table or view(...); one server's only shard stands for two."""
        if len(self.nodes) > 1:
            return f"cluster('{{cluster}}', {of_each})"
        password = "" if self.name == "chdb" else PASSWORD
        return f"remote('127.0.0.1,127.0.0.1', {of_each}, 'default', '{password}')"

    def all_shards(self, table: str) -> str:
        """What to read FROM for a table of every shard."""
        return self.source(f"currentDatabase(), {table}")

    @property
    def on_cluster(self) -> str:
        """What a statement says that is for all nodes."""
        return "ON CLUSTER '{cluster}'" if len(self.nodes) > 1 else ""


def no_docker() -> str:
    """Why no container can be started, and what to do about it; "" if one can."""
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient

    try:
        DockerClient().client.ping()
    except DockerException:
        return "no Docker engine answers. Start one, or set DOCKER_HOST, to test clickhouse-server and a cluster too"
    return ""


def until(condition: Callable[[], bool], what: str, timeout_s: float = START_S, pause_s: float = 0.5) -> None:
    """Return when the condition holds. Errors: TimeoutError that says what did not happen."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            raise TimeoutError(f"{what} did not happen within {timeout_s:g} s")
        time.sleep(pause_s)


def connect(host: str, port: int) -> Session:
    """A session of the containers' user."""
    client = clickhouse_connect.get_client(host=host, port=port, username="default", password=PASSWORD)
    return Session(client)


@contextmanager
def server(version: str) -> Iterator[Engine]:
    """One server of docker/Dockerfile on a release of ClickHouse."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.image import DockerImage
    from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

    image = DockerImage(
        path=ROOT,
        dockerfile_path="docker/Dockerfile",
        tag=f"clickhouse-rerank:{version}",
        clean_up=False,  # its layers are the next run's cache
        buildargs={"CLICKHOUSE": version},
    )
    with image:
        container = (
            DockerContainer(str(image))
            .with_exposed_ports(HTTP)
            .with_env("CLICKHOUSE_PASSWORD", PASSWORD)
            .with_copy_into_container(HERE / "config.toml", "/etc/clickhouse-rerank/config.toml")
            .with_copy_into_container(HERE / "script.py", "/opt/script.py")
            .with_copy_into_container(HERE.parent / "support" / "provider.py", "/opt/provider.py")
            .waiting_for(HealthcheckWaitStrategy().with_startup_timeout(START_S))
        )
        with container:
            command = [PYTHON, "/opt/script.py", str(PROVIDER_PORT), "1"]
            container.get_wrapped_container().exec_run(command, detach=True)
            session = connect(container.get_container_host_ip(), container.get_exposed_port(HTTP))
            engine = Engine(f"server {version}", session, PROVIDER)
            until(lambda: answers(engine), "an answer of the provider in the container", 30)
            yield engine
            session.client.close()


@contextmanager
def cluster() -> Iterator[Engine]:
    """The two shards of docker/compose.cluster.yaml."""
    from testcontainers.compose import DockerCompose

    compose = DockerCompose(
        context=ROOT / "docker",
        compose_file_name=["compose.cluster.yaml", "../tests/server/compose.test.yaml"],
        env_file="../tests/server/compose.test.env",
        build=True,
        wait=False,  # the service that creates the wrappers ends, which `up --wait` takes for a failure
    )
    with compose:
        until(lambda: ended(compose.get_container("wrappers", include_all=True).State), "the end of `wrappers`")
        code = compose.get_container("wrappers", include_all=True).ExitCode
        assert code == 0, compose.get_logs("wrappers")
        host, port = compose.get_service_host_and_port("shard1", HTTP)
        assert host is not None and port is not None
        session = connect(host, port)
        engine = Engine("cluster", session, PROVIDER, nodes=(1, 2))
        until(lambda: answers(engine), "an answer of the provider of each shard", 30)
        yield engine
        session.client.close()


def ended(state: str | None) -> bool:
    """Whether a container's state is that of one that ran."""
    return state in ("exited", "dead")


def where(engine: Engine) -> str:
    """SQL: a call whose score is the number of the node that makes it, in an expression with the column `question`."""
    from .script import WHERE

    return f"Rerank(question, ['{WHERE}'], 1, 'Cohere', '{engine.provider_url}', 'a-key-for-tests', '')[1].3"


def answers(engine: Engine) -> bool:
    """Whether every node's provider is up."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    table = "cluster('{cluster}', system.one)" if len(engine.nodes) > 1 else "system.one"
    query = f"SELECT {where(engine).replace('question', 'toString(dummy)')} FROM {table}"
    try:
        return sorted(int(node) for (node,) in engine.session.rows(query)) == list(engine.nodes)
    except DatabaseError:
        return False
