"""`make generate` renews everything that tests hold to the code."""

from __future__ import annotations

import ast
import re

from conftest import ROOT

TESTS = ROOT / "tests"


def test_generate_runs_every_generator() -> None:
    """The modules that it runs are those whose docstring says that it writes something."""
    recipe = re.search(r"^generate:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert recipe is not None
    ran = {TESTS / f"{name}.py" for name in re.findall(r"\w+/\w+", recipe[1].partition(";")[0])}
    written = set()
    for file in TESTS.rglob("*.py"):
        said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        if re.search(r"`make generate`\s+(re)?writes", said):
            written.add(file)
            assert '__name__ == "__main__"' in file.read_text("utf-8"), file
    assert ran == written and written
