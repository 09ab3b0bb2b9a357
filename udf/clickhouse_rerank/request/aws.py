"""Services of AWS: what base_url, region and model mean for a service that is called with a signature."""

import re

from ..errors import CallerError
from ..providers import Provider
from ..providers.base_url import parse_url, request_url
from ..types import Secret
from . import auth
from .others import Options

_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")


def check(record: Provider, base_url: str, options: Options, *, uses_server_identity: bool) -> None:
    """Errors: BAD_URL, BAD_OTHERS or BAD_KEY for a name, region or key that is missing or malformed."""
    assert record.aws is not None
    if "{name}" in record.aws.path and not _NAME.fullmatch(base_url):
        raise CallerError(
            "BAD_URL", f"{record.name} needs its endpoint's name as base_url: letters, digits and hyphens."
        )
    for key, value in (("access_key_id", options.access_key_id), ("region_name", options.region_name)):
        if not value and not (uses_server_identity and key == "access_key_id"):
            raise CallerError("BAD_OTHERS", f"{record.name} needs others.{key}.")
    for key, value in (("access_key_id", options.access_key_id), ("session_token", options.session_token)):
        if value and not Secret(value).is_sendable():
            raise CallerError(
                "BAD_KEY", f"others.{key} has characters that no key has. Check for spaces and line feeds."
            )
    if not _REGION.fullmatch(options.region_name):
        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region. Write it as us-east-1.")


def url(record: Provider, base_url: str, options: Options) -> str:
    """Where requests go; the host is botocore's for the region unless a URL is given."""
    assert record.aws is not None
    path = record.aws.path.format(name=base_url)
    if base_url and "{name}" not in record.aws.path:
        return str(request_url(parse_url(base_url), path))
    if options.endpoint_url:
        base = parse_url(options.endpoint_url, "others.endpoint_url")
        return str(base._replace(path=base.path.rstrip("/") + path))
    return f"https://{auth.aws_host(record.aws.endpoint, options.region_name)}{path}"


def model_name(record: Provider, model: str, options: Options) -> str:
    """The model as requests name it."""
    assert record.aws is not None
    if not record.aws.model or model.startswith("arn:"):
        return model
    partition = auth.aws_partition(options.region_name)
    return record.aws.model.format(partition=partition, region=options.region_name, model=model)
