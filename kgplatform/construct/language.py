"""Whether a report is in English, the only language whose cues and sections construction knows.

Judged by function words: what a report of another language negates with would otherwise be read as affirmed ("Kein
Pneumothorax"). A text of names alone ("Cardiomegaly.") has no function words and counts as English.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")


def _words(joined_words: str) -> frozenset[str]:
    return frozenset(joined_words.split())


_ENGLISH: Final = _words(
    "the of is are was and with in to there no an without has have at on for not or from this that be as by seen been "
    "evidence within"
)
_NEGATIONS: Final = _words(  # any one of them, where no English function word is
    "kein keine keinen keiner nicht ohne pas sans aucun aucune sin hay ningún ninguna sem não nenhum senza nessun "
    "nessuna geen niet zonder ingen inga inget utan ikke brak bez nie nincs"
)
_FOREIGN: Final = _NEGATIONS | _words(  # except words that are also English, or abbreviations
    "der das dem des und ist sind mit bei im auf zum zur eine einer beidseits links rechts "
    "le les du une est sont par dans avec au aux droite gauche et "
    "el los las del con una para derecho izquierdo derecha izquierda ni "
    "gli della dello nel nella di destro sinistro "
    "dos das com uma direito esquerdo "
    "het een van op och av det som vid jest oraz"
)


def is_english(text: str) -> bool:
    """Whether a report's text reads as English."""
    letters = [character for character in text if character.isalpha()]
    if 2 * sum(character < "\u0250" for character in letters) < len(letters):
        return False
    words = _WORD.findall(text.casefold())
    english_count = sum(word in _ENGLISH for word in words)
    foreign_count = sum(word in _FOREIGN for word in words)
    if not english_count:
        has_accents = any(character > "\u007f" for character in letters)
        return not has_accents and foreign_count < 2 and not any(word in _NEGATIONS for word in words)
    return foreign_count < 3 or foreign_count <= english_count
