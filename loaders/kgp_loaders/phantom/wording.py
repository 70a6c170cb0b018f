"""How a synthetic report says things: sentences with the concepts that they name and what they say of each.

A template is a sentence with slots. ``<pleural effusion:P>`` names a concept by one of its names and says that it is
shown (N: ruled out, U: left open, -: not about this image, so dropped); ``<pleural effusion:P=fluid>`` by that name.
``@`` is the finding that the sentence is about, ``place`` where it is, ``~`` what it suggests, ``a``, ``b``, ``c``
findings that are missing. ``{sev}`` and ``{side}`` are words, which may be empty; ``{sev!}`` is not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from kgp_loaders.phantom.ontology import concepts
from kgplatform.schema import Stance

T = TypeVar("T")

_SLOT: Final = re.compile(r"<(?P<key>[^:>]+):(?P<stance>[PNU-])(?:=(?P<name>[^>]*))?>|\{(?P<word>\w+)(?P<needed>!?)\}")
_STANCES: Final = {"P": Stance.POSITIVE, "N": Stance.NEGATIVE, "U": Stance.UNCERTAIN, "-": None}
_MISSPELT: Final = 0.03  # of the names, and of the other long words
_SHARED: Final = 0.15  # of the names of a concept that has such: one that other concepts have, too
_WORD: Final = "moderate"  # where a sentence needs one
_SHORTEST: Final = 8  # letters of the shortest word that is misspelt


class Role(StrEnum):
    """What a part of a sentence is to its finding."""

    FINDING = "finding"
    LOCATION = "place"
    SUGGESTED = "suggested"
    SEVERITY = "severity"
    SIDE = "side"


class LabelledSpan(NamedTuple):
    """A part of a text from `start` to `end`; a word of severity or side is no concept."""

    start: int
    end: int
    role: Role
    concept: str | None = None
    stance: Stance | None = None

    def moved(self, by: int) -> LabelledSpan:
        """The same, further on."""
        return self._replace(start=self.start + by, end=self.end + by)


class LabelledSentence(NamedTuple):
    """A text and what it says, in order."""

    text: str
    spans: tuple[LabelledSpan, ...]


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """One of these."""
    return choices[int(rng.random() * len(choices))]


def say(template: str, slots: Mapping[str, str], rng: random.Random) -> LabelledSentence:
    """Fill in a template. `slots` gives the words of {…}, and the concepts of @, place, ~, a, b and c."""
    sentence_text, mentions, template_position = "", [], 0
    for slot_match in _SLOT.finditer(template):
        sentence_text = _joined(sentence_text, _misspelt_words(template[template_position : slot_match.start()], rng))
        template_position = slot_match.end()
        word = slot_match["word"]
        filling = (
            (slots.get(word) or (_WORD if slot_match["needed"] else "")) if word else _name(slot_match, slots, rng)
        )
        sentence_text = _joined(sentence_text, filling)
        mention_start = len(sentence_text) - len(filling)
        if not filling:
            continue
        if word:
            mentions.append(
                LabelledSpan(mention_start, len(sentence_text), Role.SEVERITY if word == "sev" else Role.SIDE)
            )
        else:
            concept_key = slots.get(slot_match["key"], slot_match["key"])
            mentions.append(
                LabelledSpan(
                    mention_start,
                    len(sentence_text),
                    _role(slot_match["key"], concept_key),
                    concept_key,
                    _STANCES[slot_match["stance"]],
                )
            )
    sentence_text = _joined(sentence_text, _misspelt_words(template[template_position:], rng))
    return LabelledSentence(sentence_text[:1].upper() + sentence_text[1:], tuple(mentions))


def _role(slot: str, concept_key: str) -> Role:
    if slot == "~":
        return Role.SUGGESTED
    return Role.LOCATION if concepts()[concept_key].is_anatomy else Role.FINDING


def _joined(sentence_text: str, addition: str) -> str:
    """The text with more of it: no two spaces, none at the start, and "an" before a vowel."""
    if not sentence_text or sentence_text.endswith(" "):
        addition = addition.lstrip(" ")
    if addition[:1].lower() in tuple("aeiou") and re.search(r"(?:^|[^a-zA-Z])[Aa] $", sentence_text):
        sentence_text = sentence_text[:-1] + "n "
    return sentence_text + addition


def _name(slot_match: re.Match[str], slots: Mapping[str, str], rng: random.Random) -> str:
    if slot_match["name"] is not None:
        return slot_match["name"]
    concept = concepts()[slots.get(slot_match["key"], slot_match["key"])]
    wants_shared = rng.random() < _SHARED
    candidate_names = [
        concept_name for concept_name in concept.names if (concept_name in concept.shared) == wants_shared
    ] or list(concept.names)
    # the first name is the usual one
    concept_name = candidate_names[0] if rng.random() < 0.5 else pick(rng, candidate_names)
    return misspelt(concept_name, rng) if rng.random() < _MISSPELT else concept_name


def _misspelt_words(plain_text: str, rng: random.Random) -> str:
    return re.sub(
        rf"[a-z]{{{_SHORTEST},}}",
        lambda word: misspelt(word[0], rng) if rng.random() < _MISSPELT else word[0],
        plain_text,
    )


def misspelt(name: str, rng: random.Random) -> str:
    """The name with a letter left out, doubled or swapped within its longest word; unchanged if all are short."""
    words = name.split(" ")
    word_index = max(range(len(words)), key=lambda index: len(words[index]))
    word = words[word_index]
    if len(word) < _SHORTEST or not word.isalpha():
        return name
    letter_index = 2 + int(rng.random() * (len(word) - 5))
    error_kind = int(rng.random() * 3)
    if error_kind == 0:
        word = word[:letter_index] + word[letter_index + 1 :]
    elif error_kind == 1:
        word = word[:letter_index] + word[letter_index] + word[letter_index:]
    elif word[letter_index] != word[letter_index + 1]:
        word = word[:letter_index] + word[letter_index + 1] + word[letter_index] + word[letter_index + 2 :]
    return " ".join([*words[:word_index], word, *words[word_index + 1 :]])


PRESENT: Final = (
    "There is a {sev} {side} <@:P>.",
    "{sev} {side} <@:P> is present.",
    "{sev} {side} <@:P> is again seen.",
    "{sev} {side} <@:P>, unchanged from prior.",
    "Redemonstrated {sev} {side} <@:P>.",
    "There has been interval increase in the {sev} {side} <@:P>.",
    "No significant change in the {sev} {side} <@:P>.",
    "The {sev} {side} <@:P> has not changed.",
    "Findings are consistent with a {sev} {side} <@:P>.",
    "New {sev} {side} <@:P> since the study of ___.",
    "Again noted is a {sev} {side} <@:P>.",
    "Compared with ___, the {side} <@:P> has worsened and is now {sev!}.",
    "{sev} {side} <@:P> without <a:N>.",
    "There is a {sev} {side} <@:P>, but no <a:N> or <b:N>.",
    "{side} <@:P>: {sev!}.",
    "A {side} <@:P> persists despite treatment.",
    "The patient has a known {sev} {side} <@:P>, not significantly improved.",
    "Not only is a {side} <@:P> seen, it is {sev!}.",
)
PLACED: Final = (
    "There is a {sev} <@:P> in the <place:P>.",
    "<@:P> in the <place:P> is {sev!}.",
    "<place:P> <@:P> is again noted.",
    "Within the <place:P>, a {sev} <@:P> is identified.",
    "{sev} <@:P> projects over the <place:P>.",
    "Unchanged {sev} <@:P> in the <place:P>.",
    "The <@:P> in the <place:P> has not resolved.",
    "Stable appearance of the <place:P> <@:P>, without new <a:N>.",
)
SUGGESTS: Final = (
    "{sev} <@:P> in the <place:P> may represent <~:U>.",
    "<@:P> in the <place:P> is concerning for <~:U>.",
    "<place:P> <@:P> suspicious for <~:U> in the appropriate clinical setting.",
    "There is a <@:P> in the <place:P>, which could reflect <~:U>.",
    "<@:P> in the <place:P>, possibly <~:U>.",
    "In the <place:P> there is a <@:P>; <~:U> is to be considered.",
    "<@:P> in the <place:P> compatible with <~:P>.",
    "<@:P> in the <place:P>, not typical of <~:N>.",
)
OPEN: Final = (
    "A small {side} <@:U> cannot be excluded.",
    "Possible {side} <@:U>.",
    "Questionable {side} <@:U>.",
    "There may be a {side} <@:U>.",
    "Probable {sev} {side} <@:U>.",
    "{side} <@:U> is difficult to exclude on this portable film.",
    "Findings could reflect a {side} <@:U>.",
    "Equivocal {side} <@:U>, recommend repeat film.",
    "It is unclear whether a {side} <@:U> is present.",
    "A component of <@:U> is not out of the question.",
    "Blunting of the <costophrenic angle:P> may be due to <@:U> or scarring.",
    "Differential considerations include <@:U> and <~:U>.",
    "<@:U> versus <~:U>.",
    "<@:U> would be difficult to see in this setting.",
)
ABSENT: Final = (
    "No <a:N>.",
    "There is no <a:N>.",
    "No evidence of <a:N> or <b:N>.",
    "There is no focal <a:N>, <b:N>, or <c:N>.",
    "No <a:N>, <b:N> or <c:N> is identified.",
    "The <lung:P=lungs> are clear without <a:N>, <b:N>, or <c:N>.",
    "The <lung:P=lungs> are clear of <a:N>.",
    "Negative for <a:N>.",
    "<a:N>: none.",
    "<a:N> is not seen.",
    "Neither <a:N> nor <b:N> is identified.",
    "Previously seen <a:N> has resolved.",
    "Interval resolution of the <a:N>.",
    "The previously described <a:N> is no longer visualized.",
    "Absence of <a:N>.",
    "Free of <a:N> and <b:N>.",
    "No convincing <a:N>.",
    "No <a:N> is seen, and there is no <b:N>.",
    "Nothing to suggest <a:N>.",
    "<a:N> has been excluded.",
    "The <a:N> described on the outside study has no correlate here.",
    "Without <a:N>, without <b:N>.",
)
ELSEWHERE: Final = (
    "History of <a:->.",
    "The patient is being evaluated for <~:->.",
    "Status post treatment for <~:->.",
    "Family history of <~:->.",
    "Recommend follow up to exclude <~:->.",
    "If there is clinical concern for <~:->, CT may be obtained.",
    "Clinical correlation for <~:-> is advised.",
    "Prior history of <a:->, per the chart.",
)
NORMAL_BUT_HEART: Final = (
    "The <mediastinum:P> is unremarkable.",
    "The <pleura:P=pleural surfaces> are normal.",
    "The <trachea:P> is midline.",
    "The <aorta:P> is tortuous.",
    "<spine:P=Thoracic spine> is intact.",
    "The <lung:P=lungs> are well expanded.",
)
NORMAL: Final = (
    *NORMAL_BUT_HEART,
    "The <heart:P> is normal in size.",
    "<heart:P=Cardiac silhouette> is within normal limits.",
    "The <mediastinum:P> and <heart:P> are normal.",
    "<heart:P=Heart> size is top normal.",
)
DEVICES: Final = {
    "endotracheal tube": (
        "The <@:P> terminates 4 cm above the <carina:P>.",
        "<@:P> tip projects over the mid <trachea:P>.",
        "<@:P> in standard position.",
        "The <@:P> has been advanced, now 3 cm above the <carina:P>.",
    ),
    "nasogastric tube": (
        "The <@:P> courses below the <diaphragm:P>, tip in the <stomach:P>.",
        "<@:P> tip is not seen, below the film.",
        "A <@:P> terminates in the <stomach:P>.",
    ),
    "chest tube": (
        "A {side} <@:P> is in place.",
        "The {side} <@:P> remains in unchanged position, no <a:N>.",
        "{side} <@:P> has been placed without <a:N>.",
    ),
    "central venous catheter": (
        "{side} <@:P> terminates in the <superior vena cava:P>.",
        "The tip of the {side} <@:P> lies near the <right atrium:P>.",
        "{side} <@:P> is unchanged.",
    ),
    "pacemaker": ("{side} <@:P> with leads in expected position.", "A {side} <@:P> is noted."),
    "sternal wires": ("The <@:P> are intact.", "<@:P=Median sternotomy wires> are aligned."),
    "port": ("{side} <@:P> ends in the <superior vena cava:P>.", "A {side} <@:P> is accessed."),
}
REMOVED: Final = (
    "The <@:N> has been removed.",
    "Interval removal of the <@:N>.",
    "<@:N> is no longer present.",
)
NOTHING: Final = (
    "No acute cardiopulmonary process.",
    "No acute intrathoracic abnormality.",
    "Normal chest.",
    "No acute findings.",
    "No change from ___.",
)
