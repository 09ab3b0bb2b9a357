"""Which key a call carries: one from SQL, or one of the server's.

The rule that keeps the server's keys in place:

1. A key of the server goes only to the URL that it is bound to, or below it: the base_url of its credential, or the
   provider's default URL. Region, project and similar values that belong to that URL come from the credential too.
2. A base_url from SQL that is not within the bound URL carries only a key from SQL.

`choose` decides this from the arguments and the configuration alone, before any host name is looked up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..config.credentials import Credential
from ..config.settings import Settings
from ..errors import CallerError
from ..providers import PROVIDERS, Provider
from ..providers.base_url import parse_url
from ..types import Secret

REFERENCE = "cred:"
"""What precedes a credential's name in api_key."""


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """The key of a call, with the base_url and the members of `others` that hold beside it."""

    key: Secret
    base_url: str
    members: Mapping[str, object]
    credential: str = ""
    """Name of the server's credential; "" for a key from SQL or for none."""
    uses_server_identity: bool = False
    """Requests are signed with the AWS identity of the server's process, not with `key`."""


def choose(
    record: Provider, base_url: str, api_key: str, members: Mapping[str, object], settings: Settings
) -> KeyChoice:
    """The key for a provider, and what belongs to it, from the arguments of a call; `members` are the parsed `others`.

    Errors: CREDENTIAL where the arguments do not fit the server's credential, BAD_KEY for a key that is missing or that
    no header can hold.
    """
    credential = _credential(record, base_url, api_key, settings)
    if credential is None:
        choice = KeyChoice(Secret(api_key), base_url, members)
    else:
        _check_members(record, credential, members)
        choice = KeyChoice(
            key=Secret(credential.key.reveal()),  # a copy: the key of a file may change during the call
            base_url=base_url or credential.base_url,
            members={**credential.others, **members},
            credential=credential.name,
            uses_server_identity=credential.uses_server_identity,
        )
    _check_key(record, choice)
    return choice


def _credential(record: Provider, base_url: str, api_key: str, settings: Settings) -> Credential | None:
    """The server's credential that the arguments mean, if it may be used for base_url; None: the key is SQL's."""
    if api_key.startswith(REFERENCE):
        credential = _named(record, api_key.removeprefix(REFERENCE), settings)
    elif api_key:
        return None
    else:
        default = settings.default_credential(record.name.lower())
        if default is None:
            return None
        credential = default
    if not base_url or _is_within_binding(base_url, credential, record):
        return credential
    if record.key == "optional" and not api_key:
        return None  # a server that needs no key is asked without one
    raise CallerError(
        "CREDENTIAL",
        f"The credential {credential.name!r} is bound to another base_url. Pass '' as base_url, or your own key.",
    )


def _named(record: Provider, name: str, settings: Settings) -> Credential:
    credential = settings.credentials.get(name)
    if credential is None:
        raise CallerError("CREDENTIAL", f"There is no credential {name[:60]!r}. Ask the operator for its name.")
    if PROVIDERS[credential.provider] is not record:
        raise CallerError("CREDENTIAL", f"The credential {name!r} is not for {record.name}. Name another.")
    return credential


def _is_within_binding(base_url: str, credential: Credential, record: Provider) -> bool:
    """Whether base_url is the URL that a credential is bound to, or below it.

    Where the bound URL has a {part} that the credential does not fill, it ends before that part. If it is
    not a URL, as the name of an endpoint, the two must be equal.
    """
    bound = credential.base_url or record.url
    for key, value in credential.others.items():
        if key in record.options and record.options[key].credential_only:
            bound = bound.replace(f"{{{key}}}", str(value))
    bound = bound.partition("{")[0]
    if not bound or "://" not in bound:
        return base_url == bound
    ours, theirs = parse_url(bound, f"base_url of the credential {credential.name!r}"), parse_url(base_url)
    prefix = ours.path.rstrip("/")
    return ours[:3] == theirs[:3] and (theirs.path.rstrip("/") == prefix or theirs.path.startswith(prefix + "/"))


def _check_members(record: Provider, credential: Credential, members: Mapping[str, object]) -> None:
    """Errors: CREDENTIAL for a member of `others` that only the credential may set."""
    for member in members:
        if member in record.options and record.options[member].credential_only:
            raise CallerError(
                "CREDENTIAL", f"others.{member} belongs to the credential {credential.name!r}. Leave it out."
            )


def _check_key(record: Provider, choice: KeyChoice) -> None:
    """Errors: BAD_KEY."""
    if choice.key and not choice.key.is_sendable():
        raise CallerError(
            "BAD_KEY", f"The key for {record.name} has characters that no key has. Check for spaces and line feeds."
        )
    if not choice.key and record.key == "required" and not choice.uses_server_identity:
        variable = f", or in the embedded engine the variable {record.env}" if record.env else ""
        raise CallerError(
            "BAD_KEY",
            f"{record.name} needs a key. Pass api_key, or configure a default credential for {record.name}{variable}.",
        )
