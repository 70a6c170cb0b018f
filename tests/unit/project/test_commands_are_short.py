"""A command parses, calls the library and prints; more than a screen of it belongs in the library."""

from __future__ import annotations

import ast

from tests import ROOT

MAX_LINES = 45


def functions() -> dict[str, int]:
    """The lines of every function of the command line, signature included, by its place."""
    return {
        f"{path.name}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in sorted((ROOT / "kgplatform" / "cli").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }


def test_no_command_is_longer_than_a_screen() -> None:
    line_counts = functions()
    assert "construct.py:run_command" in line_counts
    assert [name for name, line_count in line_counts.items() if line_count > MAX_LINES] == []
