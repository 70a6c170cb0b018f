"""Which yes/no questions are negated."""

from __future__ import annotations

from typing import Final

from kgplatform.vqa.grammar import TOKEN, YES_OR_NO, trimmed_words, word_set

_NEGATIONS: Final = word_set(
    "no not without absent absence lack lacks lacking none neither nor denies denied exclude excludes excluded zero "
    "unlikely unremarkable ruled-out gone disappeared resolved"
)
_NEGATING_PHRASES: Final = ("free of", "clear of", "negative for", "ruled out", "rule out", "fail to")


def is_negated(text: str) -> bool:
    """Whether a yes/no question asks for the absence of something ("Is there no effusion?", "Is effusion absent?").

    Models answer such a question as if it were not negated, so that "no" would mean either. A tag (", isn't it?") and
    an alternative ("or not", "with or without contrast") do not negate the question.
    """
    lowered_text = YES_OR_NO.sub(" , ", text.replace("\u2019", "'").casefold())
    words = trimmed_words(TOKEN.findall(lowered_text))
    for position, word in enumerate(words):
        if word not in _NEGATIONS or (position and words[position - 1] == "or"):
            continue
        is_tag = position > 1 and words[position - 2] == "," and word == "not"
        is_answer = word == "no" and (position == len(words) - 1 or words[position + 1] in (",", "or"))
        if not is_tag and not is_answer:
            return True
    return any(phrase in " ".join(words) for phrase in _NEGATING_PHRASES)
