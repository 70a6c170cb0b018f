"""Which questions can be answered by yes or no: a small grammar of English questions.

A yes/no question puts its auxiliary before its subject ("Is there a …?", "Does the image show …?"), or is an indirect
one ("Can you tell me whether …?"), a statement with a question mark or a tag ("The heart is enlarged, right?"), or an
elliptical one ("Any effusion?", "Evidence of pneumonia?"). Not so: an interrogative word at its usual place, after a
preposition or where the answer would stand ("The mass is located in what region?"), a request ("Describe …"), the name
of an attribute ("Location of the mass?"), a choice ("Is it left or right?"), a statement. Where the form is not clear,
the question is refused: a wrong "no" is worse than a refusal. The closed classes of words are listed here; nouns are
not, but for those that name attributes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from kgplatform import radiograph
from kgplatform.errors import InputError
from kgplatform.vqa.choices import is_choice
from kgplatform.vqa.questions import LONGEST, readable

HINT: Final = 'Ask in English, for example: "Is there a pleural effusion?"'


class Form(Enum):
    """The form of a question; the value is what an error says of it, nothing of a yes/no question."""

    YES_NO = ""
    OPEN = "this is an open question"
    CHOICE = "this question offers a choice"
    SEVERAL = "these are several questions"
    STATEMENT = "this is a statement"
    UNCLEAR = "this is not recognised as a yes/no question"
    NO_WORDS = "the question has no words"
    NOT_ENGLISH = "this is not recognised as English"


HINTS: Final = {
    Form.CHOICE: 'Ask about each possibility alone: "Is it on the left?"',
    Form.SEVERAL: "Ask them one at a time.",
    Form.STATEMENT: 'Ask it as a question: "Is …?"',
}

_TOKEN: Final = re.compile(r"[^\W_]+(?:['&-][^\W_]+)*|[,:;]")
_SENTENCE: Final = re.compile(r"[^.?!\n]+(?:[.](?=\S)[^.?!\n]+)*[.?!\n]*")
_YES_OR_NO: Final = re.compile(r"[\s,:(\[-]*\b(?:yes\s*(?:/|or)\s*no|y/n|true\s*(?:/|or)\s*false)\b[\s,:)\]]*")
_SLASHED: Final = re.compile(r"\b(is|are|was|were|do|does|has|have)\s*/\s*(?:is|are|was|were|do|does|has|have)\b")


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


WH: Final = frozenset({"what", "which", "where", "when", "who", "whom", "whose", "why", "how"})
AUXILIARIES: Final = _words(
    "is are was were am be do does doe did has have had can could will would shall should may might must"
)
_PREPOSITIONS: Final = _words(
    "in on at to from of by for with within into onto under over above below between during after before through "
    "about around approximately besides beside based given according considering assuming compared regarding "
    "concerning looking near behind if as since because although while overall currently apart except without "
    "despite here there"
)
_OPENERS: Final = _words(
    "please kindly so and but also hello hi hey dear doctor dr ok okay well now then just oh sorry thanks question q "
    "again next finally"
)
_REQUESTS: Final = _words(
    "describe list name explain identify locate tell give state specify point count measure estimate compare classify "
    "summarize summarise interpret report write draw mark outline characterize characterise mention discuss define "
    "provide say find diagnose analyze analyse read look determine select choose grade rate localize localise label "
    "indicate evaluate assess generate help suggest comment quantify show enumerate elaborate translate"
)
_DETECTS: Final = frozenset({"find", "identify", "locate", "point", "show", "diagnose", "say", "report", "determine"})
_ARTICLES: Final = frozenset({"a", "an", "any", "some", "no", "that"})
_POLITE: Final = frozenset({"please", "kindly", "also", "possibly", "clearly", "perhaps", "maybe", "me", "us"})
_PERSONS: Final = frozenset({"you", "we", "i", "one", "anyone", "anybody", "someone", "somebody", "u"})
_SUBJECTS: Final = _words(
    "there it the this that these those a an any his her its their he she they you we i one all both either patient "
    "image"
)
_TAGS: Final = frozenset({"right", "correct", "yes", "no", "true", "ok", "okay"})
_FINITE: Final = AUXILIARIES - {"be"} | _words(
    "shows contains appears looks seems demonstrates depicts indicates suggests lies extends reveals displays"
)
_SIGNS: Final = _words("evidence sign signs suspicion suggestion indication features presence")
_VIEWS: Final = _words("idea ideas thoughts comments suggestions advice recommendations opinion explanation details")
_SEES: Final = frozenset({"see", "seeing", "notice", "noticed", "spot", "observe", "visible"})
_ATTRIBUTES: Final = _words(
    "location locations site position size sizes type types kind number count amount side laterality modality plane "
    "view projection organ organs diagnosis differential name color colour shape cause reason aetiology etiology age "
    "sex gender severity grade stage extent degree level date findings finding impression conclusion description "
    "treatment management therapy orientation density intensity appearance margin margins border borders structure "
    "structures system pathology region area lobe technique sequence weighting method quality prognosis explanation "
    "details detail summary report idea ideas thoughts comments suggestions advice recommendations opinion volume "
    "diameter width height length ratio"
)
_FOREIGN: Final = _words(
    "ist der das ein eine einen sind gibt zeigt wo wie und nicht auf dem den est les une où quelle quel avec dans "
    "y-a-t-il est-ce hay está dónde qué los las una donde que dove c'è è existe há onde een het waar zijn er och är "
    "finns есть"
)


def checked(image: Path | None, text: str) -> str:
    """The question in one line. Raises `InputError` unless it is one yes/no question, and where image and question have
    changed places.
    """
    text = " ".join(readable(text).split())
    if image is not None and _changed_places(image, text):
        raise InputError("the question comes first, and the image second", 'Give the image first: kgp ask IMAGE "…?"')
    if len(text) > LONGEST:
        raise InputError(f"the question has more than {LONGEST:,} characters", "Ask in one sentence.")
    form = form_of(text)
    if form is not Form.YES_NO:
        raise InputError(f"{form.value}; only yes/no questions are answered", HINTS.get(form, HINT))
    return text


def _changed_places(image: Path, text: str) -> bool:
    """Whether the question names a file, and the image none."""
    try:
        is_file = Path(text).suffix.lower() in radiograph.SUFFIXES or (bool(text) and Path(text).exists())
        return is_file and not image.exists() and form_of(str(image)) is not Form.NO_WORDS
    except (OSError, ValueError):  # a name that can be none: too long, a NUL
        return False


def form_of(text: str) -> Form:
    """The form of a question of one or more sentences: of an open one where any of them is open, and so on."""
    lowered = _SLASHED.sub(r"\1", " ".join(text.replace("\u2019", "'").casefold().split()))
    lowered = re.sub(r"\b(vs|e\.g|i\.e|dr|approx|[a-z])\.(?=\s)", r"\1", lowered)
    if not any(character.isalpha() for character in lowered):
        return Form.NO_WORDS
    if _not_english(lowered):
        return Form.NOT_ENGLISH
    asked: dict[tuple[str, ...], Form] = {}
    for sentence in _SENTENCE.findall(lowered):
        plain = _YES_OR_NO.sub(" , ", sentence)
        words = _trimmed(_TOKEN.findall(plain))
        tagged = plain != sentence
        if not words or (len(words) == 1 and words[0] in _TAGS):
            if (tagged or words) and asked:  # "The heart is enlarged. Right?"
                last = next(reversed(asked))
                asked[last] = Form.YES_NO if asked[last] in (Form.STATEMENT, Form.UNCLEAR) else asked[last]
            continue
        asked[tuple(words)] = _sentence(words, marked=tagged or "?" in sentence)
    forms = list(asked.values())
    for form in (Form.OPEN, Form.CHOICE):
        if form in forms:
            return form
    if forms.count(Form.YES_NO) > 1:
        return Form.SEVERAL
    order = (Form.YES_NO, Form.STATEMENT)
    return next((form for form in order if form in forms), Form.UNCLEAR)


def _not_english(text: str) -> bool:
    """Another script, or function words of another language."""
    letters = [character for character in text if character.isalpha()]
    latin = sum(character < "\u0250" for character in letters)
    words = _TOKEN.findall(text)
    foreign = sum(word in _FOREIGN for word in words)
    return 2 * latin < len(letters) or "\u00bf" in text or foreign > 1 or (bool(words) and words[0] in _FOREIGN)


def _trimmed(words: Sequence[str]) -> list[str]:
    """The words without commas at either end, openers ("Please, …"), and contractions taken apart."""
    found: list[str] = []
    for word in words:
        stem, _, end = word.partition("'")
        if (stem in WH or stem == "there") and end in ("s", "re", "d", "ll"):
            found += [stem, "is"]
        elif word.endswith("n't"):
            found += [{"ca": "can", "wo": "will", "ai": "is"}.get(word[:-3], word[:-3]), "not"]
        else:
            found.append({"whats": "what", "wheres": "where", "whos": "who"}.get(word, word))
    while found and (found[0] in _OPENERS or not found[0][0].isalnum()) and len(found) > 1:
        del found[0]
    while found and not found[-1][0].isalnum():
        del found[-1]
    return found


def _sentence(words: list[str], *, marked: bool) -> Form:
    """The form of one sentence; `marked`: with a question mark, or "yes or no"."""
    first = words[0]
    if first in AUXILIARIES and first != "be":
        return _inverted(words)
    if first in WH:
        return _after_clause(words, Form.OPEN)
    if first in _REQUESTS:
        return _reported(words)
    if first == "whether" or (first in {"i", "we"} and {"whether", "if"} & {*words}):
        return Form.OPEN if _asks_more(words) else Form.YES_NO
    if first in _PREPOSITIONS and (found := _fronted(words)) is not None:
        return found
    if WH & {*words}:
        return Form.OPEN
    return _without_inversion(words, marked=marked)


def _after_clause(words: list[str], otherwise: Form) -> Form:
    """Of "When the patient lies, is there …?" the main clause's form."""
    if words[0] in ("when", "where") and "," in words and words[1] not in AUXILIARIES:
        rest = words[words.index(",") + 1 :]
        if rest and rest[0] in AUXILIARIES:
            return _inverted(rest)
    return otherwise


def _fronted(words: list[str]) -> Form | None:
    """The form of a question that begins with an adverbial: "In this image, is there …?", "In which lobe is …?"."""
    for place in range(1, len(words)):
        word, before = words[place], words[place - 1]
        follows = words[place + 1] if place + 1 < len(words) else ""
        if word in WH and word not in ("which", "who"):
            return Form.OPEN
        if word == "which" and (place == 1 or before in _PREPOSITIONS or before == ","):
            return Form.OPEN
        if word in AUXILIARIES and (before == "," or follows in _SUBJECTS) and before not in _SUBJECTS:
            return _inverted(words[place:])
    return None


def _reported(words: Sequence[str]) -> Form:
    """Of a request: a yes/no question where it asks whether something is so."""
    asks = "whether" in words or ("if" in words and words[words.index("if") - 1] in (*_REQUESTS, *_POLITE, "know"))
    return Form.YES_NO if asks and not _asks_more(words) else Form.OPEN


def _inverted(words: list[str]) -> Form:
    """The form of a question whose auxiliary comes first."""
    if len(words) < 2:
        return Form.UNCLEAR
    if words[1] in _PERSONS or (words[1] == "not" and words[2:3] and words[2] in _PERSONS):
        rest = [word for word in words[2:] if word not in _POLITE and word not in _PERSONS]
        verb, following = (rest[0], rest[1:]) if rest else ("", [])
        if verb in _REQUESTS and "as" not in following:  # but "Would you describe it as cystic?"
            if {"whether", "if"} & {*following[:2]}:
                return _reported(words)
            if not (verb in _DETECTS and following[:1] and following[0] in _ARTICLES):
                return Form.OPEN
        elif WH & {*following[:1]} or (following[:1] and following[0] in _PREPOSITIONS and WH & {*following[1:2]}):
            return Form.OPEN  # "Do you know where …?"
    if _asks_more(words):
        return Form.OPEN
    return Form.CHOICE if is_choice(words) else Form.YES_NO


def _asks_more(words: Sequence[str]) -> bool:
    """Whether a yes/no question goes on to ask for more ("… and where?"), or hides an open one ("Is it where?").

    A relative clause does not: "a finding which zorevane can treat", "with which it is contraindicated".
    """
    for place, word in enumerate(words):
        before, after = words[place - 1] if place else "", words[place + 1 :]
        if word in _REQUESTS and before == "and" and word not in ("mark", "point", "grade", "report", "show"):
            return True
        if word not in WH or not place:
            continue
        at = place - 1 if before in _PREPOSITIONS else place
        joint = words[at - 1] if at else ""
        joined = joint in ("and", "or", "but", "so", "then", "if") or (joint == "," and word not in ("which", "who"))
        closed = not _FINITE & {*after}
        if joined or not after or word == "how" or (closed and word in ("what", "which") and at < place):
            return True
        if word == "what" and closed:
            return True
    return False


def _without_inversion(words: list[str], *, marked: bool) -> Form:
    """The form of a statement or an ellipsis."""
    first, rest = words[0], words[1:]
    if first in ("any", "anything", "anyone") or first in _SIGNS or (first in _SEES and {"any", "a", "an"} & {*rest}):
        return Form.OPEN if _VIEWS & {*rest[:1]} else Form.YES_NO
    tag = len(words) > 2 and words[-2] == "," and words[-1] in _TAGS
    tag = tag or ("," in words and words[len(words) - 1 - words[::-1].index(",") + 1] in AUXILIARIES)  # ", is it?"
    if words[-1] in _FINITE and len(words) > 1:
        return Form.OPEN  # "The modality is …?"
    if _FINITE & {*rest}:
        return Form.YES_NO if marked or tag else Form.STATEMENT
    if not (marked or tag):
        return Form.UNCLEAR
    if is_choice(words):
        return Form.CHOICE
    return Form.OPEN if _head(words) in _ATTRIBUTES else Form.YES_NO


def _head(words: Sequence[str]) -> str:
    """The noun that a phrase is about: the last word before its first preposition or participle."""
    for place, word in enumerate(words):
        if place and (word in _PREPOSITIONS or word in ("used", "shown", "seen", "depicted", "imaged", ",")):
            return words[place - 1]
    return words[-1]
