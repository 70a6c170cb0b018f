"""Words and sentences of a report, each with its place in the text, and the form in which words are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

# A word (with its apostrophe and hyphens apart), a number, or one other character.
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?|\d+(?:[.,]\d+)*|[^\w\s]|_+")
_NOT_AN_END: Final = frozenset(
    {
        "dr", "mr", "mrs", "ms", "vs", "v", "cf", "eg", "ie", "e.g", "i.e", "approx", "fig", "pt", "neg", "poss",
        "prob", "susp",
    }
)  # fmt: skip

# Plurals that the rules get wrong, and British spellings.
_IRREGULAR: Final = {
    "apices": "apex", "atelectases": "atelectasis", "bronchi": "bronchus", "bullae": "bulla", "calculi": "calculus",
    "diagnoses": "diagnosis", "diverticula": "diverticulum", "emboli": "embolus", "fibroses": "fibrosis",
    "foci": "focus", "hemothoraces": "hemothorax", "hila": "hilum", "humeri": "humerus",
    "hydropneumothoraces": "hydropneumothorax", "kyphoses": "kyphosis", "metastases": "metastasis",
    "pleurae": "pleura", "pneumothoraces": "pneumothorax", "prostheses": "prosthesis", "scolioses": "scoliosis",
    "septa": "septum", "stenoses": "stenosis", "thoraces": "thorax", "thrombi": "thrombus", "vertebrae": "vertebra",
    "anaemia": "anemia", "calibre": "caliber", "centre": "center", "fibre": "fiber", "haemothorax": "hemothorax",
    "oedema": "edema", "oesophageal": "esophageal", "oesophagus": "esophagus", "tumour": "tumor", "tumours": "tumor",
}  # fmt: skip


RECENT: Final = 64  # texts whose words and sentences are remembered: several steps ask for those of one report
# Reports repeat sentences ("No pneumothorax."), so steps remember what they made of a sentence. In memory alone.
SENTENCES: Final = 50_000
MAX_REMEMBERED: Final = 1_000  # characters of a sentence that is remembered


class Token(NamedTuple):
    """A word, number or mark: lower case, and its position in the text."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=RECENT)
def tokenize_text(text: str) -> tuple[Token, ...]:
    """The words, numbers and marks of a text, in order."""
    return tuple([Token(match.group().lower(), *match.span()) for match in _TOKEN.finditer(text)])


@lru_cache(maxsize=RECENT)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Where each sentence begins and ends: at a full stop that ends one, at a blank line, and before a list's item.

    A full stop without a space ends a sentence, too, when a capital follows (reports are often typed so).
    """
    return tuple(_sentences(text))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    sentence_start = 0
    for sentence_end in _ends(text):
        if text[sentence_start:sentence_end].strip():
            yield sentence_start, sentence_end
        sentence_start = sentence_end
    if text[sentence_start:].strip():
        yield sentence_start, len(text)


# What may end a sentence: . ! ? (with what closes it), an empty line, and a line's end before an item of a list, or
# before a line that begins with what it is about ("Effusion: no").
_END: Final = re.compile(
    r"[.!?]+[\"')\]]*(?=\s|$|[A-Z])|\n[ \t]*\n"
    r"|\n(?=[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t])|\n(?=[ \t]*[A-Z][A-Za-z /]{2,40}:)"
)
_QUESTION_FIRST: Final = re.compile(r"(?:^|[.!?:;,(\n])[ \t]*\?$")  # "? pneumonia"
_LAST_WORD: Final = re.compile(r"(?:^|[\s(])([A-Za-z.]+|\d+)$")


def _ends(text: str) -> Iterator[int]:
    for end_match in _END.finditer(text):
        if end_match[0][0] == ".":
            last_word = _LAST_WORD.search(text, max(0, end_match.start() - 12), end_match.start())
            if last_word is not None and (last_word[1].lower() in _NOT_AN_END or _is_list_number(text, last_word)):
                continue
            if last_word is not None and len(last_word[1]) == 1 and last_word[1].isalpha() and last_word[1].isupper():
                continue  # an initial
        if end_match[0][0] == "?" and _QUESTION_FIRST.search(text, 0, end_match.start() + 1) is not None:
            continue
        yield end_match.end()


def _is_list_number(text: str, last_word: re.Match[str]) -> bool:
    """Whether "2." begins an item of a list: it stands at the start, or after the end of a sentence."""
    preceding_text = text[: last_word.start(1)].rstrip(" \t")
    return last_word[1].isdigit() and len(last_word[1]) < 3 and (not preceding_text or preceding_text[-1] in ".!?\n:;")


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word without accents and without the ending of its plural."""
    if not word.isascii():
        word = "".join(
            character for character in unicodedata.normalize("NFKD", word) if not unicodedata.combining(character)
        )
    word = word.removesuffix("'s").removesuffix("’s")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is", "ps")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]
