"""moto, a model of AWS, in its IAM mode: it knows users, policies and sessions, and checks every signature.

It runs no model: what InvokeEndpoint answers is put in beforehand, so the ranking here proves reading, not scoring.
Its errors are not shaped as AWS shapes them (XML, named HTML), so only their codes are asserted.
"""

import json
import urllib.request

from .checks import Checks
from .environment import environment
from .server import free_port, running

NAME, REGION = "tiny-reranker", "us-east-1"
_ANSWER = [{"label": "LABEL_0", "score": score} for score in (0.84, 0.99, 0.03)]


def check(checks: Checks) -> None:
    """A user's key, then a session's."""
    programs = environment("moto")
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [programs / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    with running("moto", command, f"{root}/moto-api/data.json"):
        answers = [{"Body": json.dumps(_ANSWER), "ContentType": "application/json"}] * 50
        static = {"account_id": "123456789012", "region": REGION, "results": answers}
        _post(f"{root}/moto-api/static/sagemaker/endpoint-results", json.dumps(static).encode())
        user, nobody, session = _keys(root)
        _post(f"{root}/moto-api/reset-auth", b"0")  # from now on it checks every request
        _users(checks, root, user, nobody)
        _sessions(checks, root, session)


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def _keys(root: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """A key that may invoke endpoints, one that may not, and a session's that may."""
    import boto3

    admin = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
    iam, sts = (boto3.client(name, region_name=REGION, endpoint_url=root, **admin) for name in ("iam", "sts"))
    allowed = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    keys = []
    for name in ("peer", "nobody"):
        iam.create_user(UserName=name)
        keys.append(iam.create_access_key(UserName=name)["AccessKey"])
    iam.put_user_policy(UserName="peer", PolicyName="invoke", PolicyDocument=policy)
    trusted = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    role = iam.create_role(RoleName="peer", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="peer", PolicyName="invoke", PolicyDocument=policy)
    session = sts.assume_role(RoleArn=role, RoleSessionName="peer")["Credentials"]
    return keys[0], keys[1], session


def _others(root: str, key: dict[str, str], **more: str) -> dict[str, object]:
    return {"access_key_id": key["AccessKeyId"], "region_name": REGION, "endpoint_url": root, **more}


def _users(checks: Checks, root: str, user: dict[str, str], nobody: dict[str, str]) -> None:
    secret, others = user["SecretAccessKey"], _others(root, user)
    checks.ranks("a user's key", "SageMaker", NAME, secret, others)
    checks.fails("a wrong secret", "AUTH", "SageMaker", NAME, "x" + secret[1:], others, says="403")
    unknown = {**others, "access_key_id": "AKIANOBODYKNOWSTHIS1"}
    checks.fails("an unknown key", "AUTH", "SageMaker", NAME, secret, unknown, says="403")
    without = _others(root, nobody)
    checks.fails("a key without the policy", "AUTH", "SageMaker", NAME, nobody["SecretAccessKey"], without, says="403")


def _sessions(checks: Checks, root: str, session: dict[str, str]) -> None:
    secret, token = session["SecretAccessKey"], session["SessionToken"]
    others = _others(root, session)
    checks.ranks("a session's key", "SageMaker", NAME, secret, {**others, "session_token": token})
    checks.fails("a session without its token", "AUTH", "SageMaker", NAME, secret, others, says="403")
    wrong = {**others, "session_token": "x" + token[1:]}
    checks.fails("a session with another token", "AUTH", "SageMaker", NAME, secret, wrong, says="403")
