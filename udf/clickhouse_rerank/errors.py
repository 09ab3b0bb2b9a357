"""The errors of a call, by what must change and what happens next.

RerankError
├── CallerError             the SQL or the server's configuration must change: the query always fails
├── RequestRejectedError    the provider rejects this request: no retry and no fallback, but on_error applies
├── ProviderFailedError     the provider, or the way to it, failed: retries, fallbacks and on_error apply
└── ProtocolError           the input cannot be split into rows: the process ends, and a new one replaces it

A message is for the SQL user, and it names what to change. It never holds a key, a document, or the exception text of a
library (HTTP libraries put whole headers into theirs).
"""

from typing import NamedTuple, Self


class Code(NamedTuple):
    """What one error code means, what causes it, and what helps; in Markdown."""

    meaning: str
    cause: str
    remedy: str


CODES: dict[str, Code] = {
    "BAD_ARGUMENT": Code(
        "An argument of Rerank is not valid.",
        "The query is empty or only white space. Or `BM25` was given a URL or a key. Or the model scores documents "
        "against each other, and the list is longer than one request may be.",
        "Change the argument that the message names.",
    ),
    "BAD_OTHERS": Code(
        "`others` is not a JSON object with known keys and valid values.",
        "A key is misspelled, belongs to another provider or occurs twice. A value has the wrong type or is out of its "
        "bounds. The model was shut down. Or the label for relevant documents is not known.",
        "Correct the key that the message names. For an unknown key, the message lists the known ones.",
    ),
    "BAD_KEY": Code(
        "`api_key` is missing, or has a character that is not allowed in a key.",
        "The provider needs a key, but SQL passes none, and the server has no default credential for the provider. Or "
        "a line feed or a space was copied together with the key.",
        "Pass a key, or configure the credential that the message names.",
    ),
    "BAD_URL": Code(
        "`base_url` is missing or is not a plain http(s) URL.",
        "The URL has no scheme. Or it has a user, a query, a fragment or an escape. Or its host is not a valid name or "
        "address.",
        "Write scheme, host and path, without user, query and fragment.",
    ),
    "UNKNOWN_PROVIDER": Code(
        "No provider has this name.",
        "The name is misspelled. Case, spaces, dots and hyphens do not matter.",
        "Use one of the names that the message lists.",
    ),
    "CREDENTIAL": Code(
        "A named credential does not exist, or cannot be used for this call.",
        "`'cred:NAME'` is not in the server's configuration, or belongs to another provider. Or SQL also passes a URL, "
        "a region or a project, which only the configuration may set for a credential. Or the server has no AWS role "
        "to sign with.",
        "Use the credential only for what the configuration binds it to, or pass your own key.",
    ),
    "BLOCKED": Code(
        "The server's configuration does not allow connections to this host.",
        "The host is not in `network.allow_hosts`, has a private or loopback address, or is called over plain http. "
        "Without a configuration, only public hosts over https are allowed.",
        "Ask the operator to add the host to `network.allow_hosts` or `network.allow_private`.",
    ),
    "CONFIG": Code(
        "The server's configuration file has a mistake.",
        "A table, a key or a value is unknown or out of bounds. Or a key file cannot be read, or every user can read "
        "it. Or the deadlines are longer than ClickHouse waits. Every call fails until the mistake is corrected.",
        "Correct the setting that the message names. `clickhouse-rerank check` tests the result before a query does.",
    ),
    "AUTH": Code(
        "The provider refuses the key (401, 403).",
        "The key is wrong or revoked, belongs to another provider or region, or has no access to this model.",
        "Check `api_key` or the credential that the message names.",
    ),
    "NOT_FOUND": Code(
        "The provider does not know this path or model (404, 405).",
        "The path of `base_url` is wrong, the name of the model is misspelled, or the model is not deployed.",
        "Check `base_url` and `others.model`.",
    ),
    "BAD_REQUEST": Code(
        "The provider rejects the request (400, 422).",
        "The model does not support a parameter in `others`. Or a text is longer than the model's limit, and the "
        "server does not truncate it.",
        "The message quotes the provider, which says what it does not accept.",
    ),
    "TOO_LARGE": Code(
        "The request is larger than the provider or the server allows (413).",
        "The query or a single document exceeds the provider's limit. Or the request exceeds "
        "`limits.max_request_bytes`. A long list of documents is not the cause: it is split into several requests.",
        "Send fewer or shorter documents. Set `batch_size` if the limit of your server is lower than usual.",
    ),
    "TOO_MANY_DOCUMENTS": Code(
        "A call has more documents than the server allows.",
        "The candidates were not limited before they were collected into an array.",
        "Put `LIMIT` before `groupArray`, or ask the operator to raise `limits.max_documents`.",
    ),
    "MODEL": Code(
        "One of the server's own models cannot score.",
        "A file of the model is missing or corrupt, or its network takes inputs that a text pair does not have. Or the "
        "worker's Python lacks the packages that score.",
        "Run the command that the message names. Meanwhile, a `fallback` or `on_error` lets queries pass.",
    ),
    "TOO_MANY_ROWS": Code(
        "A block has more rows, or needs more calls, than the server allows.",
        "The setting `max_block_size` is higher than `limits.max_rows`. Or the rows of a block may need more requests "
        "than `limits.max_calls`, often because a condition that should leave rows out is evaluated after it.",
        "Write the query so that [it calls only for the rows it needs](cost.md). Or lower `max_block_size`, or ask the "
        "operator to raise the limit that the message names.",
    ),
    "REQUEST_LIMIT": Code(
        "A credential has used up the requests that the server allows it per minute.",
        "All queries on the server that use the credential count together, with their retries.",
        "Wait, or ask the operator to raise `requests_per_minute` of the credential.",
    ),
    "DOCUMENT_LIMIT": Code(
        "A credential has used up the documents that the server allows it per minute.",
        "All queries on the server that use the credential count together. Or a single request has more documents than "
        "the limit.",
        "Wait, or ask the operator to raise `documents_per_minute` of the credential. `batch_size` splits requests.",
    ),
    "QUOTA": Code(
        "The account has no credit left (402).",
        "The provider wants a payment first. Some providers say so with another status.",
        "Check the account at the provider.",
    ),
    "RATE_LIMIT": Code(
        "The provider accepts no more requests for now (429).",
        "The account sent more requests, documents or tokens per minute than it may. While other rows are answered, a "
        "refused row waits in line for up to `limits.rate_limit_wait_s`; the wait of this row is over.",
        "Wait, rank fewer rows at a time, or ask the provider for a higher limit.",
    ),
    "PROVIDER": Code(
        "The provider failed (5xx, 408).",
        "The API or the server is down, overloaded or broken. The request was sent up to three times, or six times "
        "if the provider answers nearly all others. Or a decision model refused to judge every document, or a chat "
        "model to rank them.",
        "Try again later, or set a `fallback`. The message quotes the provider.",
    ),
    "REDIRECT": Code(
        "The provider answered with a redirect. Redirects are never followed.",
        "The URL belongs to a web page, has http instead of https, or belongs to an API that has moved.",
        "Use the final URL as `base_url`.",
    ),
    "PROTOCOL": Code(
        "The answer does not have the format of this API.",
        "`base_url` is not a rerank endpoint, belongs to another provider, or leads to a login page. Or the answer is "
        "cut off, or documents are missing or repeated in it. Or a chat model names no document.",
        "Check that `base_url` is a rerank endpoint and that `provider` is the API it speaks.",
    ),
    "TIMEOUT": Code(
        "No complete answer came before the row's deadline. Or not all rows of a block were answered within "
        "`deadline_s`.",
        "The provider is slow, the documents are many or long, or your own server is still loading the model.",
        "Raise `timeout_s` or the server's `limits.row_deadline_s`, or send fewer or shorter documents. For a block, "
        "raise `deadline_s` or lower `max_block_size`.",
    ),
    "CONNECT": Code(
        "The connection to the provider could not be opened, or it broke.",
        "Nothing listens at this address, a firewall drops the packets, the proxy has no route to it, or the server "
        "closes connections.",
        "Check host, port and network from the ClickHouse server, not from your own machine.",
    ),
    "DNS": Code(
        "The name of the host has no address.",
        "The name is misspelled, or the resolver of the ClickHouse server does not know it.",
        "Check `base_url`, and resolve the name on the ClickHouse server.",
    ),
    "TLS": Code(
        "The provider's certificate or TLS version is not accepted.",
        "The certificate is expired, is for another name, or is signed by your company's own authority. Or the server "
        "supports only versions before TLS 1.2.",
        "Check `base_url`, or set `network.ca_file` on the server.",
    ),
    "RESOURCE": Code(
        "The worker ran out of sockets, file descriptors or memory.",
        "Many queries run at once, or the limits of the server's user are low.",
        "Raise the limits of the server's user, or run fewer queries at once.",
    ),
    "LOADING": Code(
        "The model is still loading.",
        "The endpoint was scaled to zero, or has just started.",
        "Try again after the time that the provider names, or raise `timeout_s`.",
    ),
    "INPUT": Code(
        "ClickHouse sent bytes that are not a row of Rerank.",
        "The registration and the worker disagree on the format, the types or `send_chunk_header`, usually because one "
        "of them was edited.",
        "Run `clickhouse-rerank install` again, or compare the registration with the worker's `--format`.",
    ),
    "INTERNAL": Code(
        "A defect in clickhouse-rerank.",
        "A mistake in the code of the worker. The process ends, a new one replaces it, and the next query works.",
        "Report it with the message and the shape of the query.",
    ),
}


class RerankError(Exception):
    """Base of all errors. `code` is a key of CODES; `message` names what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"Rerank: {code}: {message}")
        self.code = code
        self.message = message

    def copy(self) -> Self:
        """A copy to raise for another row: an error that is raised again keeps the frames of all rows."""
        again = type(self).__new__(type(self), *self.args)
        vars(again).update(vars(self))
        return again


class CallerError(RerankError):
    """The SQL or the configuration must change; a retry or a fallback would hide the mistake."""


class RequestRejectedError(RerankError):
    """The provider accepts the caller, but rejects the content of the request."""


class ProviderFailedError(RerankError):
    """The provider, or the way to it, failed.

    `retryable`: another attempt may succeed. `wait_s`: seconds to wait before it, if the provider named them. `sent`:
    how often the transport sent the request, 2 where a kept connection died before the first byte of a response.
    """

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, wait_s: float | None = None, sent: int = 1
    ) -> None:
        super().__init__(code, message)
        self.retryable = retryable
        self.wait_s = wait_s
        self.sent = sent


class ProtocolError(RerankError):
    """The start of the next row or chunk is unknown: further answers could go to the wrong query."""

    def __init__(self, message: str) -> None:
        super().__init__("INPUT", message)
