"""How a request proves who asks: a bearer token, or an AWS signature made by botocore from explicit keys only.

botocore's credential chain (environment, ~/.aws, instance role) is never touched; its signer and endpoint rules are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from .model import Secret


def bearer(key: Secret) -> Mapping[str, str]:
    """The header for a key; none for no key."""
    return {"Authorization": f"Bearer {key.reveal()}"} if key else {}


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


@cache
def aws_host(endpoint: str, region: str) -> str:
    """The host of an AWS service in a region, by botocore's endpoint rules, read from its own package only."""
    from botocore.loaders import Loader
    from botocore.regions import EndpointResolver

    loader = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    resolved = EndpointResolver(loader.load_data("endpoints")).construct_endpoint(endpoint, region)
    if resolved is None:
        from .errors import CallerError

        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region of this service.")
    return str(resolved["hostname"])
