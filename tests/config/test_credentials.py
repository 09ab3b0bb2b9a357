"""Keys of the server's: where they go, where they do not, and what becomes of them when their files change."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import engine_bytes
from asking import asked, code, row
from clickhouse_rerank.config.credentials import Credential, KeyFile
from clickhouse_rerank.config.settings import Network, Settings, load
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers import Provider as ProviderRecord
from clickhouse_rerank.request import auth, endpoints
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.reranker import Reranker
from clickhouse_rerank.types import Row, Secret
from configured_engine import answers, asks
from conftest import Worker
from provider import Provider, Reply, Request, cohere
from resolved import NEEDED

SERVER, CALLER = "canary-of-the-server", "canary-of-the-caller"
AWS = {"access_key_id": "AKIDCALLER", "region_name": "eu-central-1"}
WITH_KEY = [record for record in PROVIDERS.values() if record.key != "none" and record.aws is None]
KEYS = {"none": "", "reference": "cred:{}", "literal": CALLER}
PLACES = {
    "default": "",
    "bound": "http://127.0.0.1:{port}/bound",
    "other host": "http://localhost:{port}/bound",
    "other scheme": "https://127.0.0.1:{port}/bound",
    "other port": "http://127.0.0.1:{other}/bound",
    "other path": "http://127.0.0.1:{port}/boundless",
}
"""base_url as SQL may write it, beside a credential that is bound to the second of these."""


def others_of(record: ProviderRecord) -> str:
    needed = {
        name: value for name, value in NEEDED.get(record.name, {}).items() if not record.options[name].credential_only
    }
    return json.dumps(needed) if needed else ""


def table(record: ProviderRecord, base_url: str) -> str:
    """A default credential of a provider, bound to a URL."""
    bound = {name: value for name, value in NEEDED.get(record.name, {}).items() if record.options[name].credential_only}
    lines = [f'provider = "{record.name}"', f'api_key = "{SERVER}-{record.name}"', f'base_url = "{base_url}"']
    members = "".join(f"{name} = {json.dumps(value)}\n" for name, value in bound.items())
    name = record.name.lower()
    return f"[credentials.{name}]\ndefault = true\n" + "\n".join(lines) + f"\n[credentials.{name}.others]\n{members}"


Cell = tuple[str, str, str]
Seen = dict[Cell, tuple[str, list[tuple[str, str]]]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """(provider, key, place) -> (what SQL says, [(where a request arrived, whose key it had)])."""
    arrived: list[tuple[str, str]] = []

    def note(where: str) -> Provider:
        def script(request: object) -> Reply:
            head = repr(request)
            whose = [name for name, key in (("server", SERVER), ("caller", CALLER)) if key in head]
            arrived.append((where + request.path, " and ".join(whose)))  # type: ignore[attr-defined]
            return Reply(400, {"message": f"number {len(arrived)}"})

        return Provider(script)

    bound, other = note(""), note("elsewhere")
    urls = {place: url.format(port=bound.port, other=other.port) for place, url in PLACES.items()}
    config = "".join(table(record, urls["bound"]) for record in WITH_KEY)
    config += "[network]\nallow_private = ['127.0.0.1', 'localhost']\n"
    cells = [
        (record.name, key, place)
        for record in WITH_KEY
        for key in KEYS
        for place in PLACES
        if not (record.url and key == "literal" and place == "default")  # a public host: see the matrix below
    ]
    queries = []
    for name, key, place in cells:
        record = PROVIDERS[name.lower()]
        others = others_of(record) if key != "literal" or not NEEDED.get(name) else json.dumps(NEEDED[name])
        if place == "other scheme":
            others = json.dumps({**json.loads(others or "{}"), "timeout_s": 0.1})  # a server without TLS is silent
        queries.append(asks(name, urls[place], KEYS[key].format(name.lower()), others))
    said: Seen = {}
    texts = answers(tmp_path_factory.mktemp("matrix"), config, queries)
    left = iter(arrived)
    for cell, text in zip(cells, texts, strict=True):
        said[cell] = (text, [next(left)] if "(number " in text else [])
    assert not list(left)
    yield said
    bound.close()
    other.close()


def expected(record: ProviderRecord, key: str, place: str) -> str:
    """The code, or whose key arrives."""
    if key == "literal":
        return {"default": "BAD_URL", "other scheme": "TIMEOUT"}.get(place, "caller")
    if place in ("default", "bound"):
        return "server"
    if key == "none" and record.key == "optional":
        return "TIMEOUT" if place == "other scheme" else ""
    return "CREDENTIAL"


@pytest.mark.parametrize("record", WITH_KEY, ids=lambda record: record.name)
def test_a_key_goes_where_it_is_bound(seen: Seen, record: ProviderRecord) -> None:
    """Through SQL, every way to name a key beside every place to send it: the server's goes to its own or nowhere."""
    for (name, key, place), (text, arrived) in seen.items():
        if name != record.name:
            continue
        cell = f"{key}, {place}: {text[:300]}, {arrived}"
        wanted = expected(record, key, place)
        if arrived:
            assert arrived[0][1] == wanted, cell
            assert ("server" not in arrived[0][1]) or arrived[0][0].startswith("/bound"), cell
        else:
            assert f"Rerank: {wanted}: " in text, cell
        assert SERVER not in text, cell


DEFAULTS = [record for record in WITH_KEY if record.url]


@pytest.mark.parametrize("record", DEFAULTS, ids=lambda record: record.name)
@pytest.mark.parametrize("place", ["default", "bound", "other host", "http", "other port", "userinfo"])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_for_a_public_url_stays_with_it(record: ProviderRecord, key: str, place: str) -> None:
    """The same for credentials without a base_url, bound to the provider's own: what would be asked, with which key."""
    needed = NEEDED.get(record.name, {})
    bound = {name: value for name, value in needed.items() if record.options[name].credential_only}
    own = {"c": Credential("c", record.name.lower(), Secret(SERVER), default=True, others=bound)}
    members = needed if key == "literal" else {name: value for name, value in needed.items() if name not in bound}
    here = resolve(record.name, "", CALLER, json.dumps(needed), Settings()).url
    host = here.split("/")[2]
    base_url = {
        "default": "",
        "bound": here,
        "other host": here.replace(host, "evil.test"),
        "http": here.replace("https:", "http:"),
        "other port": here.replace(host, f"{host}:444"),
        "userinfo": here.replace(host, f"{host}@evil.test"),
    }[place]
    if base_url:
        in_url = [name for name in ("project", "model") if f"{{{name}}}" in record.url]
        members = {name: value for name, value in members.items() if name not in in_url}
    try:
        text = json.dumps(members) if members else ""
        endpoint = resolve(record.name, base_url, KEYS[key].format("c"), text, Settings(own))
    except CallerError as error:
        assert error.code == ("BAD_URL" if place == "userinfo" else "CREDENTIAL")
        assert place not in ("default", "bound") and (key != "literal" or place == "userinfo")
        return
    assert endpoint.key.reveal() == (CALLER if key == "literal" else SERVER)
    assert endpoint.url == here if place in ("default", "bound") else key == "literal"


def test_a_fallback_is_bound_too() -> None:
    """A server's key in others.fallback goes to its own URL; a URL there carries a key from there."""
    own = {"c": Credential("c", "jina", Secret(SERVER), default=True)}
    for key in ("", "cred:c"):
        text = json.dumps({"fallback": [{"provider": "Jina", "base_url": "https://evil.test", "api_key": key}]})
        with pytest.raises(CallerError, match="CREDENTIAL"):
            resolve("Cohere", "", CALLER, text, Settings(own))


# --- AWS


def test_aws_keys_of_the_server_sign_for_their_own_endpoint_only(tmp_path: Path, provider: Provider) -> None:
    """Neither name, region nor endpoint_url from SQL moves them; keys from SQL sign for what SQL names."""
    provider.script = lambda request: Reply(400, {"message": request.headers["authorization"].split("/")[0]})
    other = Provider(provider.script)
    config = "".join(
        f'[credentials.{name}]\nprovider = "{name}"\ndefault = true\napi_key = "{SERVER}"\n{bound}'
        f"[credentials.{name}.others]\naccess_key_id = 'AKIDSERVER'\nregion_name = 'eu-central-1'\n{more}"
        for name, bound, more in (
            ("sagemaker", 'base_url = "mine"\n', f"endpoint_url = '{provider.url}'\n"),
            ("bedrock", f'base_url = "{provider.url}"\n', ""),
        )
    )
    moved = {"endpoint_url": other.url}
    elsewhere = json.dumps(moved)
    cases = [
        (asks("SageMaker", "", "cred:sagemaker"), "AKIDSERVER"),
        (asks("SageMaker", "", ""), "AKIDSERVER"),
        (asks("SageMaker", "mine", ""), "AKIDSERVER"),
        (asks("SageMaker", "yours", ""), "Rerank: CREDENTIAL"),
        (asks("SageMaker", "yours", "cred:sagemaker"), "Rerank: CREDENTIAL"),
        (asks("SageMaker", "", "", elsewhere), "Rerank: CREDENTIAL"),
        (asks("SageMaker", "", "cred:sagemaker", '{"region_name":"us-east-1"}'), "Rerank: CREDENTIAL"),
        (asks("SageMaker", "", "cred:sagemaker", '{"access_key_id":"AKIDCALLER"}'), "Rerank: CREDENTIAL"),
        (asks("SageMaker", "yours", CALLER, json.dumps({**AWS, "endpoint_url": other.url})), "AKIDCALLER"),
        (asks("SageMaker", "yours", CALLER, json.dumps({**AWS, "region_name": "x.evil.test/"})), "Rerank: BAD_OTHERS"),
        (
            asks("SageMaker", "yours", CALLER, json.dumps({**AWS, "region_name": "x\r\nX: y"} | moved)),
            "Rerank: BAD_OTHERS",
        ),
        (asks("SageMaker", "https://evil.test", CALLER, json.dumps(AWS)), "Rerank: BAD_URL"),
        (asks("Bedrock", "", ""), "AKIDSERVER"),
        (asks("Bedrock", other.url, ""), "Rerank: CREDENTIAL"),
        (asks("Bedrock", other.url, "cred:bedrock"), "Rerank: CREDENTIAL"),
        (asks("Bedrock", other.url, CALLER, json.dumps(AWS)), "AKIDCALLER"),
    ]
    config += "[network]\nallow_private = ['127.0.0.1']\n"
    texts = answers(tmp_path, config, [query for query, _ in cases])
    for (query, wanted), text in zip(cases, texts, strict=True):
        # Key ids are masked in what SQL reads: who asked is on the wire.
        assert (wanted if wanted.startswith("Rerank") else "***") in text and SERVER not in text, query
    signed = [request.headers["authorization"].split("Credential=")[1].split("/")[0] for request in provider.requests]
    assert signed == [wanted for _, wanted in cases if wanted == "AKIDSERVER"]
    assert all("AKIDCALLER" in request.headers["authorization"] for request in other.requests)
    assert len(other.requests) == 2
    other.close()


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that has an AWS identity, and no other way to one."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-ambient-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-ambient-token")
    auth.server_identity.cache_clear()
    yield
    auth.server_identity.cache_clear()


def with_server_identity(provider: Provider) -> Settings:
    others = {"region_name": "eu-central-1", "endpoint_url": provider.url}
    own = Credential("role", "sagemaker", Secret(""), "mine", others=others, uses_server_identity=True)
    return Settings({"role": own}, Network(allow_private=("127.0.0.1",)))


def sagemaker(base_url: str, key: str, **others: str) -> object:
    return row(base_url, provider="SageMaker", key=key, others=others)


@pytest.mark.usefixtures("dialled", "identity")
def test_the_servers_identity_is_used_where_the_configuration_says_so(provider: Provider) -> None:
    """For the endpoint and region of that credential; never for a default, another name or a key from SQL."""
    provider.script = lambda request: Reply(
        403, {"message": "no canary-ambient-secret of AKIDAMBIENT, canary-ambient-token"}
    )
    within = with_server_identity(provider)
    own = {"access_key_id": "AKIDCALLER", "region_name": "eu-central-1", "endpoint_url": provider.url}
    results = asked(
        sagemaker("", "cred:role"),  # type: ignore[arg-type]
        sagemaker("yours", "cred:role"),  # type: ignore[arg-type]
        sagemaker("", "cred:role", region_name="us-east-1"),  # type: ignore[arg-type]
        sagemaker("mine", "", region_name="eu-central-1"),  # type: ignore[arg-type]
        sagemaker("mine", CALLER, **own),  # type: ignore[arg-type]
        within=within,
    )
    assert [code(result) for result in results] == ["AUTH", "CREDENTIAL", "CREDENTIAL", "BAD_KEY", "AUTH"]
    assert "no *** of ***, ***" in str(results[0])
    first, last = (request.headers for request in provider.requests)
    assert "Credential=AKIDAMBIENT/" in first["authorization"]
    assert first["x-amz-security-token"] == "canary-ambient-token"
    assert "Credential=AKIDCALLER/" in last["authorization"] and "x-amz-security-token" not in last


@pytest.mark.usefixtures("dialled", "identity")
def test_an_identity_of_a_role_is_fetched_and_a_missing_one_is_named(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers have it, from a service on loopback; without any, the sentence says what to do."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (error,) = asked(sagemaker("", "cred:role"), within=with_server_identity(provider))  # type: ignore[arg-type]
    assert code(error) == "CREDENTIAL" and "no AWS identity" in str(error)
    found = {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
    provider.script = lambda request: Reply(json=found) if request.method == "GET" else Reply(403, {"message": "m"})
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{provider.url}/role")
    auth.server_identity.cache_clear()
    asked(sagemaker("", "cred:role"), within=with_server_identity(provider))  # type: ignore[arg-type]
    assert [request.method for request in provider.requests] == ["GET", "POST"]
    assert "Credential=AKIDROLE/" in provider.requests[1].headers["authorization"]


# --- files


CONFIG = '[credentials.prod]\nprovider = "Cohere"\ndefault = true\napi_key_file = "{}"\nbase_url = "{}"\n'


@pytest.mark.fault("F70")
def test_a_rotated_key_is_used_without_a_restart(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row after the file changed, and the few seconds for which a key holds, carries the new key; none the old."""
    now = [1000.0]
    monkeypatch.setattr(endpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert endpoints._KEYS_HOLD_S <= 60
    key, config = tmp_path / "key", tmp_path / "config.toml"
    key.write_text("first-key\n")
    key.chmod(0o600)
    config.write_text(
        CONFIG.format(key, provider.url) + "[cache]\nmemory_s = 0\n[network]\nallow_private = ['127.0.0.1']\n"
    )
    ranker = Reranker(load({"CLICKHOUSE_RERANK_CONFIG": str(config)}))

    async def run() -> None:
        await ranker.rank(row("", key="", query="zebra 1"))
        fresh = tmp_path / "new"
        fresh.write_text("second-key\n")
        fresh.chmod(0o600)
        fresh.replace(key)
        now[0] += endpoints._KEYS_HOLD_S
        await ranker.rank(row("", key="", query="zebra 2"))
        await ranker.rank(row("", key="cred:prod", query="zebra 3"))
        await ranker.aclose()

    asyncio.run(run())
    sent = [request.headers["authorization"] for request in provider.requests]
    assert sent == ["Bearer first-key", "Bearer second-key", "Bearer second-key"]


@pytest.mark.fault("F70")
def test_a_key_file_that_cannot_be_used_holds_the_last_key_for_a_minute(tmp_path: Path) -> None:
    """In the midst of being rewritten, or gone: for a minute the old key, then an error that names the file."""
    now = [0.0]
    path = tmp_path / "key"
    path.write_text("old-key")
    path.chmod(0o600)
    key = KeyFile(path, "config.toml [credentials.p]", lambda: now[0])
    for wrong in ("", None, "world"):
        now[0] += 1000
        path.write_text("old-key")
        path.chmod(0o600)
        assert key.reveal() == "old-key"
        if wrong is None:
            path.unlink()
        elif wrong == "world":
            path.chmod(0o644)
        else:
            path.write_text(wrong)
        now[0] += 59
        assert key.reveal() == "old-key"
        now[0] += 2
        with pytest.raises(CallerError, match="CONFIG") as raised:
            key.reveal()
        assert str(path) in str(raised.value) and "old-key" not in str(raised.value)
    path.chmod(0o600)
    path.write_text("new-key")
    assert key.reveal() == "new-key"


def test_a_row_has_one_key_from_beginning_to_end(tmp_path: Path) -> None:
    """What is sent is what is masked in the answer, also where the file changes in between."""
    path = tmp_path / "key"
    path.write_text("old-key")
    path.chmod(0o600)
    own = {"c": Credential("c", "cohere", KeyFile(path, "c"), default=True)}
    endpoint = resolve("Cohere", "", "", "", Settings(own))
    path.write_text("new-key")
    assert endpoint.key.reveal() == "old-key" and "old-key" in endpoint.secrets
    assert resolve("Cohere", "", "", "", Settings(own)).key.reveal() == "new-key"


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True), (0o604, True)]
)
def test_files_with_keys_are_not_for_everybody(tmp_path: Path, mode: int, refused: bool) -> None:
    """A file of a key, and a configuration with a key in it, must not be readable or writable by all users."""
    key, config = tmp_path / "key", tmp_path / "config.toml"
    key.write_text("a-key")
    for document, subject in (
        (CONFIG.format(key, ""), key),
        (CONFIG.replace("api_key_file", "api_key").format("canary-key", ""), config),
        ('[credentials.a]\nprovider = "SageMaker"\nothers = { session_token = "canary" }\n', config),
    ):
        config.write_text(document)
        key.chmod(0o600)
        config.chmod(0o600)
        subject.chmod(mode)
        if not refused:
            load({"CLICKHOUSE_RERANK_CONFIG": str(config)})
            continue
        with pytest.raises(CallerError, match="CONFIG") as raised:
            load({"CLICKHOUSE_RERANK_CONFIG": str(config)})
        assert f"chmod o= {subject}" in str(raised.value) and "canary" not in str(raised.value)


def test_a_configuration_without_keys_may_be_read_but_not_written_by_all(tmp_path: Path) -> None:
    """What names hosts and files is no secret, but who may change it decides where keys go."""
    config = tmp_path / "config.toml"
    config.write_text("[network]\nallow_hosts = ['api.cohere.com']\n")
    config.chmod(0o644)
    load({"CLICKHOUSE_RERANK_CONFIG": str(config)})
    config.chmod(0o646)
    with pytest.raises(CallerError, match="can be changed by every user"):
        load({"CLICKHOUSE_RERANK_CONFIG": str(config)})


# --- two credentials on one worker


def two_keys(folder: Path, provider: Provider) -> str:
    """A configuration with two credentials for one URL."""
    config = folder / "config.toml"
    tables = (
        f'[credentials.{name}]\nprovider = "Cohere"\napi_key = "key-of-{name}"\nbase_url = "{provider.url}"\n'
        for name in "ab"
    )
    config.write_text("".join(tables) + "[network]\nallow_private = ['127.0.0.1']\n")
    config.chmod(0o600)
    return str(config)


def of(whose: str, i: int) -> Row:
    return row("", key=f"cred:{whose}", query=f"{whose} {i}", documents=[f"{whose} {i} x"])


def test_ten_thousand_rows_of_two_credentials_do_not_mix(
    worker: Callable[..., Worker], tmp_path: Path, provider: Provider
) -> None:
    """Interleaved in one process: every request carries the key of its own row, every answer is that row's."""

    def script(request: Request) -> Reply:
        whose = request.headers["authorization"].rpartition("-")[2]
        return cohere(request) if request.json["query"].startswith(f"{whose} ") else Reply(400, {"message": "mixed"})

    provider.script = script
    one = worker(CLICKHOUSE_RERANK_CONFIG=two_keys(tmp_path, provider))
    rows = [of("ab"[i % 2], i) for i in range(10_000)]
    one.send(engine_bytes.chunk(rows, "JSONEachRow"))
    found = [json.loads(line)["result"] for line in one.lines(10_000, timeout_s=60)]
    assert found == [[[0, asked_for.documents[0], 1.0]] for asked_for in rows]
    assert len(provider.requests) == 10_000


@pytest.mark.fault("F73")
def test_a_revoked_key_fails_its_own_queries_only(
    worker: Callable[..., Worker], tmp_path: Path, provider: Provider
) -> None:
    """In turn with a good key of the same host, in one process: its queries fail, those of the other are right."""
    provider.script = lambda request: (
        Reply(401, {"message": "revoked"}) if request.headers["authorization"].endswith("-b") else cohere(request)
    )
    one = worker(CLICKHOUSE_RERANK_CONFIG=two_keys(tmp_path, provider))
    for i in range(0, 100, 10):
        good, bad = ([of(whose, at) for at in range(i, i + 10)] for whose in "ab")
        one.send(engine_bytes.chunk(good, "JSONEachRow"))
        assert [json.loads(line)["result"][0][2] for line in one.lines(10)] == [1.0] * 10
        one.send(engine_bytes.chunk(bad, "JSONEachRow"))
        assert [json.loads(line)["result"] for line in one.lines(10)] == [[]] * 10
        assert os.read(one.process.stderr.fileno(), 5000).decode() == (  # type: ignore[union-attr]
            "Rerank: AUTH: Cohere answered 401 (revoked). Check the credential 'cred:b'."
        )


@pytest.mark.fault("F73")
def test_a_revoked_key_fails_its_own_rows_only(tmp_path: Path, provider: Provider) -> None:
    """Also in the midst of the other's rows: none of those fails, or is withheld for the failures beside it."""
    provider.script = lambda request: (
        Reply(401, {"message": "revoked"}) if request.headers["authorization"].endswith("-b") else cohere(request)
    )
    rows = [of("ab"[i % 2], i) for i in range(200)]

    async def run() -> list[object]:
        reranker = Reranker(load({"CLICKHOUSE_RERANK_CONFIG": two_keys(tmp_path, provider)}))
        found = await asyncio.gather(*map(reranker.rank, rows), return_exceptions=True)
        await reranker.aclose()
        return list(found)

    found = asyncio.run(run())
    assert found[::2] == [[(0, 1.0)]] * 100
    assert {str(error) for error in found[1::2]} == {
        "Rerank: AUTH: Cohere answered 401 (revoked). Check the credential 'cred:b'."
    }
