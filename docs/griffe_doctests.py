"""An extension of griffe for the API reference: examples in docstrings (``>>>``) become code blocks.

Without it Markdown would take ``>>>`` for a quotation. mkdocs.yml names this file.
"""

from __future__ import annotations

from typing import Any

import griffe

PROMPT = ">>>"


def with_code_blocks(text: str) -> str:
    """The docstring with a fence around each example: from its first ``>>>`` to the next empty line."""
    lines: list[str] = []
    in_example = False
    for line in text.splitlines():
        if not in_example and line.startswith(PROMPT):
            lines += ["", "```pycon"]
            in_example = True
        elif in_example and not line.strip():
            lines.append("```")
            in_example = False
        lines.append(line)
    return "\n".join([*lines, "```"] if in_example else lines)


class Doctests(griffe.Extension):
    """Changes the docstring of each object that griffe has read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put fences around the examples of this object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = with_code_blocks(obj.docstring.value)
