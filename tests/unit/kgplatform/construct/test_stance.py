"""The rules of stance: what a sentence says of the finding in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger

FINDINGS = ["effusion", "pneumothorax", "pneumonia", "consolidation", "atelectasis", "cardiomegaly", "nodule", "mass"]
TAGGER = DictionaryTagger(
    Lexicon(
        Concept(f"C{concept_number:07}", finding_name)
        for concept_number, finding_name in enumerate([*FINDINGS, "normal"])
    )
)


def _stance_marks(text: str) -> dict[str, str]:
    """Each finding's stance by its first letters: + shown, - ruled out, ? open, o not about this image."""
    mentions = TAGGER.tag(text)
    marks = {"POSITIVE": "+", "NEGATIVE": "-", "UNCERTAIN": "?", None: "o"}
    decisions = rules().stances(text, mentions)
    return {
        text[mention.start : mention.end].lower(): marks[decision.stance]
        for mention, decision in zip(mentions, decisions, strict=True)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a small effusion.", "effusion +"),
        ("No effusion.", "effusion -"),
        ("No pneumothorax, effusion, or focal consolidation.", "pneumothorax - effusion - consolidation -"),
        ("There is no evidence of pneumonia. Cardiomegaly.", "pneumonia - cardiomegaly +"),
        ("No effusion but cardiomegaly is noted.", "effusion - cardiomegaly +"),
        ("Cardiomegaly without effusion.", "cardiomegaly + effusion -"),
        ("The lungs are clear of consolidation.", "consolidation -"),
        ("Pneumothorax is not seen.", "pneumothorax -"),
        ("The effusion has resolved.", "effusion -"),
        ("Interval resolution of the consolidation.", "consolidation -"),
        ("Effusion: none.", "effusion -"),
        ("Possible pneumonia.", "pneumonia ?"),
        ("Opacity may represent atelectasis or pneumonia.", "atelectasis ? pneumonia ?"),
        ("Pneumonia cannot be excluded.", "pneumonia ?"),
        ("Atelectasis versus consolidation.", "atelectasis ? consolidation ?"),
        ("Difficult to exclude a nodule.", "nodule ?"),
        ("History of pneumonia.", "pneumonia o"),
        ("Evaluate for pneumothorax.", "pneumothorax o"),
        ("No significant change in the effusion.", "effusion +"),
        ("Without significant interval change of atelectasis.", "atelectasis +"),
        ("No effusion seen, cardiomegaly.", "effusion - cardiomegaly +"),
        ("There is no opacity to suggest pneumonia.", "pneumonia -"),
        ("Heart size is normal.", "normal o"),
        ("no\neffusion", "effusion -"),
        ("Effusion: no", "effusion -"),
        ("EFFUSION: NO.", "effusion -"),
        ("Pneumothorax: no evidence.", "pneumothorax -"),
        ("Effusion - no", "effusion -"),
        ("Effusion (no), nodule", "effusion - nodule +"),
        ("Effusion: yes, pneumothorax: no", "effusion + pneumothorax -"),
        ("1. No effusion\n2. Cardiomegaly", "effusion - cardiomegaly +"),
        ("- No effusion\n- Cardiomegaly", "effusion - cardiomegaly +"),
        ("Pneumothorax: No\nEffusion: No\nConsolidation: Yes", "pneumothorax - effusion - consolidation +"),
        ("No effusion, mild cardiomegaly.", "effusion - cardiomegaly +"),
        ("No effusion, small nodule, or mass.", "effusion - nodule - mass -"),
        ("No pneumothorax after thoracentesis, persistent effusion.", "pneumothorax - effusion +"),
        ("Effusion has nearly resolved.", "effusion +"),
        ("Near complete resolution of effusion.", "effusion +"),
        ("Pneumonia ruled out.", "pneumonia -"),
        ("No longer seen is the pneumothorax.", "pneumothorax -"),
        ("Pneumonia is less likely.", "pneumonia ?"),
        ("It is not clear whether there is a nodule.", "nodule ?"),
        ("?nodule", "nodule ?"),
        ("History of pneumonia, now with effusion.", "pneumonia o effusion +"),
    ],
)
def test_what_a_sentence_says(text: str, expected: str) -> None:
    expected_words = expected.split()
    assert _stance_marks(text) == dict(zip(expected_words[::2], expected_words[1::2], strict=True))


def test_the_cue_that_decided_is_told() -> None:
    report_text = "Heart large. No evidence of effusion."
    [decision] = rules().stances(report_text, TAGGER.tag(report_text))
    assert decision.cue is not None
    assert report_text[decision.cue.start : decision.cue.end] == "No evidence of"
    assert decision.cue.rule == "no evidence of"


@pytest.mark.parametrize(
    ("report_text", "cues"),
    [
        ("Effusion: no.", ["no"]),
        ("Effusion none. Heart large.", ["none"]),
        ("Absent effusion.", ["Absent"]),
        ("Effusion or pneumothorax: none.", ["or pneumothorax: none", "none"]),
    ],
)
def test_a_cue_does_not_contain_its_mention(report_text: str, cues: list[str]) -> None:
    decisions = rules().stances(report_text, TAGGER.tag(report_text))
    decided = [decision.cue for decision in decisions if decision.cue is not None]
    assert [report_text[cue.start : cue.end] for cue in decided] == cues


def test_a_cue_of_one_sentence_says_nothing_of_the_next() -> None:
    assert _stance_marks("No effusion. Pneumonia.") == {"effusion": "-", "pneumonia": "+"}


@given(st.lists(st.sampled_from([*FINDINGS, "no", "possible", ".", ",", "but", "not seen", "history of", "there is"])))
def test_each_mention_has_one_decision(words: list[str]) -> None:
    report_text = " ".join(words)
    mentions = TAGGER.tag(report_text)
    decisions = rules().stances(report_text, mentions)
    assert len(decisions) == len(mentions)
    for mention, decision in zip(mentions, decisions, strict=True):
        if decision.cue is not None:
            assert decision.cue.end <= mention.start or mention.end <= decision.cue.start


@given(st.text(max_size=200))
def test_any_text_can_be_judged(text: str) -> None:
    mentions = TAGGER.tag(text)
    assert len(rules().stances(text, mentions)) == len(mentions)
