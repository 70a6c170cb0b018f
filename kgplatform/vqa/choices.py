"""Which questions offer a choice ("Is it left or right?"), and which ask about either ("Any mass or nodule?")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_COPULAS: Final = frozenset({"is", "are", "was", "were"})
_ARTICLES: Final = frozenset({"the", "a", "an", "his", "her", "its", "their", "either"})
_EITHER: Final = frozenset({"any", "anything", "evidence", "sign", "signs", "history", "suspicion", "features"})
_SECOND: Final = frozenset(  # what follows "or" in a choice
    {"the", "just", "only", "merely", "non", "no", "without", "instead", "rather"}
    | {"is", "are", "was", "were", "does", "do", "did", "has"}
)
_WEIGHS: Final = frozenset({"suspect", "favor", "favour", "prefer", "think", "consider", "expect", "believe"})
_SIDES: Final = (
    frozenset({"left", "right", "midline", "bilateral"}),
    frozenset({"upper", "lower", "middle"}),
    frozenset({"anterior", "posterior"}),
    frozenset({"superior", "inferior"}),
    frozenset({"medial", "lateral"}),
    frozenset({"acute", "chronic"}),
    frozenset({"benign", "malignant"}),
    frozenset({"solid", "cystic"}),
    frozenset({"male", "female"}),
    frozenset({"ap", "pa"}),
    frozenset({"ct", "mri"}),
    frozenset({"axial", "coronal", "sagittal"}),
    frozenset({"increased", "decreased"}),
    frozenset({"more", "less"}),
    frozenset({"large", "small"}),
)
_PREFIXES: Final = ("ab", "un", "in", "im", "ir", "non", "a", "hypo", "hyper", "homo", "hetero", "uni", "bi")


def is_choice(words: Sequence[str]) -> bool:
    """Whether the words of a question (in lower case) offer a choice."""
    for position, word in enumerate(words):
        if word in ("vs", "versus"):
            return True
        if word == "or" and 0 < position < len(words) - 1 and _offers_two(words, position):
            return True
    return False


def _offers_two(words: Sequence[str], position: int) -> bool:
    """Whether the "or" at this place joins things to choose from."""
    words_before, words_after = words[:position], words[position + 1 :]
    if words_after[0] == "not" or (words_after[0] == "no" and len(words_after) == 1):
        return False  # "… or not?"
    if _EITHER & {*words_before}:
        return False
    if words_after[0] in _SECOND:
        return True
    if "there" in words_before[:3]:
        return _opposite(words_before[-1], words_after[0])
    if words_before[0] in _COPULAS:
        return not _within_subject(words_before, words_after)
    return (
        bool(_WEIGHS & {*words_before})
        or _opposite(words_before[-1], words_after[0])
        or _sides(words_before, words_after)
    )


def _within_subject(words_before: Sequence[str], words_after: Sequence[str]) -> bool:
    """Of "Is the heart or mediastinum enlarged?": the two are what is asked about, and what is asked follows."""
    return (
        len(words_before) == 3
        and words_before[1] in _ARTICLES
        and len(words_after) > 1
        and not _sides(words_before, words_after)
    )


def _sides(words_before: Sequence[str], words_after: Sequence[str]) -> bool:
    return any(words_after[0] in pair and pair & {*words_before} for pair in _SIDES)


def _opposite(first_word: str, second_word: str) -> bool:
    """Whether two words differ by a prefix that turns the meaning: normal and abnormal, hypodense and hyperdense."""
    roots = [
        {word, *(word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix))}
        for word in (first_word, second_word)
    ]
    return first_word != second_word and any(len(root) > 3 for root in roots[0] & roots[1])
