"""Where a call goes and with which key: provider, base_url and api_key of one row -> Endpoint.

The one rule that keeps keys in place: a key of the server's goes only to the URL it is bound to, and a URL from SQL
carries only a key from SQL. Decided here, before any name is looked up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..config.credentials import Credential
from ..config.settings import Settings
from ..errors import CallerError
from ..providers import PROVIDERS, Provider, RequestLimits, find
from ..providers.base_url import Url, is_complete, parse_url, request_url
from ..providers.wires import WIRES
from ..types import Secret
from . import auth, aws
from .others import Options, parse_object, parse_options

__all__ = ["Endpoint", "Url", "parse_url", "request_url", "resolve"]

_REFERENCE = "cred:"
_MOST_FALLBACKS = 5
_PLACE = re.compile(r"\{([a-z_]+)\}")
_PATH_MODEL = re.compile(r"[A-Za-z0-9._~:@+-]+(?:/[A-Za-z0-9._~:@+-]+)*")


@dataclass(frozen=True)
class Endpoint:
    """A provider's record, the exact URL of its requests, the key they carry, and the call's options."""

    provider: Provider
    url: str
    """Where requests go; "" for scoring in the worker."""
    key: Secret
    credential: str
    """Name of the server's credential; "" for a key from SQL or none."""
    options: Options
    model: str = ""
    """As requests name it; "" leaves it to the server."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the provider wants beside the key."""
    fallbacks: tuple["Endpoint", ...] = ()
    """Who is asked next, in order, when this one fails."""
    ambient: bool = False
    """Signed as the server itself, not with `key`."""
    others_keys: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of the other endpoints of the call."""

    @cached_property
    def wire(self) -> str:
        """Key of wires.WIRES."""
        return self.options.wire or self.provider.wire

    @cached_property
    def limits(self) -> RequestLimits:
        """What one request may hold."""
        return self.provider.limits.within(self.provider.wire_limits.get(self.wire, RequestLimits()))

    @cached_property
    def is_listwise(self) -> bool:
        """Whether scores depend on the other documents of the request."""
        return self.provider.is_listwise(self.model)

    @cached_property
    def host(self) -> str:
        """Host of the URL, with the port where the URL names one; "" for a scorer in the worker."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def named_model(self) -> str:
        """The model in the user's words, where request or URL name one; "" where the server's is not known."""
        if not self.provider.wire:
            return ""
        model = self.options.model or self.provider.model
        by_service = self.provider.aws is not None and self.provider.aws.model
        return model if by_service or "model" in WIRES[self.wire].OWNS or model in self.url else ""

    @property
    def key_name(self) -> str:
        """What the caller must check when the provider refuses the key."""
        if self.credential:
            return f"the credential '{_REFERENCE}{self.credential}'"
        return "api_key" if self.provider.aws is None else "api_key, others.access_key_id and others.session_token"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the call carries and nobody may read in an error."""
        chosen = self.options
        server = auth.server_identity().known if self.ambient else ()
        return (self.key.reveal(), chosen.session_token, chosen.access_key_id, *server, *self.others_keys)

    @cached_property
    def _key_headers(self) -> Mapping[str, str]:
        record = self.provider
        return {**self.headers, **auth.key_header(self.key, record.key_header, record.key_format)}

    def signed(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """`headers` with the provider's own and the proof of who asks, for a request with this body."""
        record, chosen = self.provider, self.options
        if record.aws is None:
            return {**headers, **self._key_headers}
        headers = {**headers, **self.headers}
        keys = auth.AwsKeys(chosen.access_key_id, self.key, chosen.session_token)
        if self.ambient:
            keys = auth.server_identity().keys()
        return auth.sigv4(self.url, headers, body, keys, auth.Scope(chosen.region_name, record.aws.signing))


def resolve(provider: str, base_url: str, api_key: str, others: str, settings: Settings) -> Endpoint:
    """The four constant arguments of a call -> Endpoint, its fallbacks included; errors: CallerError."""
    endpoint = _resolved(provider, base_url, api_key, parse_object(others), settings)
    if len(endpoint.options.fallback) > _MOST_FALLBACKS:
        raise CallerError("BAD_OTHERS", f"others.fallback has more than {_MOST_FALLBACKS} entries. Leave some out.")
    if not endpoint.options.fallback:
        return endpoint
    fallbacks = [_fallback(entry, settings) for entry in endpoint.options.fallback]
    keys = tuple(secret for one in (endpoint, *fallbacks) for secret in one.secrets if secret)
    return replace(
        endpoint, others_keys=keys, fallbacks=tuple(replace(fallback, others_keys=keys) for fallback in fallbacks)
    )


def _fallback(entry: Mapping[str, object], settings: Settings) -> Endpoint:
    names = {name: entry.get(name, "") for name in ("provider", "base_url", "api_key")}
    for name, value in names.items():
        if not isinstance(value, str) or (name == "provider" and not value):
            raise CallerError("BAD_OTHERS", f"An entry of others.fallback needs {name} as a string.")
    for name in ("fallback", "on_error"):
        if name in entry:
            raise CallerError("BAD_OTHERS", f"An entry of others.fallback has {name}. It belongs beside fallback.")
    members = {name: value for name, value in entry.items() if name not in names}
    endpoint = _resolved(str(names["provider"]), str(names["base_url"]), str(names["api_key"]), members, settings)
    if endpoint.options.dry_run:
        raise CallerError("BAD_OTHERS", "An entry of others.fallback has dry_run. It belongs beside fallback.")
    return endpoint


def _resolved(
    provider: str, base_url: str, api_key: str, members: Mapping[str, object], settings: Settings
) -> Endpoint:
    record = find(provider)
    if record is None:
        names = ", ".join(known.name for known in PROVIDERS.values())
        raise CallerError("UNKNOWN_PROVIDER", f"There is no provider {provider[:40]!r}. Providers: {names}.")
    if record.key == "none":
        if base_url or api_key:
            raise CallerError("BAD_ARGUMENT", f"{record.name} scores in the worker. Pass '' for base_url and api_key.")
        return Endpoint(record, "", Secret(""), "", parse_options(members, record))
    credential = _credential(record, base_url, api_key, settings)
    if credential is not None:
        for member in members:
            if member in record.options and record.options[member].bound:
                raise CallerError(
                    "CREDENTIAL", f"others.{member} belongs to the credential {credential.name!r}. Leave it out."
                )
        members = {**credential.others, **members}
        key = Secret(credential.key.reveal())
        base_url = base_url or credential.base_url
    else:
        key = Secret(api_key)
    ambient = credential is not None and credential.uses_server_identity
    if key and not key.is_sendable():
        raise CallerError(
            "BAD_KEY", f"The key for {record.name} has characters that no key has. Check for spaces and line feeds."
        )
    if not key and record.key == "required" and not ambient:
        variable = f", or in the embedded engine the variable {record.env}" if record.env else ""
        raise CallerError(
            "BAD_KEY",
            f"{record.name} needs a key. Pass api_key, or configure a default credential for {record.name}{variable}.",
        )
    endpoint = _endpoint(record, base_url, key, members, ambient=ambient)
    return replace(endpoint, credential=credential.name) if credential else endpoint


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
    for key, value in credential.others.items():
        if key in record.options and record.options[key].bound:
            bound = bound.replace(f"{{{key}}}", str(value))
    bound = bound.partition("{")[0]
    if not bound or "://" not in bound:
        return base_url == bound
    ours, theirs = parse_url(bound, f"base_url of the credential {credential.name!r}"), parse_url(base_url)
    prefix = ours.path.rstrip("/")
    return ours[:3] == theirs[:3] and (theirs.path.rstrip("/") == prefix or theirs.path.startswith(prefix + "/"))


def _endpoint(
    record: Provider, base_url: str, key: Secret, members: Mapping[str, object], *, ambient: bool
) -> Endpoint:
    base = parse_url(base_url) if base_url and record.aws is None else None
    if base is None and record.aws is None and not record.url:
        raise CallerError("BAD_URL", f"{record.name} needs base_url. Pass the URL of its rerank endpoint.")
    for part, variant in record.variants:
        if base is not None and part in base.path + "/":
            record = variant
    chosen = parse_options(members, record)
    wire = WIRES[chosen.wire or record.wire]
    for member in chosen.model_args:
        if member in wire.OWNS:
            raise CallerError("BAD_OTHERS", f"others.model_args must not name {member}, which the request has already.")
    model = _model(record, chosen)
    places = {name: option.default for name, option in record.options.items() if option.place}
    places |= {**chosen.places, "model": _path_model(record, model)}
    if record.aws is not None:
        aws.check(record, base_url, chosen, ambient=ambient)
        template, url, model = (
            record.aws.model,
            aws.url(record, base_url, chosen),
            aws.model_name(record, model, chosen),
        )
    elif base is None:
        template = record.url
        url = _filled(template, places, record)
    else:
        template = "/" if is_complete(base, record.path, record.complete) else record.path
        url = str(request_url(base, _filled(template, places, record), record.complete))
    given = {*chosen.places, *(["model"] if chosen.model and "model" not in wire.OWNS else [])}
    for name in sorted(given - set(_PLACE.findall(template + "".join(record.headers.values())))):
        raise CallerError("BAD_OTHERS", f"others.{name} has no place in this URL and request. Leave it out.")
    headers = {
        header: _filled(text, places, record)
        for header, text in record.headers.items()
        if all(places[name] for name in _PLACE.findall(text))
    }
    return Endpoint(record, url, key, "", chosen, model, headers, ambient=ambient)


def _model(record: Provider, chosen: Options) -> str:
    model = chosen.model or record.model
    if record.needs_model and not model:
        raise CallerError("BAD_OTHERS", f'{record.name} needs a model. Pass others as \'{{"model":"..."}}\'.')
    if model in record.retired:
        raise CallerError(
            "BAD_OTHERS", f"The model {model} was shut down. Use {record.retired[model]} in others.model."
        )
    return model


def _path_model(record: Provider, model: str) -> str:
    return record.path_models.get(model, model.replace(".", record.path_dot))


def _filled(template: str, places: Mapping[str, str], record: Provider) -> str:
    """The template with each {name} filled; errors: BAD_OTHERS names what is missing or cannot stand in a URL."""
    for name in _PLACE.findall(template):
        if not places[name]:
            raise CallerError("BAD_OTHERS", f"{record.name} needs others.{name}, or its complete URL as base_url.")
    model = places["model"]
    if "{model}" in template and (not _PATH_MODEL.fullmatch(model) or {".", ".."} & set(model.split("/"))):
        raise CallerError("BAD_OTHERS", "others.model has characters that cannot stand in a URL. Correct it.")
    return _PLACE.sub(lambda match: places[match[1]], template)
