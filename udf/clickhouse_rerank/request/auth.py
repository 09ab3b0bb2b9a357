"""Authentication of requests: a key in a header, or an AWS signature made by botocore.

Signatures are made from explicit keys. botocore's own search for credentials (environment, ~/.aws, instance role) runs
in `ServerIdentity` alone, which exists for credentials whose configuration asks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import CallerError, ProviderFailedError
from ..types import Secret

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.regions import EndpointResolver


def key_header(key: Secret, header: str = "Authorization", text: str = "Bearer {}") -> Mapping[str, str]:
    """The header for a key: `text` with the key in place of {}. No header if there is no key."""
    return {header: text.format(key.reveal())} if key else {}


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS credentials."""

    access_key_id: str = field(repr=False)
    secret_access_key: Secret
    session_token: str = field(repr=False)


class Scope(NamedTuple):
    """The region and service that a signature is valid for."""

    region: str
    service: str


def sigv4(url: str, headers: Mapping[str, str], body: bytes, keys: AwsKeys, scope: Scope) -> Mapping[str, str]:
    """`headers` with an AWS Signature Version 4 over method POST, URL, headers and body, valid for a few minutes."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), keys.session_token or None)
    SigV4Auth(credentials, scope.service, scope.region).add_auth(request)
    return dict(request.headers.items())


class ServerIdentity:
    """The AWS identity of the server's process: its role, profile or variables.

    `keys` may ask a metadata service: call it where waiting is allowed.
    """

    def __init__(self) -> None:
        self._credentials: Credentials | None = None
        self.known: tuple[str, ...] = ()
        """The secrets that made the last signature."""

    def keys(self) -> AwsKeys:
        """The server's keys as they are now; errors: CREDENTIAL if it has none, CONNECT if they cannot be fetched."""
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            self._credentials = self._credentials or Session().get_credentials()
            if self._credentials is None:
                raise CallerError("CREDENTIAL", "The server's process has no AWS identity. Give it a role, or keys.")
            found = self._credentials.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError):
            raise ProviderFailedError(
                "CONNECT", "The server's AWS identity cannot be had at present.", retryable=True
            ) from None
        self.known = tuple(part for part in (found.secret_key, found.token, found.access_key) if part)
        return AwsKeys(found.access_key, Secret(found.secret_key), found.token or "")


@cache
def server_identity() -> ServerIdentity:
    """The identity of this process."""
    return ServerIdentity()


@lru_cache(maxsize=64)
def aws_host(endpoint: str, region: str) -> str:
    """The host of an AWS service in a region, by botocore's endpoint rules."""
    resolved = _resolver().construct_endpoint(endpoint, region)
    if resolved is None:
        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region of this service.")
    return str(resolved["hostname"])


@lru_cache(maxsize=64)
def aws_partition(region: str) -> str:
    """The partition of a region, the second word of its ARNs."""
    from botocore.exceptions import UnknownRegionError

    try:
        return str(_resolver().get_partition_for_region(region))
    except UnknownRegionError:
        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region.") from None


@cache
def _resolver() -> "EndpointResolver":
    """botocore's endpoint rules, read from its own package only."""
    from botocore.loaders import Loader
    from botocore.regions import EndpointResolver

    loader = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    return EndpointResolver(loader.load_data("endpoints"))
