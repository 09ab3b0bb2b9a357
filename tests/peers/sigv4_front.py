"""A front like SageMaker's runtime: checks the AWS signature of what it received, then asks the model's container.

The signature is computed here from AWS's description of Signature Version 4, with nothing of botocore, so that our
signer is checked by something else than itself. Failures of the container come back as SageMaker wraps them.
"""

import datetime
import hashlib
import hmac
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>\w+)/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_PATH = re.compile(r"/endpoints/(?P<name>[A-Za-z0-9-]{1,63})/invocations")
_SKEW = datetime.timedelta(minutes=5)
_ACCOUNT = "123456789012"
_CONTAINER_S = 60  # what SageMaker gives a container


@dataclass(frozen=True)
class Received:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value.strip() for known, value in self.headers if known == name), "")


class Account(NamedTuple):
    """A key's secret, and for a temporary key the session token that must come with it."""

    secret: str
    token: str = ""


class Refusal(NamedTuple):
    """How AWS refuses: the status, the exception's name, the message."""

    status: int
    kind: str
    message: str


_MISMATCH = Refusal(
    403,
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details.",
)
_UNKNOWN = Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")


def signature(request: Received, secret: str, scope: str, names: Sequence[str]) -> str:
    """The signature over `names` of the request's headers, for a scope `date/region/service/aws4_request`."""
    path, _, query = request.target.partition("?")
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    encoded = sorted(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)
    lines = [request.method, urllib.parse.quote(path or "/", safe="/-_.~"), "&".join(encoded)]
    for name in names:
        values = [" ".join(value.split()) for known, value in request.headers if known == name]
        lines.append(f"{name}:{','.join(values)}")
    lines += ["", ";".join(names), hashlib.sha256(request.body).hexdigest()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", request.header("x-amz-date"), scope, digest])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def refusal(request: Received, accounts: Mapping[str, Account], region: str, service: str) -> Refusal | None:
    """Why a request is not who it says it is; None when it is."""
    if not request.header("authorization"):
        return Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    said = _AUTHORIZATION.fullmatch(request.header("authorization"))
    if said is None:
        return Refusal(403, "IncompleteSignatureException", "Authorization header is not as it should be.")
    account = accounts.get(said["id"])
    if account is None or not hmac.compare_digest(request.header("x-amz-security-token"), account.token):
        return _UNKNOWN
    if said["region"] != region or said["service"] != service:
        wanted = f"Credential should be scoped to a valid region and to the service {service!r}."
        return Refusal(403, "InvalidSignatureException", wanted)
    names = said["names"].split(";")
    needed = {"host"} | {name for name, _ in request.headers if name.startswith("x-amz-")}
    if names != sorted(names) or not needed <= set(names):
        return Refusal(403, "InvalidSignatureException", f"These headers must be signed: {', '.join(sorted(needed))}.")
    if not _is_now(request.header("x-amz-date"), said["date"]):
        return Refusal(403, "InvalidSignatureException", "Signature expired, or of the future.")
    scope = f"{said['date']}/{region}/{service}/aws4_request"
    right = hmac.compare_digest(signature(request, account.secret, scope, names), said["signature"])
    return None if right else _MISMATCH


def _is_now(stamp: str, date: str) -> bool:
    try:
        signed = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return False
    return stamp.startswith(date) and abs(datetime.datetime.now(datetime.UTC) - signed) < _SKEW


class Front:
    """The server, on a free loopback port; `container` is where it passes invocations on.

    `verified` and `refused` count what its signature check decided.
    """

    def __init__(self, container: str, endpoint: str, accounts: Mapping[str, Account], region: str) -> None:
        self.container, self.endpoint, self.accounts, self.region = container, endpoint, accounts, region
        self.verified = self.refused = 0
        self._lock = threading.Lock()
        front = self

        class Handler(_Handler):
            owner = front

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Front":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) for a request."""
        refused = refusal(request, self.accounts, self.region, "sagemaker")
        with self._lock:
            self.refused += refused is not None
            self.verified += refused is None
        if refused is not None:
            return _exception(refused)
        asked = _PATH.fullmatch(request.target)
        if asked is None or asked["name"] != self.endpoint:
            name = asked["name"] if asked else ""
            return _exception(Refusal(400, "ValidationError", f"Endpoint {name} of account {_ACCOUNT} not found."))
        return self._ask_container(request)

    def _ask_container(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        passed = {name: request.header(name) for name in ("content-type", "accept") if request.header(name)}
        asked = urllib.request.Request(self.container, request.body, passed, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=_CONTAINER_S) as reply:
                headers = {
                    "Content-Type": reply.headers.get("content-type", "application/json"),
                    "x-Amzn-Invoked-Production-Variant": "AllTraffic",
                }
                return 200, headers, reply.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read().decode("utf-8", "replace")
        except OSError as error:
            status, said = 500, str(error)
        party, kind = (
            ("client", "CLIENT_ERROR_FROM_MODEL") if status < 500 else ("server", "INTERNAL_FAILURE_FROM_MODEL")
        )
        failure = {
            "ErrorCode": kind,
            "LogStreamArn": f"arn:aws:logs:{self.region}:{_ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{self.endpoint}",
            "Message": f'Received {party} error ({status}) from primary with message "{said}". See the log for more.',
            "OriginalMessage": said,
            "OriginalStatusCode": status,
        }
        return 424, {"Content-Type": "application/json", "x-amzn-ErrorType": "ModelError"}, json.dumps(failure).encode()


def _exception(refused: Refusal) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": refused.kind}
    return refused.status, headers, json.dumps({"message": refused.message}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Front

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        status, answered, said = self.owner.answer(Received(self.command, self.path, headers, body))
        self.send_response(status)
        for name, value in {**answered, "Content-Length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
