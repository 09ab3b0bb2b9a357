"""Limits against a runaway bill: by the minute across processes, by the call, by the block."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import engine_bytes
from asking import DOCUMENTS, RIGHT, asked, code, row
from clickhouse_rerank.admission.quota import Quota, quotas
from clickhouse_rerank.config.credentials import Credential
from clickhouse_rerank.config.settings import Limits, Network, Settings
from clickhouse_rerank.errors import CallerError, ProviderFailedError
from clickhouse_rerank.types import Secret
from conftest import Worker
from provider import Provider, Reply

Start = Callable[..., Worker]


def credential(requests: int | None = None, documents: int | None = None, url: str = "", name: str = "c") -> Credential:
    return Credential(
        name, "cohere", Secret("the-key"), url, requests_per_minute=requests, documents_per_minute=documents
    )


def counted(quota: Quota, documents: int = 1) -> str:
    """The code of the refusal; "" for a request that is counted."""
    try:
        quota.spend(documents)
    except ProviderFailedError as error:
        assert not error.retryable and "'cred:c'" in str(error)
        return error.code
    return ""


def test_any_sixty_seconds_hold_the_requests_of_a_minute(tmp_path: Path) -> None:
    """Not a calendar's minute: what was sent is forgotten a minute later, second by second."""
    now = [100.0]
    quota = Quota(credential(requests=5), tmp_path, lambda: now[0])
    sent: list[float] = []
    for _ in range(400):
        now[0] += 0.7
        if not counted(quota):
            sent.append(now[0])
    assert all(later - first >= 59 for first, later in zip(sent, sent[5:], strict=False))
    assert len(sent) == 25


def test_documents_are_counted_beside_requests(tmp_path: Path) -> None:
    """Each limit by itself, with its own code; what is refused counts nothing; what can never fit says so."""
    now = [0.0]
    quota = Quota(credential(requests=3, documents=10), tmp_path, lambda: now[0])
    assert [counted(quota, n) for n in (6, 5, 4, 1)] == ["", "DOCUMENT_LIMIT", "", "DOCUMENT_LIMIT"]
    now[0] = 59
    assert counted(quota, 1) == "DOCUMENT_LIMIT"
    now[0] = 60
    assert [counted(quota, 1) for _ in range(4)] == ["", "", "", "REQUEST_LIMIT"]
    with pytest.raises(ProviderFailedError, match=r"DOCUMENT_LIMIT: .* one request has 11\. Set others\.batch_size"):
        Quota(credential(documents=10), tmp_path, lambda: 500.0).spend(11)


SPEND = """
import sys
from pathlib import Path
from clickhouse_rerank.config.credentials import Credential
from clickhouse_rerank.errors import ProviderFailedError
from clickhouse_rerank.admission.quota import Quota
from clickhouse_rerank.types import Secret
quota = Quota(Credential("c", "cohere", Secret("k"), requests_per_minute=8000), Path(sys.argv[1]), lambda: 7.0)
counted = 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3000):
    try:
        quota.spend(1)
        counted += 1
    except ProviderFailedError:
        pass
print(counted)
"""


def test_processes_count_together(tmp_path: Path) -> None:
    """Four at once, 12,000 attempts: 8,000 are counted, neither more nor less."""
    command = [sys.executable, "-I", "-c", SPEND, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(4)
    ]
    for one in started:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
    assert sum(int(one.communicate(timeout=60)[0]) for one in started) == 8000


def test_what_else_stands_in_the_file_counts_nothing(tmp_path: Path) -> None:
    """Cut, garbage, or from before a restart of the machine: the limit holds from here on."""
    quota = Quota(credential(requests=2), tmp_path, lambda: 1000.0)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    for content in (b"", b"\xff" * 7, b"\xff" * 960, os.urandom(5000), b"\0" * 960, b"text " * 300):
        file.write_bytes(content)
        assert [counted(quota) for _ in range(3)] == ["", "", "REQUEST_LIMIT"]


def test_credentials_count_apart(tmp_path: Path) -> None:
    """One that has spent its minute does not stop another; one without a limit has no file."""
    own = {name: credential(requests=1, name=name) for name in ("c", "d/../e")} | {"f": credential(name="f")}
    found = quotas(Settings(own, limits=Limits(counters=str(tmp_path))))
    assert found.keys() == {"c", "d/../e"}
    found["d/../e"].spend(1)
    assert [counted(found["c"]) for _ in range(2)] == ["", "REQUEST_LIMIT"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_trusted_is_a_mistake(tmp_path: Path) -> None:
    """A limit that would hold for one process only, or that others can reset, is none: the worker says so and ends."""
    places = {name: tmp_path / name for name in ("file", "link", "open", "deep")}
    places["file"].write_text("")
    places["link"].symlink_to(tmp_path)
    places["open"].mkdir()
    places["open"].chmod(0o777)
    places["deep"] = tmp_path / "no" / "such"
    for place in places.values():
        settings = Settings({"c": credential(requests=1)}, limits=Limits(counters=str(place)))
        with pytest.raises(CallerError, match=r"CONFIG: \[limits\] counters: ") as raised:
            quotas(settings)
        assert str(place) in str(raised.value)
    quotas(Settings({"c": credential()}, limits=Limits(counters=str(places["file"]))))


def limited(provider: Provider, folder: Path, **limits: int) -> Settings:
    own = {"c": credential(url=provider.url, **limits)}
    return Settings(own, Network(allow_private=("127.0.0.1",)), Limits(counters=str(folder)))


def test_a_row_over_the_limit_is_not_sent_and_may_degrade(provider: Provider, tmp_path: Path) -> None:
    """It fails at once with the limit's code, or goes to the fallback, or by on_error, like a provider's failure."""
    fallback = {"fallback": [{"provider": "BM25"}]}
    rows = [row("", key="cred:c", query=f"zebra {i}", others=others) for i, others in enumerate((
        {}, {}, {}, fallback, {"on_error": "empty"},
    ))]  # fmt: skip
    found = asked(*rows, within=limited(provider, tmp_path, requests=2))
    assert [isinstance(result, list) for result in found] == [True, True, False, True, True]
    assert code(found[2]) == "REQUEST_LIMIT" and found[4] == [] and len(found[3]) == 2  # type: ignore[arg-type]
    assert len(provider.requests) == 2


def test_retries_count(provider: Provider, tmp_path: Path) -> None:
    """What a provider that fails is asked again is on the bill, too."""
    provider.script = lambda _: Reply(503, {"message": "later"}, headers={"retry-after": "0"})
    (error,) = asked(row("", key="cred:c"), within=limited(provider, tmp_path, requests=2))
    assert code(error) == "REQUEST_LIMIT" and len(provider.requests) == 2


CONFIG = """
[credentials.c]
provider = "Cohere"
default = true
api_key = "the-key"
base_url = "{url}"
requests_per_minute = 25
[network]
allow_private = ["127.0.0.1"]
[cache]
memory_s = 0
[limits]
counters = "{folder}"
max_rows = 20
max_documents = 4
"""


@pytest.fixture
def configured(tmp_path: Path, provider: Provider) -> str:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(url=provider.url, folder=tmp_path / "counters"))
    path.chmod(0o600)
    return str(path)


def test_the_processes_of_a_pool_share_a_minute(worker: Start, provider: Provider, configured: str) -> None:
    """Two workers with one configuration send together what one of them may."""
    pool = [worker(CLICKHOUSE_RERANK_CONFIG=configured) for _ in range(2)]
    for one, whose in zip(pool, "ab", strict=True):
        for i in range(15):
            one.send(engine_bytes.chunk([row("", key="", query=f"{whose} {i}")], "JSONEachRow"))
            one.lines(1)
    said = [one.finish()[2].decode() for one in pool]
    assert said[0] == "" and said[1].startswith(
        "Rerank: REQUEST_LIMIT: The credential 'cred:c' may send 25 requests a minute"
    )
    assert len(provider.requests) == 25


def test_a_block_and_a_call_have_their_limits(worker: Start, provider: Provider, configured: str) -> None:
    """One more row or document than allowed fails the query with its own code, unsent; the next query works."""
    one = worker(CLICKHOUSE_RERANK_CONFIG=configured)
    rows = [row("", key="", query=f"q {i}") for i in range(21)]
    told = []
    for chunk in (rows, rows[:1], [row("", key="", documents=[*DOCUMENTS, "five"])], rows[1:2]):
        one.send(engine_bytes.chunk(chunk, "JSONEachRow"))
        answers = [json.loads(line)["result"] for line in one.lines(len(chunk))]
        told.append([] not in answers)
    assert told == [False, True, False, True] and len(provider.requests) == 2
    said = one.finish()[2].decode()
    assert "Rerank: TOO_MANY_ROWS: A block may have 20 rows (limits.max_rows); one has 21." in said
    assert "Rerank: TOO_MANY_DOCUMENTS: A call may have 4 documents (limits.max_documents); one has 5." in said


def test_without_limits_nothing_is_counted(provider: Provider) -> None:
    """A credential without a limit needs no folder."""
    within = Settings(
        {"c": credential(url=provider.url)}, Network(allow_private=("127.0.0.1",)), Limits(counters="/nowhere")
    )
    assert asked(row("", key="cred:c"), within=within) == [RIGHT]
