"""Where a call goes and with which key: provider, base_url and api_key of one row -> Endpoint.

The one rule that keeps keys in place: a key of the server's goes only to the URL it is bound to, and a URL from SQL
carries only a key from SQL. Decided here, before any name is looked up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from . import auth, options
from .errors import CallerError
from .model import Secret
from .options import Options
from .providers import PROVIDERS, Provider
from .settings import Credential, Settings

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*)"
)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")
_REFERENCE = "cred:"
_AWS_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}")
_AWS_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")
_ENDS = ("/rerank", "/reranks", "/reranking", "/ranking", ":rank", "/invocations")


class Url(NamedTuple):
    """An http(s) URL in parts; `path` begins with / or is empty."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        default = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == default else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider's record, the exact URL of its requests, the key they carry, and the call's options."""

    provider: Provider
    url: str
    """Where requests go; "" for scoring in the worker."""
    key: Secret
    credential: str
    """Name of the server's credential; "" for a key from SQL or none."""
    options: Options

    @property
    def key_name(self) -> str:
        """What the caller must check when the provider refuses the key."""
        return f"the credential '{_REFERENCE}{self.credential}'" if self.credential else "api_key"


def parse_url(text: str, where: str = "base_url") -> Url:
    """A URL in the one grammar that is accepted; errors: BAD_URL, which does not repeat the text."""
    if "://" not in text[:12]:
        raise CallerError("BAD_URL", f"{where} has no scheme. Write it as https://host/path.")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    match = _URL.fullmatch(f"{scheme.lower()}://{authority.lower()}{slash}{path}") if len(text) <= 2048 else None
    if match is None or {".", ".."} & set(match["path"].split("/")):
        raise CallerError(
            "BAD_URL",
            f"{where} is not a plain http(s) URL. Write scheme, host, port and path; no user, query or fragment.",
        )
    if _NUMERIC.fullmatch(match["host"].rpartition(".")[2]) and not _IPV4.fullmatch(match["host"]):
        raise CallerError(
            "BAD_URL", f"{where} has a host that looks like a number. Write an IPv4 address as 192.0.2.1."
        )
    port = int(match["port"] or {"http": 80, "https": 443}[match["scheme"]])
    if not 0 < port < 65536:
        raise CallerError("BAD_URL", f"{where} has a port outside 1 to 65535.")
    return Url(match["scheme"], match["host"].rstrip("."), port, match["path"])


def request_url(base: Url, path: str) -> Url:
    """The URL of requests for a base_url, however it was written.

    A path that ends as rerank paths do is taken as it is (without a trailing slash); `/v1` or `/v2` gets `/rerank`;
    no path gets the provider's own, `path`; any other path is a prefix and gets the provider's own behind it.
    """
    given = base.path.rstrip("/")
    if path == "/" or given.endswith(_ENDS):
        return base._replace(path=given or "/")
    if given.endswith(("/v1", "/v2")):
        return base._replace(path=given + "/rerank")
    return base._replace(path=given + path)


def resolve(provider: str, base_url: str, api_key: str, others: str, settings: Settings) -> Endpoint:
    """The four constant arguments of a call -> Endpoint; errors: CallerError."""
    record = PROVIDERS.get(provider.strip().lower())
    if record is None:
        names = ", ".join(known.name for known in PROVIDERS.values())
        raise CallerError("UNKNOWN_PROVIDER", f"There is no provider {provider[:40]!r}. Providers: {names}.")
    members = options.parse_object(others)
    if record.key == "none":
        if base_url or api_key:
            raise CallerError("BAD_ARGUMENT", f"{record.name} scores in the worker. Pass '' for base_url and api_key.")
        return Endpoint(record, "", Secret(""), "", options.parse(members, record))
    credential = _credential(record, base_url, api_key, settings)
    if credential is not None:
        for member in members:
            if member in record.options and record.options[member].bound:
                raise CallerError(
                    "CREDENTIAL", f"others.{member} belongs to the credential {credential.name!r}. Leave it out."
                )
        members = {**credential.others, **members}
        key = credential.key
        base_url = base_url or credential.base_url
    else:
        key = Secret(api_key)
    if key and not _KEY.fullmatch(key.reveal()):
        raise CallerError(
            "BAD_KEY", f"The key for {record.name} has characters that no key has. Check for spaces and line feeds."
        )
    if not key and record.key == "required":
        variable = f", or in the embedded engine the variable {record.env}" if record.env else ""
        raise CallerError(
            "BAD_KEY",
            f"{record.name} needs a key. Pass api_key, or configure a default credential for {record.name}{variable}.",
        )
    return _endpoint(record, base_url, key, credential.name if credential else "", members)


def _credential(record: Provider, base_url: str, api_key: str, settings: Settings) -> Credential | None:
    """The server's credential that the arguments mean, checked against its binding; None for a key from SQL or none."""
    if api_key.startswith(_REFERENCE):
        name = api_key.removeprefix(_REFERENCE)
        credential = settings.credentials.get(name)
        if credential is None:
            raise CallerError("CREDENTIAL", f"There is no credential {name[:60]!r}. Ask the operator for its name.")
        if PROVIDERS[credential.provider] is not record:
            raise CallerError("CREDENTIAL", f"The credential {name!r} is not for {record.name}. Name another.")
    elif api_key:
        return None
    else:
        credential = settings.default_credential(record.name.lower())
        if credential is None:
            return None
    if base_url and not _bound(record, credential, base_url):
        if record.key == "optional" and not api_key:
            return None
        raise CallerError(
            "CREDENTIAL",
            f"The credential {credential.name!r} is bound to another base_url. Pass '' as base_url, or your own key.",
        )
    return credential


def _bound(record: Provider, credential: Credential, base_url: str) -> bool:
    bound = credential.base_url or record.url
    if not bound or "://" not in bound:
        return base_url == bound
    ours, theirs = parse_url(bound, f"base_url of the credential {credential.name!r}"), parse_url(base_url)
    prefix = ours.path.rstrip("/")
    return ours[:3] == theirs[:3] and (theirs.path.rstrip("/") == prefix or theirs.path.startswith(prefix + "/"))


def _endpoint(record: Provider, base_url: str, key: Secret, credential: str, members: Mapping[str, object]) -> Endpoint:
    if record.aws is not None:
        chosen = options.parse(members, record)
        return Endpoint(record, _aws_url(record, base_url, chosen), key, credential, chosen)
    if not base_url and not record.url:
        raise CallerError("BAD_URL", f"{record.name} needs base_url. Pass the URL of its rerank endpoint.")
    base = parse_url(base_url or record.url)
    for part, variant in record.variants:
        if part in base.path + "/":
            record = variant
    chosen = options.parse(members, record)
    if record.needs_model and not chosen.model:
        raise CallerError("BAD_OTHERS", f'{record.name} needs a model. Pass others as \'{{"model":"..."}}\'.')
    if chosen.model in record.retired:
        raise CallerError(
            "BAD_OTHERS", f"The model {chosen.model} was shut down. Use {record.retired[chosen.model]} in others.model."
        )
    return Endpoint(record, str(request_url(base, record.path)), key, credential, chosen)


def _aws_url(record: Provider, name: str, chosen: Options) -> str:
    assert record.aws is not None
    if not _AWS_NAME.fullmatch(name):
        raise CallerError(
            "BAD_URL", f"{record.name} needs its endpoint's name as base_url: letters, digits and hyphens."
        )
    for key, value in (("access_key_id", chosen.access_key_id), ("region_name", chosen.region_name)):
        if not value:
            raise CallerError("BAD_OTHERS", f"{record.name} needs others.{key}.")
    for key, value in (("access_key_id", chosen.access_key_id), ("session_token", chosen.session_token)):
        if value and not _KEY.fullmatch(value):
            raise CallerError(
                "BAD_KEY", f"others.{key} has characters that no key has. Check for spaces and line feeds."
            )
    if not _AWS_REGION.fullmatch(chosen.region_name):
        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region. Write it as us-east-1.")
    path = record.aws.path.format(name=name)
    if chosen.endpoint_url:
        base = parse_url(chosen.endpoint_url, "others.endpoint_url")
        return str(base._replace(path=base.path.rstrip("/") + path))
    return f"https://{auth.aws_host(record.aws.endpoint, chosen.region_name)}{path}"
