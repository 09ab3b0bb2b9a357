"""`make generate` renews everything that tests hold to the code."""

from __future__ import annotations

import ast
import re

from conftest import ROOT
from trees import syntax_tree

TESTS = ROOT / "tests"


def test_generate_runs_every_generator() -> None:
    """The modules that it runs are those that can be run and say in their docstring that it runs them."""
    recipe = re.search(r"^generate:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert recipe is not None
    names = recipe[1].partition(" in ")[2].partition(";")[0].replace("\\", "").split()
    ran = {TESTS / f"{name}.py" for name in names}
    generators = set()
    for file in TESTS.rglob("*.py"):
        text = file.read_text("utf-8")
        if "`make generate`" in (ast.get_docstring(syntax_tree(text)) or "") and re.search(
            r"^if __name__ ==", text, re.M
        ):
            generators.add(file)
    assert ran == generators and generators
