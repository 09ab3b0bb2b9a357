"""Where requests go, with which key, from the four constant arguments of a call."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_rerank.config.settings import Credential, Settings
from clickhouse_rerank.errors import CallerError
from clickhouse_rerank.providers import PROVIDERS
from clickhouse_rerank.providers import Provider as ProviderRecord
from clickhouse_rerank.providers.base_url import Url, is_complete, parse_url, request_url
from clickhouse_rerank.providers.wires import WIRES
from clickhouse_rerank.request.endpoint import resolve
from clickhouse_rerank.types import Call, Secret
from resolved import NEEDED, resolved
from url_cases import CASES


def refused(code: str, *arguments: str, settings: Settings | None = None, **others: object) -> str:
    with pytest.raises(CallerError) as raised:
        resolved(*arguments, settings=settings, **others)
    assert raised.value.code == code
    return str(raised.value)


@pytest.mark.parametrize(("provider", "base_url", "url"), CASES)
def test_a_base_url_means_one_url(provider: str, base_url: str, url: str) -> None:
    """However it is written, exactly one URL results; and that one, given back, means itself."""
    assert resolved(provider, base_url).url == url
    assert resolved(provider, url).url == url


ASKED = [record for record in PROVIDERS.values() if record.key != "none"]


@pytest.mark.parametrize("record", [record for record in ASKED if record.path != "/" and record.aws is None])
def test_every_way_to_write_a_documented_url_means_it(record: ProviderRecord) -> None:
    """Host only, host and version, any beginning of the path at a slash, the full path, each with a trailing slash."""
    host = "/".join(record.url.split("/")[:3]) or "https://example.com"
    full = resolved(record.name, host).url
    if record.url:
        assert resolved(record.name).url == full
    segments = full.removeprefix(host + "/").split("/")
    for count in range(len(segments) + 1):
        written = "/".join((host, *segments[:count]))
        if count < len(segments) and is_complete(parse_url(written), record.path, record.complete):
            continue  # a shorter path that is a rerank path itself, such as .../rerank of .../rerank/text-rerank
        for end in ("", "/", "//"):
            assert resolved(record.name, written + end).url == full, written


paths = st.lists(st.sampled_from(["v1", "v2", "v1beta", "api", "rerank", "models", "x"]), max_size=5)


@given(theirs=paths, ours=paths.filter(bool), slashes=st.integers(0, 3))
def test_the_rule_of_request_urls(theirs: list[str], ours: list[str], slashes: int) -> None:
    """It is idempotent, blind to trailing slashes, keeps what was given in front, and doubles nothing that overlaps."""
    base = Url("https", "example.com", 443, "".join(f"/{segment}" for segment in theirs) + "/" * slashes)
    path = "".join(f"/{segment}" for segment in ours)
    url = request_url(base, path)
    assert url[:3] == base[:3]
    given_path = base.path.rstrip("/")
    assert url == request_url(base._replace(path=given_path), path)
    assert url.path.startswith(given_path)
    assert not url.path.endswith("/")
    if not re.fullmatch(r".*/(re)?rank(s|ing)?", given_path):
        assert url.path.rpartition("/")[2] == ours[-1] or url.path == given_path
        assert len(url.path) <= len(given_path) + len(path)
        if not theirs:
            assert url.path == path
    if url.path.endswith("/rerank"):
        assert request_url(url, path) == url


@given(ours=paths.filter(bool), data=st.data())
def test_any_beginning_of_the_own_path_means_the_own_path(ours: list[str], data: st.DataObject) -> None:
    """Also where segments repeat: the longest overlap counts, behind whatever prefix a proxy has."""
    path = "".join(f"/{segment}" for segment in ours)
    beginning = ours[: data.draw(st.integers(1, len(ours)))]
    prefix = data.draw(st.sampled_from(["", "/proxy"]))
    base = Url("https", "example.com", 443, prefix + "".join(f"/{segment}" for segment in beginning))
    if not is_complete(base, path):
        assert request_url(base, path).path == prefix + path


BAD_URLS = (
    "https://host./v1", "api.cohere.com/v1/rerank", "ftp://host/v1", "file:///etc/passwd", "https://", "https:///v1",
    "https://user@host/v1", "https://user:secret@host/v1", "https://host/v1?key=secret", "https://host/v1#part",
    "https://host:0/", "https://host:65536/", "https://host:x/", "https://ho st/", "https://host/a b",
    "https://host/%2e%2e/", "https://host/../v1", "https://host/./v1", "https://127.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0177.0.0.1/", "https://127.0.0.1.:80/x", "https://①②⑦.0.0.1/",
    "https://host\\@other/", "https://host/\n", "https://[::1", "https://-host/", "https://host_-/" + "x" * 2048,
    "https://[::1%25eth0]/",
)  # fmt: skip


@pytest.mark.parametrize("base_url", BAD_URLS)
def test_a_url_outside_the_grammar_is_refused_and_not_repeated(base_url: str) -> None:
    """No user, query, fragment, dot segment, odd number or odd character; the message holds nothing of it."""
    message = refused("BAD_URL", "Cohere", base_url)
    assert "secret" not in message and base_url not in message


def test_a_url_has_one_spelling() -> None:
    """Case of scheme and host and the default port do not count; case of the path does."""
    assert resolved("Cohere", "HtTpS://Host.Example:443/V1/rerank").url == "https://host.example/V1/rerank"
    assert resolved("Cohere", "http://host:80/rerank").url == "http://host/rerank"
    assert resolved("Cohere", "http://host:443/rerank").url == "http://host:443/rerank"


NAMES = (
    "Cohere",
    "cohere",
    " COHERE ",
    "llama.cpp",
    "llama-cpp",
    "Hugging Face",
    "hugging_face",
    "vllm",
    "VLLM",
    "lite LLM",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_has_the_name_that_people_write(name: str) -> None:
    """Case, spaces, dots, hyphens and underscores do not matter."""
    endpoint = resolve(
        name, "http://localhost/v1/rerank", "key", '{"model":"m"}' if "ug" not in name else "", Settings()
    )
    letters = "".join(filter(str.isalnum, name.lower()))
    assert endpoint.provider.name.lower() == letters


def test_an_unknown_provider_lists_the_known_ones() -> None:
    """All names, and only the beginning of what was asked for."""
    message = refused("UNKNOWN_PROVIDER", "Nobody" * 30)
    assert all(record.name in message for record in PROVIDERS.values())
    assert "Nobody" * 7 not in message


MISSPELLED = (
    ("Choere", "Cohere"),
    ("COHER", "Cohere"),
    ("hugging-fcae", "HuggingFace"),
    ("Elastic-search!", "Elasticsearch"),
    ("BM-52", "BM25"),
    ("", ""),
    ("OpenAI?", "OpenAI"),
    ("Perplexity", ""),
    ("Cohere" * 7, ""),  # longer than any name: not a misspelled one
)


@pytest.mark.parametrize(("name", "meant"), MISSPELLED)
def test_a_misspelled_provider_gets_a_suggestion(name: str, meant: str) -> None:
    """The closest name, before the list of all; none for a text that is close to no name or too long for one."""
    message = refused("UNKNOWN_PROVIDER", name)
    suggestion = f" Did you mean {meant}?" if meant else ""
    assert message.startswith(f"Rerank: UNKNOWN_PROVIDER: There is no provider {name[:40]!r}.{suggestion} Providers: ")


FALLBACKS = (
    ({"provder": "Jina"}, "needs provider as a string. It has 'provder'. Did you mean provider?"),
    ({"secret-sesame": "Jina"}, "needs provider as a string."),
    (
        {"provider": "TEI", "base_url": "http://h", "api_kye": "k"},
        "TEI has no key 'api_kye' in an entry of others.fallback. Did you mean api_key?",
    ),
    (
        {"provider": "Jina", "api_key": "k", "modle": "m"},
        "Jina has no key 'modle' in an entry of others.fallback. Did you mean model?",
    ),
    (
        {"provider": "BM25", "base_ul": ""},
        "BM25 has no key 'base_ul' in an entry of others.fallback. Did you mean base_url?",
    ),
)


@pytest.mark.parametrize(("entry", "words"), FALLBACKS)
def test_a_misspelled_key_of_a_fallback_gets_a_suggestion(entry: dict[str, str], words: str) -> None:
    """An argument as well as a key of others; the known keys of both are listed."""
    message = refused("BAD_OTHERS", "Cohere", fallback=[entry])
    assert words in message and "sesame" not in message
    assert message.endswith(words) or "Known keys: api_key, " in message
    assert "There is no provider 'Jnia'. Did you mean Jina?" in refused(
        "UNKNOWN_PROVIDER", "Cohere", fallback=[{"provider": "Jnia"}]
    )


def test_retired_models_say_what_replaced_them() -> None:
    """Each record's; and what replaced them is not retired itself."""
    tried = 0
    for record in PROVIDERS.values():
        for model, successor in record.retired.items():
            base_url = "" if record.url else "https://example.com"
            assert f"{model} was shut down. Use {successor} in others.model" in refused(
                "BAD_OTHERS", record.name, base_url, model=model
            )
            assert successor not in record.retired
            tried += 1
    assert tried > 5


def test_a_path_takes_only_what_fits_there() -> None:
    """A model, a project or an inference id cannot lead elsewhere on the host that gets the key."""
    for model in (
        "../../v2/other",
        "a/../b",
        "a/./b",
        ".",
        "a//b",
        "/a",
        "a?b",
        "a#b",
        "a b",
        "a%2fb",
        "{project}",
        "ü",
    ):
        assert "others.model" in refused("BAD_OTHERS", "DeepInfra", model=model)
        if ".." not in model:
            assert "others.model" in refused("BAD_OTHERS", "HuggingFace", model=model)
    assert "/retrieval/__/__/v1/reranking" in resolved("NVIDIA", model="../../v1").url
    for place in ("a/b", "..", ".", "", "a b", "a?b", "a\n"):
        assert "others.project" in refused("BAD_OTHERS", "Google", project=place)
        assert "others.inference_id" in refused("BAD_OTHERS", "Elasticsearch", "http://localhost", inference_id=place)


def test_what_a_url_misses_is_named() -> None:
    """A project of Google's, unless the URL is complete; a URL where there is no default; a name for SageMaker."""
    google = resolve
    with pytest.raises(CallerError, match=r"BAD_OTHERS: Google needs others\.project"):
        google("Google", "", "key", "", Settings())
    url = "https://discoveryengine.googleapis.com/v1/projects/p/locations/eu/rankingConfigs/c:rank"
    endpoint = google("Google", url, "key", "", Settings())
    assert (endpoint.url, endpoint.headers) == (url, {})
    assert "TEI needs base_url" in refused("BAD_URL", "TEI")
    assert "needs its endpoint's name" in refused("BAD_URL", "SageMaker")
    assert "needs its endpoint's name" in refused("BAD_URL", "SageMaker", "https://example.com")
    assert "needs a model" in _needs_a_model()


def _needs_a_model() -> str:
    with pytest.raises(CallerError) as raised:
        resolve("LocalAI", "http://localhost", "", "", Settings())
    return str(raised.value)


def test_a_key_of_others_without_a_place_is_refused() -> None:
    """A model beside a URL that names it, or for a body that has none, would be ignored: that is said."""
    assert "others.model has no place" in refused("BAD_OTHERS", "HuggingFace", "https://example.com", model="m")
    assert "others.model has no place" in refused("BAD_OTHERS", "Custom", "https://example.com", model="m", wire="tei")
    assert "others.inference_id has no place" in refused(
        "BAD_OTHERS", "Elasticsearch", "http://es/_inference/rerank/mine", inference_id="other"
    )
    assert resolved("NVIDIA", "http://localhost/v1/ranking", model="m").model == "m"


def test_members_of_the_request_are_not_for_model_args() -> None:
    """What the wire writes stays its own, whichever wire others.wire chose; everything else is the caller's."""
    for provider, member in (
        ("Cohere", "documents"),
        ("Cohere", "top_n"),
        ("Voyage", "top_k"),
        ("Mixedbread", "input"),
    ):
        assert f"must not name {member}," in refused("BAD_OTHERS", provider, model_args={member: 1})
    assert "must not name inputs," in refused("BAD_OTHERS", "HuggingFace", model_args={"inputs": []})
    assert "must not name texts," in refused("BAD_OTHERS", "HuggingFace", model_args={"texts": []}, wire="tei")
    assert resolved("Voyage", model_args={"top_n": 3}).options.model_args == {"top_n": 3}


NATIVE = "https://dashscope.aliyuncs.com/api/v1"
INSIDE = (
    ("DashScope", NATIVE, {"parameters": {"top_n": 1}}, "others.model_args.parameters"),
    ("DashScope", NATIVE, {"parameters": []}, "others.model_args.parameters"),
    ("HuggingFace", "", {"parameters": 1}, "others.model_args.parameters"),
)


@pytest.mark.parametrize(("provider", "base_url", "model_args", "named"), INSIDE)
def test_an_object_that_the_wire_shares_keeps_its_members(
    provider: str, base_url: str, model_args: dict[str, object], named: str
) -> None:
    """What others adds to an object of the wire's must be one, and cannot replace the number of results."""
    endpoint = resolved(provider, base_url, model_args=model_args)
    with pytest.raises(CallerError, match="BAD_OTHERS") as raised:
        WIRES[endpoint.wire].body(Call("q", ["text"], 1, "m", endpoint.options.model_args))
    assert named in str(raised.value)


def test_headers_beside_the_key() -> None:
    """Fixed ones always, filled ones when there is something to fill in, the key in the record's own form."""
    pinecone = resolved("Pinecone").signed({"A": "b"}, b"{}")
    assert pinecone == {"A": "b", "Api-Key": "key", "X-Pinecone-Api-Version": "2025-10"}
    assert resolved("Elasticsearch", "http://es").signed({}, b"")["Authorization"] == "ApiKey key"
    assert resolved("Elasticsearch", "http://es", "").signed({}, b"") == {}
    assert resolved("HuggingFace").headers == {}
    assert resolved("HuggingFace", bill_to="my-team").headers == {"X-HF-Bill-To": "my-team"}


def test_bedrock_is_where_its_region_is() -> None:
    """Host and model ARN follow region and partition; a URL and an ARN are taken as given."""
    endpoint = resolved("Bedrock")
    assert endpoint.url == "https://bedrock-agent-runtime.eu-central-1.amazonaws.com/rerank"
    assert endpoint.model == "arn:aws:bedrock:eu-central-1::foundation-model/cohere.rerank-v3-5:0"
    gov = resolved("Bedrock", region_name="us-gov-west-1", model="amazon.rerank-v1:0")
    assert gov.model == "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.rerank-v1:0"
    arn = "arn:aws:bedrock:eu-central-1:123456789012:custom-model/x"
    endpoint = resolved("Bedrock", "https://vpce-1.example.com", model=arn)
    assert (endpoint.url, endpoint.model) == ("https://vpce-1.example.com/rerank", arn)
    assert "others.region_name" in refused("BAD_OTHERS", "Bedrock", region_name="Frankfurt")
    assert "others.access_key_id" in refused("BAD_OTHERS", "Bedrock", access_key_id="")


def server(provider: str, base_url: str = "", **others: object) -> Settings:
    return Settings(
        {"c": Credential("c", provider.lower(), Secret("server-key"), base_url, default=True, others=others)}
    )


def test_a_key_of_the_servers_goes_only_where_it_is_bound() -> None:
    """To its URL, or below it; never to another host, path or project that SQL names."""
    settings = server("DeepInfra")
    assert resolved("DeepInfra", "", "", settings, model="a/b").key.reveal() == "server-key"
    below = "https://api.deepinfra.com/v1/inference/a/b"
    assert resolved("DeepInfra", below, "", settings).key.reveal() == "server-key"
    for elsewhere in (
        "https://evil.example",
        "https://api.deepinfra.com/v2",
        "http://api.deepinfra.com/v1/inference/a",
    ):
        refused("CREDENTIAL", "DeepInfra", elsewhere, "", settings=settings)
    bound = server("Google", project="mine")
    google = "https://discoveryengine.googleapis.com/v1/projects/{}/locations/global/rankingConfigs/c:rank"
    with pytest.raises(CallerError, match="CREDENTIAL"):
        resolve("Google", google.format("other"), "", "", bound)
    with pytest.raises(CallerError, match=r"CREDENTIAL: others\.project belongs to the credential"):
        resolve("Google", "", "", '{"project":"other"}', bound)
    endpoint = resolve("Google", "", "", "", bound)
    assert endpoint.headers == {"X-Goog-User-Project": "mine"}
    assert "/projects/mine/" in endpoint.url


def test_a_credential_supplies_what_a_wrapper_leaves_out() -> None:
    """With nothing but a default credential in the configuration, every provider can be asked."""
    for record in ASKED:
        needed = dict(NEEDED.get(record.name, {}))
        base_url = "" if record.url or record.name == "Bedrock" else "https://example.com"
        base_url = "my-endpoint" if record.name == "SageMaker" else base_url
        endpoint = resolve(record.name, "", "", "", server(record.name, base_url, **needed))
        assert endpoint.url.startswith("https://")
        assert endpoint.key_name == "the credential 'cred:c'"
