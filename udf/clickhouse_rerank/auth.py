"""How a request proves who asks: a key in a header, or an AWS signature made by botocore from explicit keys only.

botocore's credential chain (environment, ~/.aws, instance role) is never touched; its signer and endpoint rules are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from .errors import CallerError
from .model import Secret

if TYPE_CHECKING:
    from botocore.regions import EndpointResolver


def key_header(key: Secret, header: str = "Authorization", text: str = "Bearer {}") -> Mapping[str, str]:
    """The header for a key, which is `text` with the key in it; none for no key."""
    return {header: text.format(key.reveal())} if key else {}


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Explicit AWS credentials and the scope they sign for."""

    access_key_id: str
    secret_access_key: Secret
    session_token: str = field(repr=False)
    region: str
    service: str


def sigv4(url: str, headers: Mapping[str, str], body: bytes, keys: AwsKeys) -> Mapping[str, str]:
    """`headers` with an AWS Signature Version 4 over method POST, URL, headers and body, valid for a few minutes."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), keys.session_token or None)
    SigV4Auth(credentials, keys.service, keys.region).add_auth(request)
    return dict(request.headers.items())


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
