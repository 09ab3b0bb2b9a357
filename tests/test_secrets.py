"""The canary: keys, and texts of the row, that no output, error, log, table or core shows, whatever goes wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine_bytes
from asking import HANG_S, RIGHT_REPLY, answer, raw
from clickhouse_rerank.config.settings import Limits, Network, Settings, load
from clickhouse_rerank.engine import process_hardening
from clickhouse_rerank.errors import RerankError
from clickhouse_rerank.network.redaction import error_message
from clickhouse_rerank.request import auth
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.request.others import Options
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row, Secret
from configured_engine import answers, asks
from conftest import Worker, worker_environment
from provider import Provider, Reply, Request

KEY = "canary+Key/0123456789abcdef="
TOKEN = "canary-Token-0123456789"
NEXT_KEY = "canary-Next-0123456789"
QUERY = "canary query about the patient Jane Doe"
DOCUMENTS = ["canary document: Jane Doe was admitted on Monday with chest pain", "canary short"]
CANARY = "canary"

ECHO = f"{KEY} {TOKEN} {NEXT_KEY} {QUERY} {DOCUMENTS[0]}"
NESTED = json.dumps({"detail": [{"msg": "List should have at most 2048 items", "input": DOCUMENTS, "ctx": KEY}]})
BODIES: tuple[Any, ...] = (
    {"message": ECHO},
    {"error": {"message": f"a.BadRequestError: BException - {NESTED}"}},
    {"error": {"message": f"a.BadRequestError: BException - {json.loads(NESTED)}"}},
    {"detail": [{"loc": ["body"], "msg": "too long", "input": {"query": QUERY, "documents": DOCUMENTS}}]},
    {"error": f"1 validation error [type=too_long, input_value={DOCUMENTS}, input_type=list]"},
    {"error": f"1 validation error, input_value='{DOCUMENTS[0]}'"},
    {"message": f"cannot rank {DOCUMENTS[0][:40]}... for {QUERY[9:]}"},
    {"message": f"bad document: {DOCUMENTS[1]}."},
    {"message": "y" * 190 + ECHO},
    {"message": " " * 5000 + ECHO},
    {"message": f"key {KEY[:9]}\x1b[0m{KEY[9:]} and {KEY[:5]}\x1b[31m{KEY[5:]}"},
    {"message": f"key \u2028{KEY}\u2029{TOKEN}\x85{NEXT_KEY}"},
    ECHO,
)
"""What a provider may answer, with all that it knows; some of it cut, disguised or nested."""
STATUSES = (200, 201, 301, 400, 401, 403, 404, 413, 422, 424, 429, 500, 503)


def knowing(request: Request, reply: Reply) -> Reply:
    """The reply of a provider that knows of all secrets only those that it was sent, or signed with."""
    for secret in (KEY, TOKEN, NEXT_KEY):
        signed = "Signature" in request.headers.get("authorization", "") and secret != NEXT_KEY
        if secret not in repr(request.headers) and not signed:
            body, sent = secret.encode(), b"nothing"
            reply = replace(
                reply,
                body=reply.body.replace(body, sent) if reply.body else reply.body,
                raw=reply.raw.replace(body, sent) if reply.raw else reply.raw,
            )
    return reply


def echoing(status: int, body: Any) -> Reply:
    text = body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
    headers = {"Location": f"https://{KEY}.test/", "X-Echo": KEY, "Retry-After": "0", "WWW-Authenticate": KEY}
    return Reply(status, body=text, headers=headers)


FAULTS = (
    *(echoing(status, body) for status in STATUSES for body in BODIES),
    echoing(400, json.dumps(BODIES[1])[:120]),
    echoing(400, f"<html><title>{ECHO}</title></html>"),
    raw(f"{KEY}\r\n\r\n"),
    raw(f"HTTP/1.1 200 {KEY}\r\n{KEY}\r\n\r\n"),
    raw(f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n"),
    raw(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n"),
    raw(RIGHT_REPLY, reset_after=40),
    raw("", close=True),
    answer(headers={"Content-Encoding": KEY}),
    Reply(json={"results": [{"index": KEY, "relevance_score": 1.0}]}),
    Reply(json={"results": [{"index": 0, "relevance_score": KEY}]}),
    Reply(json={"results": [{"index": 0, "relevance_score": 1.0, "document": KEY}] * 2}),
    Reply(json=[{"label": KEY, "score": 0.5}]),
    Reply(never=True),
)


def row(base_url: str, key: str = KEY, provider: str = "Cohere", **others: Any) -> Row:
    return Row(QUERY, DOCUMENTS, 1, provider, base_url, key, json.dumps({"timeout_s": 0.3, **others}))


def aws(url: str, **more: Any) -> Row:
    others = {"access_key_id": "AKIDcanary", "region_name": "us-east-1", "session_token": TOKEN, "endpoint_url": url}
    return row("name", provider="SageMaker", **others, **more)


def arguments(url: str) -> Iterator[Row]:
    """Calls that fail before or while they are sent, with a canary wherever SQL can put one."""
    host = url.split("/")[2]
    for wrong in (f"{KEY}\r\nX: y", f"{KEY}\0", f" {KEY}", f"{KEY}\u010a", KEY * 400):
        yield row(url, wrong)
        yield row("name", wrong, "SageMaker", access_key_id="a", region_name="us-east-1")
        yield row(url, KEY, fallback=[{"provider": "Jina", "base_url": url, "api_key": wrong}])
    for base_url in (
        f"http://{CANARY}:{KEY}@{host}/",
        f"http://{host}/?key={CANARY}",
        f"http://{host}/#{CANARY}",
        f"http://{host}\\@{CANARY}.test/",
        f"{CANARY}://{host}/",
        f"http://{host}/{CANARY}\r\nX: {KEY}",
        f"http://{host}/{CANARY}/%2e%2e/",
        f"http://{host}:{CANARY}/",
    ):
        yield row(base_url)
        yield row("name", provider="SageMaker", access_key_id="a", region_name="us-east-1", endpoint_url=base_url)
    for others in (
        {"model": 5, "model_args": CANARY},
        {"normalize": CANARY},
        {"model_args": {"documents": CANARY}},
        {"timeout_s": "canary"},
        {"fallback": [CANARY]},
        {"fallback": [{"provider": "Cohere", "api_key": [KEY]}]},
    ):
        yield row(url, **others)
    yield Row(QUERY, DOCUMENTS, 1, "Cohere", url, KEY, f'{{"model":"{KEY}"')
    yield Row(QUERY, DOCUMENTS, 1, "Cohere", url, KEY, f'["{KEY}"]')
    yield row("name", provider="SageMaker", access_key_id=f"{CANARY}\n", region_name="us-east-1")
    yield row("name", provider="SageMaker", access_key_id="a", region_name=CANARY)
    yield row(url.replace("http:", "https:"))
    yield row("http://127.0.0.1:1/")


def clean(text: str) -> bool:
    """Whether nothing in a text is a canary, as it is or as an encoding of the key."""
    encoded = base64.b64encode(KEY.encode()).decode()
    return CANARY not in text.lower() and "jane doe" not in text.lower() and encoded not in text


@pytest.mark.usefixtures("dialled")
def test_no_failure_tells_what_it_knows(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an error, nor any exception behind it, nor its traceback, nor a log of any library holds a canary."""
    caplog.set_level(logging.INFO)
    reply = [FAULTS[0]]
    provider.script = lambda request: knowing(request, reply[0])
    within = Settings(network=Network(allow_loopback=True), limits=Limits(connect_s=0.3, rate_limit_wait_s=0.1))

    def check(error: BaseException) -> None:
        text = "".join(traceback.format_exception(error, limit=0))
        assert clean(text), text
        link: BaseException | None = error
        while link is not None:
            assert KEY not in str(link) and KEY not in repr(link), repr(link)
            link = link.__cause__ or link.__context__

    async def run() -> int:
        failed, reranker = 0, Reranker(within)
        for fault in FAULTS:
            reply[0] = fault
            retried = {"fallback": [{"provider": "Cohere", "base_url": provider.url, "api_key": NEXT_KEY}]}
            for one in (row(provider.url), row(provider.url, **retried), aws(provider.url)):
                reranker._client._admissions._known.clear()  # or an endpoint that fails would not be asked as often
                try:
                    await reranker.rank(one)
                except RerankError as error:
                    check(error)
                    failed += 1
        for one in arguments(provider.url):
            with pytest.raises(RerankError) as raised:
                await reranker.rank(one)
            check(raised.value)
            failed += 1
        await reranker.aclose()
        return failed

    assert asyncio.run(run()) > 400
    assert clean(caplog.text), caplog.text


CONFIG = """
[credentials.prod]
provider = "Cohere"
default = true
api_key_file = "{key}"
base_url = "{url}"
[network]
allow_private = ["127.0.0.1"]
[limits]
connect_s = 0.3
rate_limit_wait_s = 0.1
"""


@pytest.fixture
def config(tmp_path: Path, provider: Provider) -> Path:
    """A configuration whose key is the canary, in a file."""
    key, path = tmp_path / "key", tmp_path / "config.toml"
    key.write_text(KEY)
    key.chmod(0o600)
    path.write_text(CONFIG.format(key=key, url=provider.url))
    return path


def test_nothing_leaves_the_process_but_to_the_provider(
    worker: Callable[..., Worker], provider: Provider, config: Path
) -> None:
    """Through all faults, with keys of SQL's and of the server's: stdout, stderr and argv are clean."""
    one = worker(CLICKHOUSE_RERANK_CONFIG=str(config), OTHER_SERVICE_KEY=KEY)
    reply = [FAULTS[0]]
    provider.script = lambda request: knowing(request, reply[0])
    rows = list(arguments(provider.url))
    stderr = one.process.stderr
    assert stderr is not None
    said = b""
    for fault in FAULTS[:: len(STATUSES) // 2]:
        reply[0] = fault
        for asked in (row(""), row("", "cred:prod"), row(provider.url), *rows[-1:]):
            one.send(engine_bytes.chunk([asked], "JSONEachRow"))
            assert json.loads(one.lines(1)[0])["result"] in ([], [[0, DOCUMENTS[0], 1.0]])
        if rows:
            rows.pop()
    assert clean(Path(f"/proc/{one.process.pid}/cmdline").read_text())
    _, out, err = one.finish()
    said = out + err
    assert said.startswith(b"Rerank: ") and clean(said.decode()), said
    assert any(KEY in request.headers.get("authorization", "") for request in provider.requests)


TABLES = """
SELECT name FROM system.tables WHERE database = 'system' AND engine NOT LIKE '%Numbers' AND engine NOT LIKE '%Zeros'
AND name NOT IN ('primes', 'stack_trace', 'generate_series', 'contributors', 'licenses')
"""


def test_no_table_of_the_engine_has_a_key_of_the_servers(tmp_path: Path, provider: Provider, config: Path) -> None:
    """With a reference in SQL, no system table, EXPLAIN or error shows the key; one in SQL, for contrast, stays."""
    provider.script = lambda _: echoing(401, {"message": KEY})
    listed = answers(tmp_path / "a", "", [TABLES])[0].replace('"', "").split()
    assert len(listed) > 80 and "functions" in listed
    keep = "CREATE FUNCTION R AS (q, d) -> Rerank(q, d, 1, 'Cohere', '', 'cred:prod', '')"
    calls = [
        asks("Cohere", "", "cred:prod"),
        "SELECT R('q', ['d'])",
        f"EXPLAIN {asks('Cohere', '', '')}",
        asks("Cohere", "", ""),
    ]
    reads = [f"SELECT * FROM system.{name} LIMIT 5000 FORMAT JSONEachRow" for name in listed]
    literal = f"CREATE FUNCTION L AS (q, d) -> Rerank(q, d, 1, 'Cohere', '', '{KEY}', '')"
    last = "SELECT create_query FROM system.functions WHERE name = 'L'"
    told = answers(tmp_path / "b", config.read_text(), [keep, *calls, *reads, literal, last])
    assert "AUTH" in told[1] and KEY not in "".join(told[:-1]), [text[:200] for text in told[:-1] if KEY in text]
    assert KEY in told[-1] and len(provider.requests) >= 3


def test_a_crash_leaves_no_core(worker: Callable[..., Worker]) -> None:
    """However generous the server's own limit is, and whoever collects cores: there is nothing to keep."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        one = worker("--format", "TabSeparated")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    one.send(engine_bytes.chunk([Row("a", ["a"], 1, "BM25", "", "", "")], "TabSeparated"))
    one.lines(1)
    proc = Path(f"/proc/{one.process.pid}")
    (limit,) = (line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max core file size"))
    assert limit.split()[4:6] == ["0", "0"]
    assert int((proc / "coredump_filter").read_text(), 16) == 0
    one.process.send_signal(signal.SIGSEGV)
    ended = os.waitid(os.P_PID, one.process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None and ended.si_code == os.CLD_KILLED


NOTING = """
import json, os, sys
from clickhouse_rerank import worker
leave = os._exit
def note(code):
    with open(sys.argv[1], "w") as file:
        json.dump(dict(os.environ), file)
    leave(code)
os._exit = note
worker.main(["--embedded"])
"""


def test_the_servers_variables_are_forgotten(tmp_path: Path) -> None:
    """Once the settings are read, what the server's environment held is in no variable that a library could pass on."""
    seen = tmp_path / "environment"
    lent = worker_environment(
        COHERE_API_KEY=KEY, SOME_PASSWORD=KEY, AWS_SECRET_ACCESS_KEY=KEY, HTTPS_PROXY=f"http://{KEY}"
    )
    command = [sys.executable, "-I", "-c", NOTING, str(seen)]
    subprocess.run(command, env=lent, stdin=subprocess.DEVNULL, timeout=HANG_S, check=True)
    left = json.loads(seen.read_text())
    assert KEY not in left.values()
    kept = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ"}
    assert left.keys() <= kept | {"RAYON_NUM_THREADS"}  # which the worker itself sets


def test_aws_variables_stay_for_who_signs_as_the_server() -> None:
    """And go otherwise."""
    for keep in (True, False):
        variables = {"AWS_ROLE_ARN": "a", "COHERE_API_KEY": KEY, "PATH": "/bin"}
        process_hardening.drop_secrets(variables, keep_aws=keep)
        assert variables == {"PATH": "/bin"} | ({"AWS_ROLE_ARN": "a"} if keep else {})


def test_no_repr_shows_a_key(config: Path) -> None:
    """Records of rows, options, endpoints, settings and keys hide what they hold."""
    one = row(f"https://{CANARY}:{KEY}@h/")
    settings = load({"CLICKHOUSE_RERANK_CONFIG": str(config), "COHERE_API_KEY": KEY}, embedded=True)
    fallback = json.dumps({"fallback": [{"provider": "Jina", "api_key": NEXT_KEY}]})
    keys = auth.AwsKeys("AKIDcanary", Secret(KEY), TOKEN)
    options = Options(access_key_id=CANARY, session_token=TOKEN, fallback=({"api_key": KEY},))
    endpoint = resolve("Cohere", "", KEY, fallback, Settings())
    bound = next(iter(settings.credentials.values())).key
    for thing in (settings, keys, options, endpoint, bound, str(bound), f"{bound}", Reranker(settings)):
        assert clean(repr(thing)), repr(thing)
    assert KEY not in repr(one)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BODIES[1], "a.BadRequestError: BException: List should have at most 2048 items"),
        (BODIES[2], "a.BadRequestError: BException: List should have at most 2048 items"),
        (BODIES[3], "too long"),
        (BODIES[4], "1 validation error [type=too_long, input_value"),
        (BODIES[5], "1 validation error, input_value='***'"),
        (BODIES[6], "cannot rank ***... for ***"),
        (BODIES[7], "bad document: ***"),
        (BODIES[10], "key *** and ***"),
        (
            {"message": "the query q is empty, says [the server] {really}"},
            "the query q is empty, says [the server] {really}",
        ),
        ({"message": "a common sentence about documents"}, "a common sentence about documents"),
    ],
)
def test_what_is_left_of_an_echo(body: object, words: str) -> None:
    """The provider's own words stay, up to the data in them; keys, texts and long parts of texts are masked."""
    text = json.dumps(body).encode()
    assert error_message(text, (KEY, TOKEN), (QUERY, *DOCUMENTS, "q", "documents")) == words


def test_an_echo_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    """Of megabytes of documents in a complaint only the beginning is read: no text of the row is in what is left."""
    whole = "a.BadRequestError: BException: List should have at most 2048 items"
    body = json.dumps(BODIES[1]).encode()
    for end in range(len(body)):
        said = error_message(body[:end])
        assert whole.startswith(said.rstrip(' -{["')) and clean(said), (end, said)
    assert error_message(body[: body.index(b"2048 items") + 20]) == whole
