"""What can go wrong, by who must act.

RerankError
├── CallerError        the SQL or the server's configuration must change: always fails the query
├── RequestRejectedError    the provider refuses this request: never retried, but on_error may degrade the row
├── ProviderFailedError     the provider, or the way to it: may be retried, degraded, or left to a fallback
└── ProtocolError      what ClickHouse sent cannot be framed: the process ends, a new one takes over

The message is one sentence for the SQL user, and it names what to change. It never holds a key, a document, or a
library's own exception text (HTTP libraries put whole headers into theirs).
"""

from typing import NamedTuple


class Code(NamedTuple):
    """What one error code means, and what helps."""

    meaning: str
    remedy: str


CODES: dict[str, Code] = {
    "BAD_ARGUMENT": Code("An argument of Rerank cannot be used.", "Change the argument that the message names."),
    "BAD_OTHERS": Code(
        "`others` is not a JSON object of known keys and types.",
        "Correct the key that the message names; it lists the known ones.",
    ),
    "BAD_KEY": Code(
        "`api_key` is missing or has characters that no key has.",
        "Pass a key, or configure the credential that the message names.",
    ),
    "BAD_URL": Code(
        "`base_url` is missing or is not a plain http(s) URL.",
        "Write scheme, host and path: no user, query or fragment.",
    ),
    "UNKNOWN_PROVIDER": Code("No provider has this name.", "Use one of the names that the message lists."),
    "CREDENTIAL": Code(
        "A named credential does not exist, or is bound to another provider or URL.",
        "Use the credential for what the configuration binds it to, or pass a key of your own.",
    ),
    "BLOCKED": Code(
        "The server's configuration does not let the worker connect to this host.",
        "Ask the operator for `network.allow_hosts` or `network.allow_private`.",
    ),
    "CONFIG": Code("The server's configuration file has a mistake.", "Correct the setting that the message names."),
    "AUTH": Code(
        "The provider refuses the key (401, 403).", "Check `api_key` or the credential that the message names."
    ),
    "NOT_FOUND": Code("The provider knows no such path or model (404).", "Check `base_url` and `others.model`."),
    "BAD_REQUEST": Code("The provider refuses the request (400, 422).", "Its own words say what it does not accept."),
    "TOO_LARGE": Code("The request is larger than the provider takes (413).", "Send fewer or shorter documents."),
    "TOO_MANY_DOCUMENTS": Code(
        "A call has more documents than the server allows.",
        "Pass fewer, or ask the operator for `limits.max_documents`.",
    ),
    "TOO_MANY_ROWS": Code(
        "A block has more rows than the server allows.",
        "Set `max_block_size`, or ask the operator for `limits.max_rows`.",
    ),
    "REQUEST_LIMIT": Code(
        "A credential has sent the requests that the server allows it in a minute.",
        "Wait, or ask the operator for its `requests_per_minute`.",
    ),
    "DOCUMENT_LIMIT": Code(
        "A credential has sent the documents that the server allows it in a minute.",
        "Wait, or ask the operator for its `documents_per_minute`.",
    ),
    "QUOTA": Code("The account has no credit left (402).", "Settle it with the provider."),
    "RATE_LIMIT": Code(
        "The provider takes no more requests for now (429).", "Wait, or ask the provider for a higher limit."
    ),
    "PROVIDER": Code("The provider failed (5xx, 408).", "Try again later; its own words are in the message."),
    "REDIRECT": Code(
        "The provider answered with a redirect, which is never followed.", "Use the final URL as `base_url`."
    ),
    "PROTOCOL": Code(
        "The answer is not what this API's answer looks like.", "Check that `base_url` is a rerank endpoint."
    ),
    "TIMEOUT": Code(
        "No complete answer came within the row's deadline.",
        "Raise `timeout_s` or the server's `limits.row_deadline_s`, or send less.",
    ),
    "CONNECT": Code("No connection to the provider could be made or kept.", "Check host, port and network."),
    "DNS": Code("The host's name has no address.", "Check `base_url`."),
    "TLS": Code(
        "The provider's certificate or TLS version is not acceptable.",
        "Check `base_url`, or the server's `network.ca_file`.",
    ),
    "RESOURCE": Code(
        "The worker ran out of sockets, descriptors or memory.", "Raise the server's limits, or run fewer queries."
    ),
    "LOADING": Code("The model is still loading.", "Try again when the provider says that it is ready."),
    "INPUT": Code(
        "ClickHouse sent something that is no row of Rerank.", "Compare the registration with the worker's --format."
    ),
    "INTERNAL": Code("A defect in clickhouse-rerank.", "Report it with the query's shape."),
}


class RerankError(Exception):
    """Base of all; `code` is a key of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"Rerank: {code}: {message}")
        self.code = code
        self.message = message


class CallerError(RerankError):
    """The caller or the operator must change something; a retry or a fallback would hide it."""


class RequestRejectedError(RerankError):
    """The provider understood who asks, and refuses what is asked."""


class ProviderFailedError(RerankError):
    """The provider, or the way to it, failed.

    `retryable` when another attempt may succeed; `wait_s`, seconds, when the provider said after how long.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, wait_s: float | None = None) -> None:
        super().__init__(code, message)
        self.retryable = retryable
        self.wait_s = wait_s


class ProtocolError(RerankError):
    """Where the next row or chunk begins is unknown: answering on would give rows to the wrong query."""

    def __init__(self, message: str) -> None:
        super().__init__("INPUT", message)
