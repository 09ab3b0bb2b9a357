"""Parsed Python, in tests that look at code."""

from __future__ import annotations

import ast
import gc


def syntax_tree(text: str) -> ast.Module:
    """The tree of a module.

    CPython 3.11 raises SystemError where garbage is collected while it makes a tree, and a finalizer formats a
    traceback: that makes trees too.
    """
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()
