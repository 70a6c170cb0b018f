"""What a text states of its findings in addition to their names ("large left effusion"), and what agrees with it.

The words are those of construction (`kgplatform.construct.attribute_table`), so that a text means what the same words
of a report mean. Sizes in millimetres are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from kgplatform import queries
from kgplatform.construct.attribute_table import Attribute, attribute_rows, phrases_by_word, words_within_names
from kgplatform.construct.attribute_values import BILATERAL, LEFT, RIGHT, Values, merge_values
from kgplatform.construct.attributes import Described, describe
from kgplatform.construct.lexicon import SKIPPED, Concept, Lexicon, key, plain_names
from kgplatform.construct.open_lexicon import own_words
from kgplatform.construct.semantic_types import Allowed, kind_of, types_by_name
from kgplatform.construct.senses import with_senses
from kgplatform.construct.tagger import DictionaryTagger, Mention
from kgplatform.construct.text import tokenize_text
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.schema import Stance
from kgplatform.suggest import did_you_mean

COMPARED: Final = (Attribute.SEVERITY, Attribute.SIDE, Attribute.LOCATION, Attribute.CHANGE, Attribute.ACUITY)
MAX_FINDINGS: Final = 10  # of a text
MAX_WORDS: Final = 200  # of a text, that are looked up

# Other values that a stated one agrees with: who looks for a large effusion is content with a severe one.
_AGREEING: Final[Mapping[tuple[Attribute, str], tuple[str, ...]]] = {
    (Attribute.SIDE, LEFT): (BILATERAL,),
    (Attribute.SIDE, RIGHT): (BILATERAL,),
    (Attribute.SEVERITY, "severe"): ("large",),
    (Attribute.SEVERITY, "large"): ("severe",),
    (Attribute.SEVERITY, "small"): ("mild", "minimal"),
    (Attribute.SEVERITY, "mild"): ("small", "minimal"),
    (Attribute.ACUITY, "chronic"): ("old",),
    (Attribute.ACUITY, "old"): ("chronic",),
    (Attribute.LOCATION, "lung"): (
        "upper lobe", "middle lobe", "lower lobe", "lingula", "mid lung", "base", "apex", "hilum", "perihilar",
        "retrocardiac", "costophrenic angle", "fissure",
    ),
    (Attribute.LOCATION, "spine"): ("thoracic spine", "lumbar spine", "cervical spine", "thoracolumbar spine"),
}  # fmt: skip
# Locations that may be the same place: neither of two of them rules out the other.
_NEIGHBOURS: Final = (
    frozenset(["lower lobe", "base", "retrocardiac", "costophrenic angle", "pleura", "diaphragm"]),
    frozenset(["upper lobe", "apex", "pleura", "mid lung"]),
    frozenset(["middle lobe", "lingula", "mid lung", "perihilar", "hilum", "fissure", "mediastinum"]),
    frozenset(["thoracic spine", "thoracolumbar spine"]),
    frozenset(["lumbar spine", "thoracolumbar spine"]),
)
_WITHOUT_MEANING: Final = SKIPPED | {"on", "and", "or", "with", "side", "sided"}
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True)
class DescribedFinding:
    """A finding that is looked for: its concepts of one meaning, the stance, and by attribute the values that agree
    with the text, the text's own first. `required` are values that the edge must have exactly.
    """

    name: str
    cuis: tuple[str, ...]
    stance: Stance
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """In words: "pleural effusion (C0032227): side left or bilateral, severity large or severe"."""
        stated = [f"{attribute} {' or '.join(values)}" for attribute, values in self.attributes.items()]
        exact = [f"{attribute} {value} (required)" for attribute, value in self.required.items()]
        stance = "" if self.stance is Stance.POSITIVE else f" {self.stance.value}"
        described = f": {', '.join(exact + stated)}" if exact or stated else ""
        return f"{self.name} ({', '.join(self.cuis)}){stance}{described}"


class AttributeAgreement(NamedTuple):
    """Attributes of an edge that agree with what is looked for, and those that contradict it."""

    agreeing: tuple[str, ...]
    contradicting: tuple[str, ...]


class TextFinding(NamedTuple):
    """A finding that a text names: the CUIs of each concept that it may mean, the best first, and its attributes."""

    meanings: tuple[tuple[str, ...], ...]
    attributes: Mapping[str, tuple[str, ...]]


def compare_attributes(finding: DescribedFinding, stated: Mapping[str, Any]) -> AttributeAgreement:
    """What an edge with these attributes has in common with a finding. What it does not state is neither."""
    agreeing, contradicting = [], []
    for attribute, values in finding.attributes.items():
        stated_values = _as_list(stated.get(attribute))
        if any(value in values for value in stated_values):
            agreeing.append(attribute)
        elif stated_values and not (attribute == Attribute.LOCATION and _may_be_same(values, stated_values)):
            contradicting.append(attribute)
    return AttributeAgreement(tuple(agreeing), tuple(contradicting))


def has_required(finding: DescribedFinding, stated: Mapping[str, Any]) -> bool:
    """Whether an edge with these attributes has all values that are required; a bilateral finding is left and right."""
    return all(
        value in (stated_values := _as_list(stated.get(attribute)))
        or (attribute == Attribute.SIDE and value in (LEFT, RIGHT) and BILATERAL in stated_values)
        for attribute, value in finding.required.items()
    )


def _as_list(value: Any) -> Sequence[str]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _may_be_same(values: Iterable[str], stated_values: Sequence[str]) -> bool:
    """Whether a place may be one of others: near one of them, or the whole that one is a part of."""
    return any(
        any({value, stated} <= neighbours for neighbours in _NEIGHBOURS)
        or value in _AGREEING.get((Attribute.LOCATION, stated), ())
        for value in values
        for stated in stated_values
    )


def required_values(**values: str | None) -> dict[str, str]:
    """The attributes that an edge must have exactly. Raises `UsageError` for a value that no edge can have."""
    required = {attribute: value.strip().lower() for attribute, value in values.items() if value is not None}
    for attribute, value in required.items():
        allowed = values_of(Attribute(attribute))
        if value not in allowed:
            printable = "".join(character if character.isprintable() else "�" for character in value[:80])
            hint = did_you_mean(value[:80], allowed, f"Values: {', '.join(allowed)}.")
            raise UsageError(f"no finding has the {attribute} {printable}", hint)
    return required


@cache
def values_of(attribute: Attribute) -> tuple[str, ...]:
    """The values that an attribute can have, as in the table."""
    return tuple(dict.fromkeys(row.value for row in attribute_rows() if row.attribute is attribute))


def has_attribute_words(text: str) -> bool:
    """Whether a text may state an attribute: cheap, and never false where it does."""
    return any(token.text in phrases_by_word() for token in tokenize_text(text))


def attributes_alone(text: str) -> dict[str, tuple[str, ...]]:
    """The attributes that a text of nothing else states: "large, on the left"."""
    words = [token.text for token in tokenize_text(text) if token.text[0].isalnum()]
    if not all(word in _attribute_words() or word in _WITHOUT_MEANING for word in words):
        return {}
    preceding, following = f"{text} finding", f"finding {text}"
    described = [
        *describe(preceding, [Described(len(text) + 1, len(preceding), True, frozenset())]),
        *describe(following, [Described(0, len("finding"), True, frozenset())]),
    ]
    merged: dict[Attribute, list[Any]] = {}
    for values in described:
        for attribute, stated in values.items():
            merged.setdefault(attribute, []).extend(stated)
    return _agreeing_values(merged)


def text_findings(graph: Graph, text: str) -> list[TextFinding]:
    """The findings that a text names, with their attributes; anatomy is none."""
    words = [word for word in _WORD.findall(text) if not word.startswith("_")][:MAX_WORDS]
    if not words:
        return []
    fulltext_query = " ".join(f'"{word}"' for word in words)  # quoted, no word is an operator
    graph_rows = graph.read(queries.get("search/concepts_of_text"), words=fulltext_query)
    concepts = [
        Concept(row["cui"], row["name"], tuple(row["types"]) or types_by_name(row["name"]))
        for row in graph_rows
        if row["name"]
    ]
    return find_in_text(text, concepts)


def find_in_text(text: str, concepts: Iterable[Concept]) -> list[TextFinding]:
    """The findings among these concepts and the platform's own terms that a text names."""
    named = (concept for concept in concepts if not _is_attribute(concept.name))
    lexicon = Lexicon(chain(named, _own_terms_in(text)))
    mentions = with_senses(text, DictionaryTagger(lexicon, Allowed()).tag(text))
    members: dict[str, list[str]] = {}
    for alias, cui in lexicon.aliases.items():
        members.setdefault(cui, []).append(alias)
    values = describe(text, [_described(mention) for mention in mentions])
    findings = []
    for mention, mention_values in zip(mentions, values, strict=True):
        if _is_finding(mention):
            cuis = dict.fromkeys(candidate.cui for candidate in mention.candidates)
            meanings = tuple((cui, *sorted(members.get(cui, ()))) for cui in cuis)
            findings.append(TextFinding(meanings, _agreeing_values(mention_values, text[mention.start : mention.end])))
    return findings[:MAX_FINDINGS]


def _described(mention: Mention) -> Described:
    concept = mention.candidates[0]
    name_words = frozenset(concept.name.casefold().split())
    return Described(mention.start, mention.end, _is_finding(mention), name_words, concept.organ)


def _is_finding(mention: Mention) -> bool:
    best = mention.candidates[0]
    return kind_of(best.types, best.name) != "anatomy"


def _agreeing_values(values: Values, finding_text: str = "") -> dict[str, tuple[str, ...]]:
    """By attribute the values that agree with these; locations within the finding's own name do not count."""
    stated = merge_values([values], Stance.POSITIVE)
    inside = _locations_in(finding_text) if Attribute.LOCATION in stated else ()
    values_by_attribute: dict[str, tuple[str, ...]] = {}
    for attribute in COMPARED:
        own_values = [value for value in _as_list(stated.get(attribute)) if value not in inside]
        agreeing = chain.from_iterable(_AGREEING.get((attribute, value), ()) for value in own_values)
        if own_values:
            values_by_attribute[attribute.value] = tuple(dict.fromkeys(chain(own_values, agreeing)))
    return values_by_attribute


def _locations_in(finding_text: str) -> Sequence[str]:
    described = Described(0, len(finding_text), True, frozenset())
    values = describe(finding_text, [described]) if finding_text.strip() else [{}]
    return values[0].get(Attribute.LOCATION, ()) if values else ()


@cache
def _attribute_words() -> frozenset[str]:
    return frozenset(word for phrases in phrases_by_word().values() for phrase in phrases for word in phrase.words)


@cache
def _own_terms() -> tuple[tuple[tuple[frozenset[str], ...], Concept], ...]:
    """The platform's own terms, with the words of their names."""
    return tuple(
        (tuple(frozenset(key(name).split()) for name in plain_names(concept.name)), concept) for concept in own_words()
    )


def _own_terms_in(text: str) -> Iterator[Concept]:
    """The own terms that the text has all words of a name of, under all their names: a lexicon of all terms takes a
    quarter of a second.
    """
    text_words = frozenset(key(text).split())
    cuis = {concept.cui for names, concept in _own_terms() if any(words and words <= text_words for words in names)}
    return (concept for _, concept in _own_terms() if concept.cui in cuis)


def _is_attribute(name: str) -> bool:
    """Whether a concept's name is a mere word of degree or side ("Left", "Moderate"), which describes findings."""
    return all(token.text in words_within_names() for token in tokenize_text(name))
