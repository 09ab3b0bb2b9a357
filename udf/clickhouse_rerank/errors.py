"""What can go wrong, by who must act.

RerankError
├── CallerError        the SQL or the server's configuration must change: always fails the query
├── RequestRejectedError    the provider refuses this request: never retried, but on_error may degrade the row
├── ProviderFailedError     the provider, or the way to it: may be retried, degraded, or left to a fallback
└── ProtocolError      what ClickHouse sent cannot be framed: the process ends, a new one takes over

The message is one sentence for the SQL user, and it names what to change. It never holds a key, a document, or a
library's own exception text (HTTP libraries put whole headers into theirs).
"""

from typing import NamedTuple, Self


class Code(NamedTuple):
    """What one error code means, what leads to it, and what helps; in Markdown."""

    meaning: str
    cause: str
    remedy: str


CODES: dict[str, Code] = {
    "BAD_ARGUMENT": Code(
        "An argument of Rerank cannot be used.",
        "The query is empty or only white space, `BM25` was given a URL or a key, or a model that scores "
        "documents against each other was given more than one request may hold.",
        "Change the argument that the message names.",
    ),
    "BAD_OTHERS": Code(
        "`others` is not a JSON object of known keys and types.",
        "A key is misspelled or belongs to another provider, a value has another type or is out of its "
        "bounds, a key stands twice, a model was shut down, or the label that means relevant is not known.",
        "Correct the key that the message names; it lists the known ones.",
    ),
    "BAD_KEY": Code(
        "`api_key` is missing or has characters that no key has.",
        "The provider needs a key, SQL gives none, and the server has no default credential for it; or a line "
        "feed or a space was copied with the key.",
        "Pass a key, or configure the credential that the message names.",
    ),
    "BAD_URL": Code(
        "`base_url` is missing or is not a plain http(s) URL.",
        "There is no scheme, or there is a user, a query, a fragment, an escape or a host that is no name and "
        "no address.",
        "Write scheme, host and path: no user, query or fragment.",
    ),
    "UNKNOWN_PROVIDER": Code(
        "No provider has this name.",
        "The name is misspelled. Case, spaces, dots and hyphens do not matter.",
        "Use one of the names that the message lists.",
    ),
    "CREDENTIAL": Code(
        "A named credential does not exist, or is bound to another provider or URL.",
        "`'cred:NAME'` is not in the server's configuration, is another provider's, or SQL names a URL, a "
        "region or a project beside it; or the server has no AWS role to sign with.",
        "Use the credential for what the configuration binds it to, or pass a key of your own.",
    ),
    "BLOCKED": Code(
        "The server's configuration does not let the worker connect to this host.",
        "The host is not in `network.allow_hosts`, has a private or loopback address, or is asked in plain "
        "http. Without configuration, only public hosts by https are allowed.",
        "Ask the operator for `network.allow_hosts` or `network.allow_private`.",
    ),
    "CONFIG": Code(
        "The server's configuration file has a mistake.",
        "A table, key or value is unknown or out of bounds, a key file cannot be read or is open to every "
        "user, or deadlines are longer than ClickHouse waits. Every call fails until it is mended.",
        "Correct the setting that the message names; `clickhouse-rerank check` names them all.",
    ),
    "AUTH": Code(
        "The provider refuses the key (401, 403).",
        "The key is wrong, was revoked, is another provider's or another region's, or may not use this model.",
        "Check `api_key` or the credential that the message names.",
    ),
    "NOT_FOUND": Code(
        "The provider knows no such path or model (404, 405).",
        "The path of `base_url` is not the provider's, the model's name is misspelled, or the model is not deployed.",
        "Check `base_url` and `others.model`.",
    ),
    "BAD_REQUEST": Code(
        "The provider refuses the request (400, 422).",
        "A parameter in `others` does not suit the model, or a text is longer than the model takes and the "
        "server does not truncate.",
        "Its own words say what it does not accept.",
    ),
    "TOO_LARGE": Code(
        "The request is larger than the provider takes (413).",
        "One document alone exceeds the provider's limit, the query does, or the request exceeds "
        "`limits.max_request_bytes`. Lists that are merely long are split.",
        "Send fewer or shorter documents; set `batch_size` where the server's limit is lower than the usual one.",
    ),
    "TOO_MANY_DOCUMENTS": Code(
        "A call has more documents than the server allows.",
        "The candidates were not limited before they were gathered into an array.",
        "Put `LIMIT` before `groupArray`, or ask the operator for `limits.max_documents`.",
    ),
    "TOO_MANY_ROWS": Code(
        "A block has more rows than the server allows.",
        "`max_block_size` was raised above `limits.max_rows`.",
        "Set `max_block_size`, or ask the operator for `limits.max_rows`.",
    ),
    "REQUEST_LIMIT": Code(
        "A credential has sent the requests that the server allows it in a minute.",
        "All queries of the server that use the credential count together, retries included.",
        "Wait, or ask the operator for its `requests_per_minute`.",
    ),
    "DOCUMENT_LIMIT": Code(
        "A credential has sent the documents that the server allows it in a minute.",
        "All queries of the server that use the credential count together; or one request alone has more, "
        "which `batch_size` splits.",
        "Wait, or ask the operator for its `documents_per_minute`.",
    ),
    "QUOTA": Code(
        "The account has no credit left (402).",
        "The provider wants to be paid first, under whatever status it says so.",
        "Settle it with the provider.",
    ),
    "RATE_LIMIT": Code(
        "The provider takes no more requests for now (429).",
        "More requests, documents or tokens came in a minute than the account may send. Rows wait in line "
        "while others are answered, for up to `limits.rate_limit_wait_s`; this one has waited.",
        "Wait, rank fewer rows at a time, or ask the provider for a higher limit.",
    ),
    "PROVIDER": Code(
        "The provider failed (5xx, 408).",
        "The API or the server is down, overloaded or broken. It was asked up to three times.",
        "Try again later, or name a `fallback`; its own words are in the message.",
    ),
    "REDIRECT": Code(
        "The provider answered with a redirect, which is never followed.",
        "The URL is that of a web page, of http where https is meant, or of a moved API.",
        "Use the final URL as `base_url`.",
    ),
    "PROTOCOL": Code(
        "The answer is not what this API's answer looks like.",
        "`base_url` is no rerank endpoint, another provider's, or behind a page that asks to sign in; or the "
        "answer is cut off, or repeats or lacks documents.",
        "Check that `base_url` is a rerank endpoint and `provider` is what it speaks.",
    ),
    "TIMEOUT": Code(
        "No complete answer came within the row's deadline.",
        "The provider is slow, the documents are many or long, or a model on a server of yours is still being loaded.",
        "Raise `timeout_s` or the server's `limits.row_deadline_s`, or send less.",
    ),
    "CONNECT": Code(
        "No connection to the provider could be made or kept.",
        "Nothing listens there, a firewall drops what is sent, the proxy does not lead there, or the server "
        "closes connections.",
        "Check host, port and network from the ClickHouse server, not from your own machine.",
    ),
    "DNS": Code(
        "The host's name has no address.",
        "The name is misspelled, or the server's resolver does not know it.",
        "Check `base_url`, and the name on the ClickHouse server.",
    ),
    "TLS": Code(
        "The provider's certificate or TLS version is not acceptable.",
        "The certificate is expired, of another name, or signed by an authority of your company; or the "
        "server speaks less than TLS 1.2.",
        "Check `base_url`, or the server's `network.ca_file`.",
    ),
    "RESOURCE": Code(
        "The worker ran out of sockets, descriptors or memory.",
        "Many queries at once, or low limits of the server's user.",
        "Raise the server's limits, or run fewer queries.",
    ),
    "LOADING": Code(
        "The model is still loading.",
        "The endpoint was scaled to nothing, or has just been started.",
        "Try again when the provider says that it is ready, or raise `timeout_s`.",
    ),
    "INPUT": Code(
        "ClickHouse sent something that is no row of Rerank.",
        "Registration and worker disagree on the format, the types or `send_chunk_header`, mostly because one "
        "of them was edited.",
        "Run `clickhouse-rerank install` again, or compare the registration with the worker's --format.",
    ),
    "INTERNAL": Code(
        "A defect in clickhouse-rerank.",
        "Something that should never happen. The process ends, a new one takes over, and the next query works.",
        "Report it with the message and the query's shape.",
    ),
}


class RerankError(Exception):
    """Base of all; `code` is a key of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"Rerank: {code}: {message}")
        self.code = code
        self.message = message

    def copy(self) -> Self:
        """The same error, to be raised for another row: one that is raised again keeps the frames of all rows."""
        again = type(self).__new__(type(self), *self.args)
        vars(again).update(vars(self))
        return again


class CallerError(RerankError):
    """The caller or the operator must change something; a retry or a fallback would hide it."""


class RequestRejectedError(RerankError):
    """The provider understood who asks, and refuses what is asked."""


class ProviderFailedError(RerankError):
    """The provider, or the way to it, failed.

    `retryable` when another attempt may succeed; `wait_s`, seconds, when the provider said after how long. `sent` is
    how many times the request went out: twice where a kept connection was closed before any byte of an answer.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, wait_s: float | None = None, sent: int = 1
    ) -> None:
        super().__init__(code, message)
        self.retryable = retryable
        self.wait_s = wait_s
        self.sent = sent


class ProtocolError(RerankError):
    """Where the next row or chunk begins is unknown: answering on would give rows to the wrong query."""

    def __init__(self, message: str) -> None:
        super().__init__("INPUT", message)
