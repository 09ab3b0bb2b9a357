"""The container that SageMaker runs for Hugging Face models (multi-model-server with its inference toolkit).

Once straight, as an Inference Endpoint is reached, and once behind a front that checks AWS signatures.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from .checks import BERLIN, DOCUMENTS, PARIS, RANKING, WEATHER, Checks
from .environment import FOLDER, SkippedError, environment, tiny_model
from .server import free_port, running
from .sigv4_front import Account, Front, Received, refusal, signature

NAME, REGION = "tiny-reranker", "eu-central-1"
LONG_TERM, TEMPORARY = "AKIAPEERLONGTERM0001", "ASIAPEERTEMPORARY001"
ACCOUNTS = {
    LONG_TERM: Account("peer/secret+long/term=AKIA"),
    TEMPORARY: Account("peer/secret+temporary=ASIA", "peer/session+token=="),
}
_HANDLER = "sagemaker_huggingface_inference_toolkit.handler_service:handle"


def check(checks: Checks) -> None:
    """The front by itself, the container straight, the container behind the front."""
    _front(checks)
    with _container() as container:
        _straight(checks, f"{container}/invocations")
        with Front(f"{container}/invocations", NAME, ACCOUNTS, REGION) as front:
            _ranks(checks, front)
            _refusals(checks, front)
            counted = (front.verified, front.refused)
            checks.holds("requests reached the front", min(counted) >= 4, counted)


@contextlib.contextmanager
def _container() -> Iterator[str]:
    if shutil.which("java") is None:
        raise SkippedError("needs Java for multi-model-server")
    programs = environment("sagemaker", torch=True)
    base = FOLDER / "sagemaker-base"
    model = tiny_model(programs)
    shutil.copytree(model, base / "model", dirs_exist_ok=True)
    temporary = base / "tmp"
    temporary.mkdir(exist_ok=True)
    _forget_last_run(temporary)
    root = f"http://127.0.0.1:{free_port()}"
    properties = base / "mms.properties"
    # What the toolkit's own start writes, but for the addresses, which it sets to all interfaces.
    properties.write_text(
        f"inference_address={root}\nmanagement_address=http://127.0.0.1:{free_port()}\n"
        f"default_service_handler={_HANDLER}\ndefault_workers_per_model=1\n"
        "enable_envvars_config=false\ndecode_input_request=false\n"
    )
    command = [programs / "multi-model-server", "--start", "--foreground", "--model-store", "/"]
    command += ["--mms-config", properties, "--models", f"model={base / 'model'}"]
    variables = {
        "HF_TASK": "text-classification",
        "SAGEMAKER_BASE_DIR": str(base),
        "TMPDIR": str(temporary),
        "TEMP": str(temporary),
    }
    with running("sagemaker", command, f"{root}/ping", **variables):
        yield root


def _forget_last_run(temporary: Path) -> None:
    """multi-model-server refuses to start when the process number it once noted is anybody's."""
    (temporary / ".model_server.pid").unlink(missing_ok=True)


def _front(checks: Checks) -> None:
    """The front's arithmetic against the examples that AWS publishes, and its refusal of a changed request."""
    scope = "20150830/us-east-1/service/aws4_request"
    for method, expected in (
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ):
        headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
        request = Received(method, "/", headers, b"")
        found = signature(request, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, ["host", "x-amz-date"])
        checks.holds(f"AWS's example of a {method}", found == expected, found)
    from clickhouse_rerank.request import auth
    from clickhouse_rerank.types import Secret

    url, body = "http://127.0.0.1:1/endpoints/e/invocations", b'{"inputs": []}'
    keys = auth.AwsKeys(LONG_TERM, Secret(ACCOUNTS[LONG_TERM].secret), "")
    scope = auth.Scope(REGION, "sagemaker")
    signed = {"Host": "127.0.0.1:1", **auth.sigv4(url, {"Content-Type": "application/json"}, body, keys, scope)}
    headers = [(name.lower(), str(value)) for name, value in signed.items()]
    target = "/endpoints/e/invocations"
    for name, sent, accepted in (
        ("as signed", Received("POST", target, headers, body), True),
        ("with another body", Received("POST", target, headers, body + b" "), False),
        ("to another path", Received("POST", "/endpoints/f/invocations", headers, body), False),
        ("to another host", Received("POST", target, [("host", "other"), *headers[1:]], body), False),
        ("with a header unsigned", Received("POST", target, [*headers, ("x-amz-target", "x")], body), False),
    ):
        refused = refusal(sent, ACCOUNTS, REGION, "sagemaker")
        checks.holds(f"a request {name}", (refused is None) == accepted, refused)


def _straight(checks: Checks, url: str) -> None:
    checks.ranks("HuggingFace", "HuggingFace", url, "no_need")
    checks.ranks("all labels", "HuggingFace", url, "no_need", {"model_args": {"parameters": {"top_k": None}}})
    raw = {"model_args": {"parameters": {"function_to_apply": "none"}}}
    checks.ranks("logits", "HuggingFace", url, "no_need", raw)
    checks.ranks("logits through a sigmoid", "HuggingFace", url, "no_need", {**raw, "normalize": "sigmoid"})
    lists: tuple[tuple[str, list[str], list[int]], ...] = (
        ("one document", [PARIS], [0]),
        ("two documents", [BERLIN, PARIS], [1, 0]),
        ("a document over the model's length", [BERLIN, PARIS + " and so on" * 2_000, WEATHER], RANKING),
        ("other scripts", [BERLIN, PARIS + " é 東京 \U0001f600", WEATHER], RANKING),
    )
    for name, documents, expected in lists:
        checks.orders(name, expected, "HuggingFace", url, "no_need", documents=documents)
    many = [*DOCUMENTS, *[f"sunny days {number}" for number in range(997)]]
    checks.orders("1,000 documents", RANKING[:2], "HuggingFace", url, "no_need", documents=many)
    unknown = {"model_args": {"parameters": {"top_n": 3}}}
    checks.fails("a parameter it does not know", "BAD_REQUEST", "HuggingFace", url, "no_need", unknown, says="top_n")
    checks.fails("another wire", "BAD_REQUEST", "HuggingFace", url, "no_need", {"wire": "tei"}, says="400")
    # Its answer to a body over 6.5 MB is a bare 413.
    checks.fails("a large body", "TOO_LARGE", "HuggingFace", url, "no_need", documents=["zq" * 3_500_000], says="413")
    elsewhere = url.replace("/invocations", "/nothing/invocations")
    checks.fails("a path it does not have", "NOT_FOUND", "HuggingFace", elsewhere, "no_need", says="not found")


def _others(front: Front, key: str = LONG_TERM, **more: object) -> dict[str, object]:
    token = ACCOUNTS[key].token if key in ACCOUNTS else ""
    temporary = {"session_token": token} if token else {}
    return {"access_key_id": key, "region_name": REGION, "endpoint_url": front.url, **temporary, **more}


def _ranks(checks: Checks, front: Front) -> None:
    for name, key in (("a long-term key", LONG_TERM), ("a temporary key", TEMPORARY)):
        checks.ranks(f"SageMaker with {name}", "SageMaker", NAME, ACCOUNTS[key].secret, _others(front, key))
    secret = ACCOUNTS[LONG_TERM].secret
    checks.ranks("endpoint_url with a slash", "SageMaker", NAME, secret, _others(front, endpoint_url=front.url + "/"))
    checks.ranks_rows("200 rows in one query", "SageMaker", NAME, secret, _others(front))
    # Over the 6 MB that InvokeEndpoint takes, and over what the container takes: several requests.
    large = [*[f"{number} " + "sunny days " * 100_000 for number in range(8)], *DOCUMENTS]
    last = [8 + index for index in RANKING[:2]]
    checks.orders("9 MB of documents", last, "SageMaker", NAME, secret, _others(front), documents=large)
    foreign = [BERLIN, PARIS + " é 東京 \U0001f600", WEATHER]
    checks.orders("other scripts, signed", RANKING, "SageMaker", NAME, secret, _others(front), documents=foreign)


def _refusals(checks: Checks, front: Front) -> None:
    secret, others = ACCOUNTS[LONG_TERM].secret, _others(front)
    temporary, of_temporary = _others(front, TEMPORARY), ACCOUNTS[TEMPORARY].secret
    without = {name: value for name, value in temporary.items() if name != "session_token"}
    for name, key, sent in (
        ("a wrong secret", secret + "x", others),
        ("an unknown key", secret, _others(front, "AKIANOBODYKNOWSTHIS1")),
        ("another region", secret, {**others, "region_name": "us-east-1"}),
        ("no session token", of_temporary, without),
        ("a wrong session token", of_temporary, {**temporary, "session_token": "peer/other+token=="}),
    ):
        checks.fails(f"SageMaker with {name}", "AUTH", "SageMaker", NAME, key, sent, says="403")
    checks.fails("an endpoint that is not there", "NOT_FOUND", "SageMaker", "nobody", secret, others, says="nobody")
    failing = {**others, "model_args": {"parameters": {"top_n": 3}}}
    checks.fails("a failing container", "BAD_REQUEST", "SageMaker", NAME, secret, failing, says="top_n")
