"""Where a call goes and with which key: provider, base_url, api_key and others of one row -> Endpoint.

One step after the other: the provider's record, the key (`credential`), the variant of the record for
base_url, the options (`others`), the URL (`url`), and the same for each fallback.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from ..config.models import Model
from ..config.settings import Settings
from ..errors import CallerError
from ..providers import PROVIDERS, Provider, RequestLimits, find
from ..providers.wires import QUESTION_WIRES, RANKING_WIRES, WIRES
from ..types import Secret, did_you_mean
from . import auth, credential, url
from .others import Options, parse_object, parse_options

_MAX_FALLBACKS = 5


class _Arguments(NamedTuple):
    """The arguments of a call beside `others`; in an entry of others.fallback, members beside keys of `others`."""

    provider: str
    base_url: str
    api_key: str


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
    """Headers that the provider wants beside the key."""
    own_model: Model | None = None
    """The server's model that scores in the worker."""
    stamp: str = ""
    """What changes when a file of that model is replaced."""
    fallbacks: tuple["Endpoint", ...] = ()
    """The endpoints that are asked next, in order, when this one fails."""
    uses_server_identity: bool = False
    """Requests are signed with the AWS identity of the server's process, not with `key`."""
    chain_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets of this endpoint, its fallbacks and the endpoints it is a fallback of."""

    @cached_property
    def wire(self) -> str:
        """Key of wires.WIRES."""
        return self.options.wire or self.provider.wire

    @cached_property
    def limits(self) -> RequestLimits:
        """The most that one request may hold."""
        return self.provider.limits.within(self.provider.wire_limits.get(self.wire, RequestLimits()))

    @cached_property
    def asks_questions(self) -> bool:
        """Whether a decision model answers a question for each document."""
        return self.wire in QUESTION_WIRES

    @cached_property
    def writes_order(self) -> bool:
        """Whether a model writes the order of a few documents at a time, so that windows slide over a list."""
        return self.wire in RANKING_WIRES

    @cached_property
    def most_document_bytes(self) -> int | None:
        """What documents are cut to; None where they are sent whole."""
        tokens = self.options.max_tokens_per_doc or self.provider.max_tokens_per_doc
        return None if tokens is None else math.ceil(tokens * self.options.bytes_per_token)

    @cached_property
    def is_listwise(self) -> bool:
        """Whether scores depend on the other documents of the request."""
        if self.asks_questions or self.writes_order:
            return self.writes_order
        declared = self.options.listwise
        return self.provider.is_listwise(self.model) if declared is None else declared

    @cached_property
    def host(self) -> str:
        """Host of the URL, with the port where the URL names one; "" for a scorer in the worker."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def named_model(self) -> str:
        """The model as the user writes it, if the request or the URL names one; "" if the server chooses the model."""
        if self.provider.is_local:
            return self.model
        model = self.options.model or self.provider.model
        by_service = self.provider.aws is not None and self.provider.aws.model
        return model if by_service or "model" in WIRES[self.wire].RESERVED_MEMBERS or model in self.url else ""

    @property
    def key_name(self) -> str:
        """What the caller must check when the provider refuses the key."""
        if self.credential:
            return f"the credential '{credential.REFERENCE}{self.credential}'"
        return "api_key" if self.provider.aws is None else "api_key, others.access_key_id and others.session_token"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of the call, which no error may show."""
        options = self.options
        server = auth.server_identity().known if self.uses_server_identity else ()
        return (self.key.reveal(), options.session_token, options.access_key_id, *server, *self.chain_secrets)

    @cached_property
    def _key_headers(self) -> Mapping[str, str]:
        record = self.provider
        return {**self.headers, **auth.key_header(self.key, record.key_header, record.key_format)}

    def signed(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """`headers` with the provider's own and the key, or the signature of a request with this body.

        With `uses_server_identity` this may ask a metadata service: call it where waiting is allowed.
        """
        record, options = self.provider, self.options
        if record.aws is None:
            return {**headers, **self._key_headers}
        headers = {**headers, **self.headers}
        keys = auth.AwsKeys(options.access_key_id, self.key, options.session_token)
        if self.uses_server_identity:
            keys = auth.server_identity().keys()
        return auth.sigv4(self.url, headers, body, keys, auth.Scope(options.region_name, record.aws.signing))


def resolve(provider: str, base_url: str, api_key: str, others: str, settings: Settings) -> Endpoint:
    """The four constant arguments of a call -> Endpoint, its fallbacks included; errors: CallerError."""
    endpoint = _endpoint(_Arguments(provider, base_url, api_key), parse_object(others), settings)
    entries = endpoint.options.fallback
    if not entries:
        return endpoint
    if len(entries) > _MAX_FALLBACKS:
        raise CallerError("BAD_OTHERS", f"others.fallback has more than {_MAX_FALLBACKS} entries. Leave some out.")
    fallbacks = [_fallback(entry, settings) for entry in entries]
    secrets = tuple(secret for one in (endpoint, *fallbacks) for secret in one.secrets if secret)
    return replace(
        endpoint, chain_secrets=secrets, fallbacks=tuple(replace(one, chain_secrets=secrets) for one in fallbacks)
    )


def _endpoint(
    arguments: _Arguments, members: Mapping[str, object], settings: Settings, siblings: Collection[str] = ()
) -> Endpoint:
    """One endpoint, without its fallbacks; `members` are the parsed `others`; `siblings` as in `parse_options`."""
    provider, base_url, api_key = arguments
    record = _record(provider)
    if record.is_local:
        if base_url or api_key:
            raise CallerError("BAD_ARGUMENT", f"{record.name} scores in the worker. Pass '' for base_url and api_key.")
        return _in_the_worker(record, parse_options(members, record, siblings), settings)
    choice = credential.choose(record, base_url, api_key, members, settings)
    base = url.parsed(record, choice.base_url)
    record = record.variant(base.path if base else "", choice.members)
    options = parse_options(choice.members, record, siblings)
    _check_model_args(record, options)
    target = url.destination(record, choice.base_url, options, uses_server_identity=choice.uses_server_identity)
    return Endpoint(
        provider=record,
        url=target.url,
        key=choice.key,
        credential=choice.credential,
        options=options,
        model=target.model,
        headers=target.headers,
        uses_server_identity=choice.uses_server_identity,
    )


def _record(provider: str) -> Provider:
    record = find(provider)
    if record is None:
        names = [known.name for known in PROVIDERS.values()]
        raise CallerError(
            "UNKNOWN_PROVIDER",
            f"There is no provider {provider[:40]!r}.{did_you_mean(provider, names)} Providers: {', '.join(names)}.",
        )
    return record


def _check_model_args(record: Provider, options: Options) -> None:
    """Errors: BAD_OTHERS for a member of the request that the wire writes itself."""
    owned = WIRES[options.wire or record.wire].RESERVED_MEMBERS
    for member in options.model_args:
        if member in owned:
            raise CallerError("BAD_OTHERS", f"others.model_args must not name {member}, which the request has already.")


def _in_the_worker(record: Provider, options: Options, settings: Settings) -> Endpoint:
    """The endpoint of a provider that needs no network: a scorer, or one of the server's models."""
    if "model" not in record.options:
        return Endpoint(record, "", Secret(""), "", options)
    own = settings.model(options.model)
    return Endpoint(record, "", Secret(""), "", options, model=own.name, own_model=own, stamp=own.stamp)


def _fallback(entry: Mapping[str, object], settings: Settings) -> Endpoint:
    """The endpoint of one entry of others.fallback: the arguments of a call, and keys of `others` beside them."""
    arguments: list[str] = []
    for name in _Arguments._fields:
        value = entry.get(name, "")
        if not isinstance(value, str) or (name == "provider" and not value):
            hint = _misspelled(name, entry)
            raise CallerError("BAD_OTHERS", f"An entry of others.fallback needs {name} as a string.{hint}")
        arguments.append(value)
    for name in ("fallback", "on_error", "deadline_s", "passages"):
        if name in entry:
            raise CallerError("BAD_OTHERS", f"An entry of others.fallback has {name}. It belongs beside fallback.")
    members = {name: value for name, value in entry.items() if name not in _Arguments._fields}
    endpoint = _endpoint(_Arguments(*arguments), members, settings, _Arguments._fields)
    if endpoint.options.dry_run:
        raise CallerError("BAD_OTHERS", "An entry of others.fallback has dry_run. It belongs beside fallback.")
    return endpoint


def _misspelled(name: str, entry: Mapping[str, object]) -> str:
    """A hint at a key of an entry that looks like the missing one; "" where there is none."""
    for key in entry:
        if key not in _Arguments._fields and (suggestion := did_you_mean(key, [name])):
            return f" It has {key!r}.{suggestion}"
    return ""
