"""The engines as one fixture, parametrised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Sql
from provider import Provider

from . import engines
from .engines import Engine
from .script import answering

_skipped: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, whatever is printed of each test, which engines were left out and why."""
    for line in _skipped:
        terminalreporter.write_line(f"engine skipped: {line}")


@pytest.fixture(scope="session")
def no_docker() -> str:
    """Why there are no containers, asked once; "" if there are."""
    return engines.no_docker()


@pytest.fixture(scope="session", params=["chdb", "lts", "newest", "cluster"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine of the suite; its provider answers by `script`."""
    name = str(request.param)
    if name == "chdb":
        sql: Sql = request.getfixturevalue("sql")
        provider = Provider(answering(1))
        yield Engine(name, sql, provider.url)
        provider.close()
        return
    reason: str = request.getfixturevalue("no_docker")
    if reason:
        if (line := f"{name}: {reason}") not in _skipped:
            _skipped.append(line)
        pytest.skip(line)
    started = {"lts": lambda: engines.server(engines.lts()), "newest": lambda: engines.server(engines.NEWEST)}
    with started.get(name, engines.cluster)() as engine:
        yield engine
