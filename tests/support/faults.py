"""The fault matrix: possible faults, and the tests that show their effects.

`make generate` writes faults/FAULTS.md from the tests' `fault` markers, from names such as `test_f10_...`, and from
ELSEWHERE; with `--check` it only checks that the file is current. A row with neither a test nor a reason is an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS / "faults" / "FAULTS.md"

FAULTS = {
    "F1": "The provider refuses the request (400), with or without a message",
    "F2": "The provider refuses the key (401, 403) and repeats it in its message",
    "F3": "The account has no credit left (402, or a 429 that says so)",
    "F4": "The model or the path does not exist (404)",
    "F5": "The provider is temporarily unable to answer (408, 409, 425)",
    "F6": "The request is too large for the provider (413)",
    "F7": "The provider cannot process the request (422), or its own back end fails (424)",
    "F8": "429 without a time to wait",
    "F9": "429 with a time to wait in seconds or milliseconds",
    "F10": "429 with a date, a time in the past, garbage, or a time longer than the row's deadline",
    "F11": "A successful answer with the headers of an exhausted rate limit",
    "F12": "A temporary server error (500, 502, 503, 504, 529)",
    "F13": "A permanent server error: a total outage",
    "F14": "A model that is still loading, with an estimated time",
    "F15": "SageMaker: a container's failure as 424, a model not ready, an expired token, a wrong clock",
    "F16": "Interim responses (100, 103), and success statuses other than 200",
    "F17": "An answer that arrives one byte at a time, or stalls",
    "F18": "A server that accepts a connection and does not answer, or drops every packet",
    "F19": "A connection that is reset or closed during the answer; broken chunks",
    "F20": "An answer in the smallest pieces",
    "F21": "A 200 with an HTML page, an error, an empty body, or another encoding",
    "F22": "JSON that is truncated, repeated, deep, huge or invalid",
    "F23": "A compressed answer, and a decompression bomb",
    "F24": "An answer of 100 MB, and an endless answer",
    "F25": "An answer that is not HTTP, or HTTP with giant headers",
    "F26": "An ambiguous or invalid response length; bytes after the answer",
    "F27": "Redirects, to the same host and to another",
    "F28": "TLS: certificate expired, self-signed or for another name; old version; reset; client certificate required",
    "F29": "DNS: an unknown name, no answer, no records, a thousand records, a dead address among live ones",
    "F30": "A proxy in the environment; a configured proxy that fails",
    "F31": "Fewer scores than documents",
    "F32": "More scores than documents",
    "F33": "An index that occurs twice",
    "F34": "An index that is out of range, or not an integer",
    "F35": "A score that is not a finite number",
    "F36": "A score as a string",
    "F37": "A score beyond Float32; negative zero",
    "F38": "Unsorted scores, and ties",
    "F39": "An echoed document with a different text",
    "F40": "Unknown members in the answer",
    "F41": "A reused connection that the server has closed, or closes at that moment",
    "F42": "A server that drops every second connection",
    "F43": "A provider that fails and recovers",
    "F44": "No free file descriptor or memory",
    "F45": "The end of input between chunks",
    "F46": "The end of input in a header, in a row, and during a call",
    "F47": "SIGTERM, idle and during a call",
    "F48": "kill -9 of a worker during a chunk",
    "F49": "A worker that is stopped (SIGSTOP) and continues later",
    "F50": "The reader closes the worker's stdout, or does not read it",
    "F51": "An invalid chunk header",
    "F52": "A giant row, and a giant length",
    "F53": "Text that is not valid Unicode; NUL, control characters, emoji",
    "F54": "An empty query",
    "F55": "No documents",
    "F56": "Blank documents",
    "F57": "top_k of zero, all, more than all, the maximum",
    "F58": "others that is not an object, or has unknown keys, wrong types, or any depth or size",
    "F59": "A provider name that is unknown, or in another case",
    "F60": "A key with invalid characters, or no key",
    "F61": "A base_url that is not a plain URL",
    "F62": "A base_url with and without version, prefix and slash",
    "F63": "A call of constants only; EXPLAIN",
    "F64": "More concurrent queries than processes in the pool",
    "F65": "Many rows through one process",
    "F66": "Equal rows in a chunk",
    "F67": "A wall clock that jumps",
    "F68": "KILL QUERY, a client that disconnects, max_execution_time",
    "F69": "The function is reloaded, or its script is replaced, under load",
    "F70": "A configuration that is missing, invalid or unreadable",
    "F71": "stderr that is closed or not read",
    "F72": "A mix of many faults",
    "F73": "One key fails beside another of the same host",
    "F74": "kill -9 of the engine",
    "F75": "A machine without a free processor",
    "F76": "A chat model that writes fences, prose, or numbers that are repeated, missing or foreign",
    "F77": "A chat model that refuses, writes no order, or stops at its limit of tokens",
    "F78": "A document that gives orders to a chat model, or imitates the prompt",
    "F79": "A window that fails in the middle of a list",
}

ELSEWHERE = {
    "engine/test_worker.py::test_the_end_of_input_between_chunks_exits_0": ("F45",),
    "engine/test_worker.py::test_the_end_of_input_inside_a_chunk_is_an_error": ("F46",),
    "engine/test_worker.py::test_the_end_of_input_during_a_call_ends_the_process": ("F46", "F74"),
    "engine/test_worker.py::test_sigterm_ends_the_process_during_a_call": ("F47",),
    "engine/test_worker.py::test_a_closed_stdout_ends_the_process_quietly": ("F50",),
    "engine/test_worker.py::test_an_answer_larger_than_a_pipe_arrives": ("F50",),
    "engine/test_worker.py::test_a_bad_header_ends_the_process": ("F51",),
    "engine/test_framing.py::test_a_bad_header_is_a_protocol_error": ("F51",),
    "engine/test_framing.py::test_a_length_beyond_reason_is_a_protocol_error": ("F52",),
    "test_sql.py::test_documents_come_back_byte_for_byte": ("F53",),
    "engine/test_formats.py::test_any_bytes_survive_decoding": ("F53",),
    "engine/test_worker.py::test_equal_rows_are_one_request": ("F66",),
    "engine/test_worker.py::test_a_mistake_in_the_configuration_is_one_line": ("F70",),
    "engine/test_worker.py::test_a_missing_configuration_file_is_named": ("F70",),
    "config/test_settings.py::test_a_default_file_that_cannot_be_read_is_an_error": ("F70",),
    "engine/test_worker.py::test_a_failure_that_cannot_be_reported_is_not_answered": ("F71",),
}
"""Tests whose names and markers do not say their rows."""

REASONS = {
    "F64": "needs a ClickHouse server: the embedded engine has one session",
    "F68": "needs a ClickHouse server: the embedded engine has no second session that could kill a query",
    "F69": "needs a ClickHouse server: the embedded engine reads its functions once",
}
"""Why a row has no test."""

_BY_NAME = re.compile(r"test_f([0-9]+)_")


class Collected:
    """A pytest plugin that collects the tests of each row."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {fault: [] for fault in FAULTS}
        self.unknown: set[str] = set()
        self._left = set(ELSEWHERE)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            name = f"{item.path.relative_to(TESTS)}::{item.name.partition('[')[0]}"
            faults = {fault for marker in item.iter_markers("fault") for fault in marker.args}
            faults |= {f"F{number}" for number in _BY_NAME.findall(item.name)} | set(ELSEWHERE.get(name, ()))
            self._left.discard(name)
            for fault in faults:
                if fault not in FAULTS:
                    self.unknown.add(f"{fault} of {name}")
                elif name not in self.tests[fault]:
                    self.tests[fault].append(name)

    @property
    def mistakes(self) -> list[str]:
        """Reasons why the page cannot be written."""
        return [
            *(f"{fault} has neither a test nor a reason" for fault in FAULTS if not self._settled(fault)),
            *(f"{fault} has tests, but also a reason why not" for fault in REASONS if self.tests[fault]),
            *(f"ELSEWHERE names {name}, which does not exist" for name in sorted(self._left)),
            *(f"there is no row {what}" for what in sorted(self.unknown)),
        ]

    def _settled(self, fault: str) -> bool:
        return bool(self.tests[fault]) or fault in REASONS


def page(collected: Collected) -> str:
    """The text of FAULTS.md."""
    lines = [
        "# Faults and their tests",
        "",
        "Each row is a possible fault with the tests that show its effect. `make generate` writes this page.",
        "",
        "| row | fault | tests |",
        "|---|---|---|",
    ]
    for fault, words in FAULTS.items():
        by_file: dict[str, list[str]] = {}
        for name in sorted(collected.tests[fault]):
            file, _, test = name.partition("::")
            by_file.setdefault(file, []).append(f"`{test}`")
        tests = "; ".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())
        lines.append(f"| {fault} | {words} | {tests or f'none: {REASONS.get(fault)}'} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    collected = Collected()
    os.chdir(TESTS.parent)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-p", "no:cacheprovider", "tests"], plugins=[collected])
    mistakes = collected.mistakes if code == 0 else [f"the tests cannot be collected: {said.getvalue()[-2000:]}"]
    text = page(collected)
    if sys.argv[1:] == ["--check"]:
        if not mistakes and PAGE.read_text("utf-8") != text:
            mistakes = ["tests/faults/FAULTS.md is not current. Run: make generate"]
    elif not mistakes:
        PAGE.write_text(text, "utf-8")
    for mistake in mistakes:
        print(mistake)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
