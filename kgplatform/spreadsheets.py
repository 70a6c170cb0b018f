"""Text cells of CSV and TSV files that people open in spreadsheets, which run a text that begins with = as a formula.

Every such file that the platform writes has its texts through `escaped`, and every table that it reads has them
through `unescaped`, so that a file comes back as it was. ``=1+1`` is written ``'=1+1``, and ``'=1+1`` is written
``''=1+1``; all other texts are written unchanged, those with another apostrophe, too. Parquet, JSON and the id maps
of an export (``entities.tsv``), which are for programs, are not escaped.
"""

from __future__ import annotations

import re
from typing import Any, Final

# What a spreadsheet reads as a formula, after any white space, and however often it is already escaped.
_FORMULA: Final = re.compile(r"'*(\s*[=+\-@＝＋－＠]|[\t\r\n])")


def escaped(value: Any) -> Any:
    """The value of a cell; a text that would be a formula has an apostrophe before it, which spreadsheets hide."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unescaped(text: str) -> str:
    """The text that `escaped` made this of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text
