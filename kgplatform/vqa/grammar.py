"""The closed classes of English words that decide the form of a question, and how a question is cut into words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TOKEN: Final = re.compile(r"[^\W_]+(?:['&-][^\W_]+)*|[,:;]")
YES_OR_NO: Final = re.compile(r"[\s,:(\[-]*\b(?:yes\s*(?:/|or)\s*no|y/n|true\s*(?:/|or)\s*false)\b[\s,:)\]]*")


def word_set(joined_words: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(joined_words.split())


WH: Final = frozenset({"what", "which", "where", "when", "who", "whom", "whose", "why", "how"})
AUXILIARIES: Final = word_set(
    "is are was were am be do does doe did has have had can could will would shall should may might must"
)
PREPOSITIONS: Final = word_set(
    "in on at to from of by for with within into onto under over above below between during after before through "
    "about around approximately besides beside based given according considering assuming compared regarding "
    "concerning looking near behind if as since because although while overall currently apart except without "
    "despite here there"
)
OPENING_WORDS: Final = word_set(
    "please kindly so and but also hello hi hey dear doctor dr ok okay well now then just oh sorry thanks question q "
    "again next finally"
)
REQUEST_VERBS: Final = word_set(
    "describe list name explain identify locate tell give state specify point count measure estimate compare classify "
    "summarize summarise interpret report write draw mark outline characterize characterise mention discuss define "
    "provide say find diagnose analyze analyse read look determine select choose grade rate localize localise label "
    "indicate evaluate assess generate help suggest comment quantify show enumerate elaborate translate"
)
DETECTING_VERBS: Final = frozenset(
    {"find", "identify", "locate", "point", "show", "diagnose", "say", "report", "determine"}
)
ARTICLES: Final = frozenset({"a", "an", "any", "some", "no", "that"})
POLITE_WORDS: Final = frozenset({"please", "kindly", "also", "possibly", "clearly", "perhaps", "maybe", "me", "us"})
PERSON_WORDS: Final = frozenset({"you", "we", "i", "one", "anyone", "anybody", "someone", "somebody", "u"})
SUBJECT_WORDS: Final = word_set(
    "there it the this that these those a an any his her its their he she they you we i one all both either patient "
    "image"
)
TAG_WORDS: Final = frozenset({"right", "correct", "yes", "no", "true", "ok", "okay"})
FINITE_VERBS: Final = AUXILIARIES - {"be"} | word_set(
    "shows contains appears looks seems demonstrates depicts indicates suggests lies extends reveals displays"
)
SIGN_WORDS: Final = word_set("evidence sign signs suspicion suggestion indication features presence")
VIEW_WORDS: Final = word_set(
    "idea ideas thoughts comments suggestions advice recommendations opinion explanation details"
)
SEEING_WORDS: Final = frozenset({"see", "seeing", "notice", "noticed", "spot", "observe", "visible"})
ATTRIBUTE_NOUNS: Final = word_set(
    "location locations site position size sizes type types kind number count amount side laterality modality plane "
    "view projection organ organs diagnosis differential name color colour shape cause reason aetiology etiology age "
    "sex gender severity grade stage extent degree level date findings finding impression conclusion description "
    "treatment management therapy orientation density intensity appearance margin margins border borders structure "
    "structures system pathology region area lobe technique sequence weighting method quality prognosis explanation "
    "details detail summary report idea ideas thoughts comments suggestions advice recommendations opinion volume "
    "diameter width height length ratio"
)
FOREIGN_WORDS: Final = word_set(
    "ist der das ein eine einen sind gibt zeigt wo wie und nicht auf dem den est les une où quelle quel avec dans "
    "y-a-t-il est-ce hay está dónde qué los las una donde que dove c'è è existe há onde een het waar zijn er och är "
    "finns есть"
)


def trimmed_words(words: Sequence[str]) -> list[str]:
    """The words without commas at either end, openers ("Please, …"), and contractions taken apart."""
    trimmed: list[str] = []
    for word in words:
        stem, _, ending = word.partition("'")
        if (stem in WH or stem == "there") and ending in ("s", "re", "d", "ll"):
            trimmed += [stem, "is"]
        elif word.endswith("n't"):
            trimmed += [{"ca": "can", "wo": "will", "ai": "is"}.get(word[:-3], word[:-3]), "not"]
        else:
            trimmed.append({"whats": "what", "wheres": "where", "whos": "who"}.get(word, word))
    while trimmed and (trimmed[0] in OPENING_WORDS or not trimmed[0][0].isalnum()) and len(trimmed) > 1:
        del trimmed[0]
    while trimmed and not trimmed[-1][0].isalnum():
        del trimmed[-1]
    return trimmed
