"""The configuration file and the environment -> Settings."""

import tomllib
from pathlib import Path

import pytest

from clickhouse_rerank.config.settings import Limits, Settings, load, parse
from clickhouse_rerank.errors import CallerError


def parsed(document: str, **environment: str) -> Settings:
    return parse(tomllib.loads(document), environment, where="config.toml")


def test_the_documented_file(tmp_path: Path) -> None:
    """Every documented key arrives where it belongs."""
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / "key").chmod(0o640)
    settings = parsed(
        f"""
        [credentials.prod]
        provider = "Cohere"
        api_key_file = "{tmp_path / "key"}"
        base_url = "https://api.cohere.com/v2/rerank"
        default = true
        model = "rerank-v4"
        [credentials.aws]
        provider = "sagemaker"
        api_key_env = "AWS_KEY"
        base_url = "my-endpoint"
        others = {{ access_key_id = "AKIA", region_name = "eu-west-1" }}
        [credentials.plain]
        provider = "JINA"
        api_key = "literal"
        [network]
        allow_hosts = ["api.cohere.com", ".Jina.ai"]
        allow_private = ["localhost:8080", "[::1]:9", "tei"]
        [limits]
        row_deadline_s = 10
        max_in_flight = 5
        """,
        AWS_KEY="from-environment",
    )
    prod, aws, plain = (settings.credentials[name] for name in ("prod", "aws", "plain"))
    assert (prod.provider, prod.key.reveal(), prod.base_url) == (
        "cohere",
        "from-file",
        "https://api.cohere.com/v2/rerank",
    )
    assert prod.others == {"model": "rerank-v4"}
    assert (aws.provider, aws.key.reveal(), aws.base_url) == ("sagemaker", "from-environment", "my-endpoint")
    assert aws.others == {"access_key_id": "AKIA", "region_name": "eu-west-1"}
    assert (plain.provider, plain.key.reveal(), plain.default) == ("jina", "literal", False)
    assert settings.default_credential("cohere") is prod
    assert settings.default_credential("jina") is None
    assert settings.network.allow_hosts == ("api.cohere.com", ".jina.ai")
    assert settings.network.allow_private == ("localhost:8080", "[::1]:9", "tei")
    assert not settings.network.allow_loopback
    assert (settings.limits.row_deadline_s, settings.limits.max_in_flight) == (10, 5)


@pytest.mark.parametrize("environment", [{}, {"CLICKHOUSE_RERANK_CONFIG": ""}])
def test_without_a_file_the_defaults_hold(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file at the default place, and an empty variable, mean: no credentials, no hosts of one's own."""
    for missing in (tmp_path / "none.toml", tmp_path / "no" / "folder.toml"):
        monkeypatch.setattr("clickhouse_rerank.config.settings.DEFAULT_CONFIG", str(missing))
        assert load(environment) == Settings()


def test_a_default_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there but unreadable is not the same as none."""
    monkeypatch.setattr("clickhouse_rerank.config.settings.DEFAULT_CONFIG", str(tmp_path))
    with pytest.raises(CallerError, match=r"CONFIG: .* cannot be read"):
        load({})


COHERE = '[credentials.p]\nprovider = "Cohere"\n'
AWS = '[credentials.p]\nprovider = "SageMaker"\n'
MISTAKES = [
    ("[limit]", "unknown section [limit]. Did you mean limits? Known: credentials, models, network, limits, "),
    ("credentials = 1", "[credentials] must be a table."),
    ("[credentials]\np = 1", "[credentials.p] must be a table."),
    ("[[credentials.p]]", "[credentials.p] must be a table."),
    ("network = []", "[network] must be a table."),
    ("[credentials.p]", "[credentials.p] needs a provider, one of Cohere, "),
    ('[credentials.p]\nprovider = "Choere"', "[credentials.p] needs a provider, one of Cohere, "),
    ('[credentials.p]\nprovider = "Choere"', ", BM25. Did you mean Cohere?"),
    (COHERE + "apikey = 'x'", "[credentials.p] has the unknown key apikey. Did you mean api_key? Known: provider, "),
    (COHERE + "documents_per_minute" + "x" * 21 + " = 1", "x. Known: provider, "),
    ("[tokens]", "unknown section [tokens]. Known: credentials, "),
    (COHERE + "key = 'x'", "[credentials.p] has the unknown key key. Did you mean api_key? Known: provider, "),
    (COHERE + "api_key = 5", "[credentials.p] api_key must be a string."),
    (COHERE + "default = 'yes'", "[credentials.p] default must be true or false."),
    (COHERE + "default = 1", "[credentials.p] default must be true or false."),
    (COHERE + "others = '{}'", "[credentials.p] others must be a table."),
    (COHERE + "api_key = 'x'\napi_key_env = 'X'", "[credentials.p] has api_key and api_key_env. Keep one."),
    (COHERE + "api_key_env = 'NOT_SET'", "names the variable NOT_SET, which is not set"),
    (COHERE + "api_key_env = 'EMPTY'", "names the variable EMPTY, which is not set"),
    (COHERE + "api_key_file = '/nonexistent/key'", "api_key_file /nonexistent/key cannot be read."),
    (COHERE + "api_key_file = '/'", "api_key_file / cannot be read."),
    (COHERE + 'api_key_file = "/\\u0000"', "cannot be read."),
    (COHERE + "api_key_file = '/dev/null'", "api_key_file /dev/null is empty."),
    (
        COHERE + "default = true\n" + COHERE.replace(".p]", ".q]") + "default = true",
        "two default credentials for Cohere",
    ),
    (
        "[network]\nallow_host = []",
        "[network] has the unknown key allow_host. Did you mean allow_hosts? Known: allow_hosts, ",
    ),
    ("[network]\nproxy = 1", "[network] proxy must be a string."),
    ("[network]\nproxy = 'http://user:secret@h:1'", "[network] proxy is no plain URL."),
    ("[network]\nproxy = 'https://h:1'", "[network] proxy must be of the form http://host:port."),
    ("[network]\nproxy = 'http://h:1/path'", "[network] proxy must be of the form http://host:port."),
    ("[network]\nca_file = '/nonexistent'", "[network] ca_file /nonexistent is no file."),
    (COHERE + "requests_per_minute = 0", "[credentials.p] requests_per_minute must be a positive integer."),
    (COHERE + "documents_per_minute = '5'", "[credentials.p] documents_per_minute must be a positive integer."),
    (COHERE + "requests_per_minute = true", "[credentials.p] requests_per_minute must be a positive integer."),
    (COHERE + "aws_identity = 'server'", "[credentials.p] has aws_identity, but Cohere takes a key."),
    (AWS + "aws_identity = 'role'", '[credentials.p] aws_identity must be "server"'),
    (AWS + "aws_identity = 'server'\napi_key = 'x'", "[credentials.p] has aws_identity and a key. Keep one."),
    (AWS + "aws_identity = 'server'", "[credentials.p] needs base_url, the name of the one SageMaker endpoint"),
    (AWS + "aws_identity = 'server'\nbase_url = 'e'", "[credentials.p] needs others.region_name"),
    (
        AWS + "aws_identity = 'server'\nbase_url = 'e'\nothers = { region_name = 'r', access_key_id = 'a' }",
        "[credentials.p] has aws_identity and a key. Keep one.",
    ),
    ("[limits]\ncounters = 'relative'", "[limits] counters must be the absolute path of a folder."),
    ("[limits]\ncounters = 1", "[limits] counters must be the absolute path of a folder."),
    ("[network]\nallow_hosts = 'api.cohere.com'", "[network] allow_hosts must be a list of host names."),
    ("[network]\nallow_hosts = [1]", "[network] allow_hosts must be a list of host names."),
    (
        "[network]\nallow_hosts = ['https://h']",
        "[network] allow_hosts has 'https://h'. Write a host name or a .suffix.",
    ),
    ("[network]\nallow_hosts = ['h:443']", "[network] allow_hosts has 'h:443'."),
    ("[network]\nallow_hosts = ['*.h']", "[network] allow_hosts has '*.h'."),
    ("[network]\nallow_hosts = ['']", "[network] allow_hosts has ''."),
    (
        "[network]\nallow_private = ['10.0.0.0/8']",
        "[network] allow_private has '10.0.0.0/8'. Write a host or host:port.",
    ),
    ("[network]\nallow_private = ['.local']", "[network] allow_private has '.local'."),
    ("[limits]\nrows = 1", "[limits] has the unknown key rows. Did you mean max_rows? Known: row_deadline_s, "),
    ("[limits]\nrow_deadline_s = '30'", "[limits] row_deadline_s must be a positive number."),
    ("[limits]\nrow_deadline_s = 0", "[limits] row_deadline_s must be a positive number."),
    ("[limits]\nrow_deadline_s = nan", "[limits] row_deadline_s must be a positive number."),
    ("[limits]\nconnect_s = inf", "[limits] connect_s must be a positive number."),
    ("[limits]\nrow_deadline_s = true", "[limits] row_deadline_s must be a positive number."),
    ("[limits]\nrow_deadline_s = 3601", "[limits] row_deadline_s must be at most 3600."),
    ("[limits]\nmax_in_flight = 1.5", "[limits] max_in_flight must be a positive integer."),
    ("[limits]\nmax_in_flight = -1", "[limits] max_in_flight must be a positive integer."),
]


@pytest.mark.parametrize(("document", "words"), MISTAKES)
def test_a_mistake_names_its_setting(document: str, words: str) -> None:
    """Each mistake is one CONFIG error that names the file and the setting."""
    with pytest.raises(CallerError) as raised:
        parsed(document, EMPTY="")
    assert str(raised.value).startswith("Rerank: CONFIG: config.toml")
    assert words in str(raised.value)


@pytest.mark.parametrize("content", [b"[credentials.p\n", b'x = "\xff"'])
def test_a_file_that_is_not_toml_is_named(content: bytes, tmp_path: Path) -> None:
    """A syntax error and bytes that are no text are said with the file's name."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(CallerError, match=r"config\.toml is not (TOML: .*line 1|UTF-8)"):
        load({"CLICKHOUSE_RERANK_CONFIG": str(path)})


def test_an_error_does_not_show_a_key() -> None:
    """Neither an error about a credential nor its repr holds the key."""
    with pytest.raises(CallerError) as raised:
        parsed(COHERE + "api_key = 'sesame'\napi_key_file = 'x'")
    assert "sesame" not in str(raised.value)
    settings = parsed(COHERE + "api_key = 'sesame'\nothers = { session_token = 'open' }")
    assert "sesame" not in repr(settings) and "open" not in repr(settings)


def test_only_the_embedded_engine_lends_variables_and_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COHERE_API_KEY is a default credential, and loopback allowed, in the embedded engine and nowhere else."""
    monkeypatch.setattr("clickhouse_rerank.config.settings.DEFAULT_CONFIG", str(tmp_path / "none.toml"))
    environment = {"COHERE_API_KEY": "lent", "JINA_API_KEY": ""}
    assert load(environment) == Settings()
    embedded = load(environment, embedded=True)
    credential = embedded.default_credential("cohere")
    assert credential is not None
    assert (credential.key.reveal(), credential.base_url) == ("lent", "")
    assert embedded.default_credential("jina") is None
    assert embedded.network.allow_loopback


def test_a_configured_default_wins_over_a_variable(tmp_path: Path) -> None:
    """The file's default credential is not replaced by the environment's."""
    path = tmp_path / "config.toml"
    path.write_text(COHERE + "api_key = 'configured'\ndefault = true\n[network]\nallow_private = ['tei']\n")
    path.chmod(0o600)
    environment = {"COHERE_API_KEY": "lent", "CLICKHOUSE_RERANK_CONFIG": str(path)}
    settings = load(environment, embedded=True)
    credential = settings.default_credential("cohere")
    assert credential is not None and credential.key.reveal() == "configured"
    assert settings.network.allow_private == ("tei",)
    assert settings.limits == Limits()
