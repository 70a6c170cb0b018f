"""Which semantic types may be concepts of an image (MedMKG appendix F.2, Table 5)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

EXCLUDED: Final = {
    "T022": "Body System",
    "T077": "Conceptual Entity",
    "T078": "Idea or Concept",
    "T079": "Temporal Concept",
    "T080": "Qualitative Concept",
    "T081": "Quantitative Concept",
    "T083": "Geographic Area",
    "T089": "Regulation or Law",
    "T090": "Occupation or Discipline",
    "T091": "Biomedical Occupation or Discipline",
    "T092": "Organization",
    "T093": "Health Care Related Organization",
    "T094": "Professional Society",
    "T095": "Self-help or Relief Organization",
    "T096": "Group",
    "T097": "Professional or Occupational Group",
    "T098": "Population Group",
    "T099": "Family Group",
    "T100": "Age Group",
    "T101": "Patient or Disabled Group",
    "T102": "Group Attribute",
    "T169": "Functional Concept",
    "T170": "Intellectual Product",
    "T171": "Language",
    "T185": "Classification",
}

# Parts and places of the body: a report that names one says that it is there.
_ANATOMY: Final = {
    "T017": "Anatomical Structure",
    "T023": "Body Part, Organ, or Organ Component",
    "T024": "Tissue",
    "T029": "Body Location or Region",
    "T030": "Body Space or Junction",
}
ANATOMY: Final = frozenset((*_ANATOMY, *_ANATOMY.values()))


@lru_cache(maxsize=10_000)
def are_anatomy(types: tuple[str, ...]) -> bool:
    """Whether a concept of these types is a part of the body, and nothing else."""
    return bool(types) and all(concept_type in ANATOMY for concept_type in types)


# The suffixes of SNOMED CT names that state a type, for concepts whose semantic types are not known.
_TAGS: Final = {
    "qualifier value": "Qualitative Concept",
    "attribute": "Conceptual Entity",
    "modifier": "Qualitative Concept",
}
_TAG: Final = re.compile(r"\(([^()]+)\)\s*$")

# What a concept is, by the tag at the end of its name or by its semantic types. Concepts of one name but different
# kinds have different meanings.
_KINDS_BY_TAG: Final = {
    **dict.fromkeys(
        ("disorder", "finding", "diagnosis", "morphologic abnormality", "situation", "physical finding", "symptom"),
        "disorder",
    ),
    "body structure": "anatomy",
    **dict.fromkeys(("physical object", "device", "substance"), "object"),
    **dict.fromkeys(("procedure", "treatment", "regime/therapy"), "procedure"),
    **dict.fromkeys(("qualifier value", "modifier", "attribute", "observable entity", "function"), "qualifier"),
}
_KINDS_BY_TYPE: Final = {
    **dict.fromkeys(("T033", "T046", "T047", "T048", "T184", "T190", "T191", "T037", "T019", "T020"), "disorder"),
    **dict.fromkeys(
        (
            "Finding", "Pathologic Function", "Disease or Syndrome", "Mental or Behavioral Dysfunction",
            "Sign or Symptom", "Anatomical Abnormality", "Neoplastic Process", "Injury or Poisoning",
            "Congenital Abnormality", "Acquired Abnormality",
        ),
        "disorder",
    ),
    **dict.fromkeys(("T074", "T203", "T075", "Medical Device", "Drug Delivery Device", "Research Device"), "object"),
    **dict.fromkeys(
        (
            "T058", "T059", "T060", "T061", "Health Care Activity", "Laboratory Procedure", "Diagnostic Procedure",
            "Therapeutic or Preventive Procedure",
        ),
        "procedure",
    ),
}  # fmt: skip


def types_by_name(name: str) -> tuple[str, ...]:
    """The semantic type that the end of a name states, "(qualifier value)" for example; none for most names."""
    tag_match = _TAG.search(name)
    return (_TAGS[tag_match[1]],) if tag_match is not None and tag_match[1] in _TAGS else ()


def kind_of(types: Sequence[str], name: str = "") -> str:
    """Whether a concept is anatomy, a disorder, an object, a procedure or a qualifier; empty where it is not known."""
    for concept_type in types:
        if concept_type in ANATOMY:
            return "anatomy"
        if concept_type in EXCLUDED or concept_type in EXCLUDED.values():
            return "qualifier"
        if kind := _KINDS_BY_TYPE.get(concept_type):
            return kind
    tag_match = _TAG.search(name)
    return _KINDS_BY_TAG.get(tag_match[1].casefold(), "") if tag_match is not None else ""


class Allowed:
    """A test of a concept's types, by TUI or by name: refused when it has types and all of them are excluded.

    The paper does not say what becomes of a concept with several types; one that is allowed is enough here. A concept
    of unknown type is allowed.
    """

    def __init__(self, excluded: Collection[str] = (*EXCLUDED, *EXCLUDED.values())) -> None:
        self.excluded = frozenset(excluded_name.casefold() for excluded_name in excluded)

    def __call__(self, types: Sequence[str]) -> bool:
        """Whether a concept of these types may be a candidate."""
        return not types or any(type_name.casefold() not in self.excluded for type_name in types)
