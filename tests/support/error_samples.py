"""One real message for every error code. Each is provoked on loopback, and is what the SQL user would read."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asking import KEY, asked, raw, row, settings
from certificates import Certificates
from clickhouse_rerank.admission import retry
from clickhouse_rerank.config import settings as configuration
from clickhouse_rerank.config.credentials import Credential
from clickhouse_rerank.config.models import Model
from clickhouse_rerank.config.settings import Limits
from clickhouse_rerank.engine.chunk_limits import check_rows
from clickhouse_rerank.engine.formats import FORMATS
from clickhouse_rerank.errors import CallerError, ProtocolError, ProviderFailedError, RerankError
from clickhouse_rerank.types import Secret
from names import Names, no_such_name
from provider import Provider, Reply

HOST = "rerank.example.com"
"""The name that the samples show in place of loopback. As a name that is looked up, it has no address."""
FULL = "full.example.com"
"""A name at whose look-up the worker has no descriptor left."""


class Provoker:
    """Provokes each kind of error with a scripted `provider`."""

    def __init__(self, provider: Provider, patch: pytest.MonkeyPatch, folder: Path) -> None:
        patch.setattr(retry, "ATTEMPTS", 1)
        patch.setattr(retry, "ATTEMPTS_OF_HEALTHY", 1)
        Names(patch, _look_up)
        self._provider, self._folder = provider, folder

    def errors(self) -> dict[str, RerankError]:
        """Code -> an error with it."""
        made = [error for provoke in (self._asked, self._answered, self._arranged, self._inside) for error in provoke()]
        return {error.code: error for error in made}

    def text(self, error: RerankError) -> str:
        """Its message, without this machine's port and folders."""
        said = str(error).replace(f"127.0.0.1:{self._provider.port}", f"{HOST}:443").replace("127.0.0.1", HOST)
        return said.replace(str(self._folder), "/etc/clickhouse-rerank")

    def _asked(self) -> list[RerankError]:
        """Mistakes of the caller."""
        url = self._provider.url
        return [
            self._one(query=" "),
            self._one(others={"modle": "rerank-v3.5"}),
            self._one(url="", key=""),
            self._one(url="api.cohere.com/v2/rerank"),
            self._one(provider="Choere"),
            self._one(key="cred:prd"),
            self._one(url="http://10.0.0.5:8080/v1/rerank", provider="LocalAI", others={"model": "m"}),
            self._one(url=url, documents=["a", "b", "c"], max_documents=2),
        ]

    def _answered(self) -> list[RerankError]:
        """Answers of the provider."""
        page = Reply(body=b"<!doctype html><title>Sign in</title>")
        loading = Reply(503, json={"error": "Model is currently loading", "estimated_time": 40.0})
        return [
            self._reply(Reply(401, json={"message": "invalid api token"})),
            self._reply(Reply(404, json={"message": "model 'rerank-v9' not found"})),
            self._reply(Reply(400, json={"message": "max_tokens_per_doc must be at most 32768"})),
            self._reply(Reply(413)),
            self._reply(Reply(402, json={"message": "payment required"})),
            self._reply(Reply(429, json={"message": "trial key: 10 calls a minute"}, headers={"Retry-After": "30"})),
            self._reply(Reply(500, json={"message": "internal server error"})),
            self._reply(Reply(307, headers={"Location": "https://elsewhere.example.com/"})),
            self._reply(page),
            self._reply(loading, provider="HuggingFace"),
            self._reply(Reply(never=True), others={"timeout_s": 0.1}),
            self._reply(raw("", close_after=0)),
        ]

    def _arranged(self) -> list[RerankError]:
        """The server's configuration and limits."""
        return [self._misconfigured(), self._limited("requests_per_minute"), self._limited("documents_per_minute")]

    def _inside(self) -> list[RerankError]:
        """Failures around a request."""
        return [
            self._one(url=f"https://{HOST}/v1/rerank"),
            self._untrusted(),
            self._one(url=f"https://{FULL}/v1/rerank"),
            self._without_files(),
            self._raised(lambda: check_rows(1_048_576, Limits(max_rows=65_536))),
            self._raised(lambda: FORMATS["JSONEachRow"].decode(b"1\t2\n")),
            RerankError("INTERNAL", "KeyError at plan.py:42. Report it to clickhouse-rerank."),
        ]

    def _one(self, url: str | None = None, **more: Any) -> RerankError:
        limits = {"max_documents": more.pop("max_documents")} if "max_documents" in more else {}
        within = settings(**limits)
        (error,) = asked(row(self._provider.url if url is None else url, **more), within=within)
        assert isinstance(error, RerankError), error
        return error

    def _reply(self, reply: Reply, **more: Any) -> RerankError:
        self._provider.script = lambda _: reply
        (error,) = asked(row(self._provider.url, **more), within=settings(row_deadline_s=20.0, rate_limit_wait_s=1.0))
        assert isinstance(error, RerankError), error
        return error

    def _misconfigured(self) -> RerankError:
        where = str(self._folder / "config.toml")
        return self._raised(lambda: configuration.parse({"limits": {"max_rps": 5}}, {}, where=where))

    def _without_files(self) -> RerankError:
        folder = self._folder / "models" / "minilm"
        (folder / "onnx").mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        within = replace(settings(), models={"minilm": Model("minilm", folder)})
        (error,) = asked(row("", provider="CrossEncoder", key=""), within=within)
        assert isinstance(error, RerankError)
        return error

    def _untrusted(self) -> RerankError:
        server = Provider(tls=Certificates(self._folder).server("untrusted", signed=False))
        try:
            return self._one(url=server.url)
        finally:
            server.close()

    def _limited(self, limit: str) -> RerankError:
        self._provider.reset()
        bound = Credential("prod", "cohere", Secret(KEY), self._provider.url, **{limit: 4 if "doc" in limit else 1})
        limits = replace(settings().limits, counters=str(self._folder / limit))
        within = replace(settings(), credentials={"prod": bound}, limits=limits)
        _, error = asked(*[row("", key="cred:prod")] * 2, within=within)
        assert isinstance(error, RerankError), error
        return error

    @staticmethod
    def _raised(provoke: Callable[[], object]) -> RerankError:
        with pytest.raises(RerankError) as caught:
            provoke()
        return caught.value


def _look_up(name: str) -> Sequence[str]:
    if name == FULL:
        raise OSError(errno.EMFILE, "too many files")
    return no_such_name(name)


def samples() -> dict[str, tuple[str, str]]:
    """Code -> (a message with it, what happens to the row)."""
    provider = Provider()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        provoker = Provoker(provider, patch, Path(folder))
        made = {code: (provoker.text(error), _fate(error)) for code, error in provoker.errors().items()}
    provider.close()
    return made


def _fate(error: RerankError) -> str:
    """A sentence that says what the error means for the query."""
    if isinstance(error, ProtocolError) or error.code == "INTERNAL":
        return "The query fails, and the process is replaced."
    if isinstance(error, CallerError):
        return "The query fails; `on_error` and `fallback` do not apply."
    if isinstance(error, ProviderFailedError):
        again = "The request is retried within the row's time. Then " if error.retryable else ""
        return f"{again}`fallback` and `on_error` apply."
    return "`on_error` applies. `fallback` does not, because the request itself is refused."


if __name__ == "__main__":
    for code, (text, fate) in samples().items():
        print(code, "|", text, "|", fate)
