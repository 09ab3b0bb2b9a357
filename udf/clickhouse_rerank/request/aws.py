"""AWS's way of naming things: what base_url, region and model are for a service that is called with a signature."""

import re

from ..errors import CallerError
from ..providers import Provider
from ..providers.base_url import parse_url, request_url
from ..types import Secret
from . import auth
from .others import Options

_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")


def check(record: Provider, base_url: str, chosen: Options, *, ambient: bool) -> None:
    """Errors: what is missing or no name, region or key. `ambient`: the server's own identity signs."""
    assert record.aws is not None
    if "{name}" in record.aws.path and not _NAME.fullmatch(base_url):
        raise CallerError(
            "BAD_URL", f"{record.name} needs its endpoint's name as base_url: letters, digits and hyphens."
        )
    for key, value in (("access_key_id", chosen.access_key_id), ("region_name", chosen.region_name)):
        if not value and not (ambient and key == "access_key_id"):
            raise CallerError("BAD_OTHERS", f"{record.name} needs others.{key}.")
    for key, value in (("access_key_id", chosen.access_key_id), ("session_token", chosen.session_token)):
        if value and not Secret(value).is_sendable():
            raise CallerError(
                "BAD_KEY", f"others.{key} has characters that no key has. Check for spaces and line feeds."
            )
    if not _REGION.fullmatch(chosen.region_name):
        raise CallerError("BAD_OTHERS", "others.region_name is no AWS region. Write it as us-east-1.")


def url(record: Provider, base_url: str, chosen: Options) -> str:
    """Where requests go; the host is botocore's for the region unless a URL is given."""
    assert record.aws is not None
    path = record.aws.path.format(name=base_url)
    if base_url and "{name}" not in record.aws.path:
        return str(request_url(parse_url(base_url), path))
    if chosen.endpoint_url:
        base = parse_url(chosen.endpoint_url, "others.endpoint_url")
        return str(base._replace(path=base.path.rstrip("/") + path))
    return f"https://{auth.aws_host(record.aws.endpoint, chosen.region_name)}{path}"


def model_name(record: Provider, model: str, chosen: Options) -> str:
    """How requests name a model."""
    assert record.aws is not None
    if not record.aws.model or model.startswith("arn:"):
        return model
    partition = auth.aws_partition(chosen.region_name)
    return record.aws.model.format(partition=partition, region=chosen.region_name, model=model)
