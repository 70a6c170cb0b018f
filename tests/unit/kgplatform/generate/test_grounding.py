"""Whether a report supports a triplet, and what it says of its entities."""

from __future__ import annotations

import pytest

from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.generate.grounding import Grounding
from kgplatform.schema import Stance
from kgplatform.triplets.linking import Linker
from kgplatform.triplets.text import Relation, Triplet

LINKER = Linker(
    DictionaryTagger(
        Lexicon(
            [
                Concept("C0032227", "pleural effusion"),
                Concept("C0032227", "pleural fluid"),
                Concept("C0034063", "pulmonary edema"),
                Concept("C0024109", "lung"),
                Concept("C0032326", "pneumothorax"),
            ]
        )
    )
)
REPORT = {
    "findings": "There is a small pleural effusion at the left base. No pneumothorax.\nThe lungs are clear.",
    "impression": "Possible pulmonary edema.",
}
AT, MODIFY = Relation.LOCATED_AT, Relation.MODIFY


def grounding(sections: dict[str, str] = REPORT) -> Grounding:
    return Grounding(sections, LINKER.tagger, LINKER.link)


@pytest.mark.parametrize(
    ("triplet", "supported"),
    [
        (Triplet("small", MODIFY, "pleural effusion"), True),
        (Triplet("pleural effusion", AT, "left base"), True),
        (Triplet("pleural fluid", AT, "left base"), True),  # the same concept in other words
        (Triplet("small", MODIFY, "pleural fluid"), True),
        (Triplet("effusion", AT, "left base"), True),
        (Triplet("pleural effusion", AT, "right base"), False),
        (Triplet("pleural effusion", AT, "lungs"), False),  # both are named, but in two sentences
        (Triplet("pneumothorax", AT, "left base"), False),
        (Triplet("nodule", AT, "lungs"), False),
        (Triplet("eff", AT, "left base"), False),  # half a word is none
        (Triplet("base there", AT, "left"), False),
    ],
)
def test_one_sentence_must_name_both_ends(triplet: Triplet, supported: bool) -> None:
    assert grounding().supports(triplet) is supported


@pytest.mark.parametrize(
    ("entity", "stance"),
    [
        ("pleural effusion", Stance.POSITIVE),
        ("pleural fluid", Stance.POSITIVE),
        ("pneumothorax", Stance.NEGATIVE),
        ("pulmonary edema", Stance.UNCERTAIN),
        ("small", None),
        ("nodule", None),
    ],
)
def test_presence_is_what_the_report_says_first(entity: str, stance: Stance | None) -> None:
    assert grounding().stance(entity) is stance


def test_the_first_word_counts_and_an_empty_report_says_nothing() -> None:
    first_grounding = grounding({"findings": "No pneumothorax. Later a pneumothorax."})
    assert first_grounding.stance("pneumothorax") is Stance.NEGATIVE
    assert not grounding({"findings": ""}).supports(Triplet("a", AT, "b"))
    assert grounding({}).stance("pneumothorax") is None
