"""The URL and the headers of requests: the templates of a provider's record, filled from `others` and the model.

A template is text with {names}: {model} is filled with the model, any other name with the key of `others` of that name.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import CallerError
from ..providers import Provider
from ..providers.base_url import Url, is_complete, parse_url, request_url
from ..providers.wires import WIRES
from . import aws
from .others import Options

_FIELD = re.compile(r"\{([a-z_]+)\}")
_MODEL_IN_PATH = re.compile(r"[A-Za-z0-9._~:@+-]+(?:/[A-Za-z0-9._~:@+-]+)*")


class Destination(NamedTuple):
    """Where requests go, and what they carry beside the key."""

    url: str
    headers: Mapping[str, str]
    """Headers that the provider wants beside the key."""
    model: str
    """The model as requests name it; "" leaves it to the server."""


def parsed(record: Provider, base_url: str) -> Url | None:
    """base_url as a URL; None where it is '', or the name of an endpoint. Errors: BAD_URL."""
    if record.aws is not None:
        return None
    if base_url:
        return parse_url(base_url)
    if not record.url:
        raise CallerError("BAD_URL", f"{record.name} needs base_url. Pass the URL of its API.")
    return None


def destination(record: Provider, base_url: str, options: Options, *, uses_server_identity: bool) -> Destination:
    """Where a call with these options goes. `record` is the record or variant for base_url.

    Errors: BAD_OTHERS for an option that is missing, cannot stand in a URL or would be ignored; BAD_URL.
    """
    model = _model(record, options)
    values = _values(record, options, model)
    if record.aws is not None:
        aws.check(record, base_url, options, uses_server_identity=uses_server_identity)
        template, url = record.aws.model, aws.url(record, base_url, options)
        model = aws.model_name(record, model, options)
    else:
        template, url = _template_and_url(record, parsed(record, base_url), values)
    _check_all_used(record, template, options)
    headers = {
        header: _filled(text, values, record)
        for header, text in record.headers.items()
        if all(values[name] for name in _FIELD.findall(text))
    }
    return Destination(url, headers, model)


def _model(record: Provider, options: Options) -> str:
    model = options.model or record.model
    if record.needs_model and not model:
        raise CallerError("BAD_OTHERS", f'{record.name} needs a model. Pass others as \'{{"model":"..."}}\'.')
    if model in record.retired:
        raise CallerError(
            "BAD_OTHERS", f"The model {model} was shut down. Use {record.retired[model]} in others.model."
        )
    return model


def _values(record: Provider, options: Options, model: str) -> Mapping[str, str]:
    """The value of each name that the record's templates may have; "" where there is none."""
    defaults = {name: option.default for name, option in record.options.items() if option.in_template}
    in_path = record.path_models.get(model, model.replace(".", record.path_dot))
    return {**defaults, **options.template_values, "model": in_path}


def _template_and_url(record: Provider, base: Url | None, values: Mapping[str, str]) -> tuple[str, str]:
    """The template that counts for base_url, and the URL of requests."""
    if base is None:
        return record.url, _filled(record.url, values, record)
    template = "/" if is_complete(base, record.path, record.complete) else record.path
    return template, str(request_url(base, _filled(template, values, record), record.complete))


def _check_all_used(record: Provider, template: str, options: Options) -> None:
    """Errors: BAD_OTHERS for a member of `others` that neither the URL, a header nor the body would have."""
    wire = WIRES[options.wire or record.wire]
    given = {*options.template_values, *(["model"] if options.model and "model" not in wire.RESERVED_MEMBERS else [])}
    for name in sorted(given - set(_FIELD.findall(template + "".join(record.headers.values())))):
        raise CallerError("BAD_OTHERS", f"others.{name} has no place in this URL and request. Leave it out.")


def _filled(template: str, values: Mapping[str, str], record: Provider) -> str:
    """The template with each {name} filled; errors: BAD_OTHERS for a value that is missing or cannot be in a URL."""
    for name in _FIELD.findall(template):
        if not values[name]:
            raise CallerError("BAD_OTHERS", f"{record.name} needs others.{name}, or its complete URL as base_url.")
    model = values["model"]
    if "{model}" in template and (not _MODEL_IN_PATH.fullmatch(model) or {".", ".."} & set(model.split("/"))):
        raise CallerError("BAD_OTHERS", "others.model has characters that cannot stand in a URL. Correct it.")
    return _FIELD.sub(lambda match: values[match[1]], template)
