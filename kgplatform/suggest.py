"""Names that are close to one the user typed, for the hint of an error: "Did you mean POSITIVE?"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

CLOSE: Final = 0.7  # of difflib's ratio: one wrong letter in four, or two letters exchanged in a word of seven
SPREAD: Final = 0.15  # a name that is less like it than the best by more is not listed
MAX_NAME_LENGTH: Final = 200  # characters of a name that are compared
MAX_NAMES: Final = 100_000  # names that are compared; difflib takes about a second for as many


def nearest(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """The names most like `name`, best first, regardless of their case; at most `limit`, none where nothing is close.

    A name that begins with what was typed is close, too (``figure`` for ``figure3``), and so is the last part of a path
    (``figure3`` for ``explore/figure3``). Similarity is difflib's ratio (Ratcliff and Obershelp).
    """
    typed_name = _folded(name)
    if not typed_name:
        return []
    scored_names: list[tuple[float, int, str]] = []  # less the similarity, so that the best sorts first
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(typed_name)
    for position, candidate in enumerate(islice(dict.fromkeys(names), MAX_NAMES)):
        score = _similarity(matcher, typed_name, _folded(candidate))
        if score >= CLOSE:
            scored_names.append((-score, position, candidate))
    scored_names.sort()
    spread = 0.0 if scored_names and scored_names[0][0] == -1.0 else SPREAD  # the same except for case: no others
    return [candidate for score, _, candidate in scored_names[:limit] if score <= scored_names[0][0] + spread]


def did_you_mean(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """The hint that names the nearest: ``Did you mean POSITIVE or NEGATIVE?``, followed by `otherwise` if given."""
    return f"{suggestion_text(nearest(name, names))} {otherwise}".strip()


def suggestion_text(names: Sequence[str]) -> str:
    """``Did you mean POSITIVE or NEGATIVE?``; empty without names."""
    if not names:
        return ""
    joined_names = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"Did you mean {joined_names}?"


def _folded(name: str) -> str:
    """The name in the form that is compared: in one case, with one sign between words."""
    return " ".join(name[:MAX_NAME_LENGTH].casefold().replace("_", " ").replace("-", " ").split())


def _similarity(matcher: difflib.SequenceMatcher[str], typed_name: str, candidate: str) -> float:
    """How alike the two are, 0 to 1; less than CLOSE means not close, regardless of the number."""
    if candidate == typed_name:
        return 1.0
    best_score = 0.0
    if len(typed_name) >= 3 and (candidate.startswith(typed_name) or candidate.endswith(f"/{typed_name}")):
        best_score = 0.9
    for candidate_part in {candidate, candidate.rpartition("/")[2]}:
        matcher.set_seq1(candidate_part)
        if matcher.real_quick_ratio() >= CLOSE and matcher.quick_ratio() >= CLOSE:
            best_score = max(best_score, matcher.ratio())
    return best_score
