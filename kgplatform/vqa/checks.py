"""What `kgplatform.audit` looks for in a data set's questions: what the test asks that training was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kgplatform.export.checks import EXAMPLES, Found
from kgplatform.vqa.questions import Question, QuestionSet


class AuditedQuestions(NamedTuple):
    """Questions in their parts, and by image a hash of what it shows (`kgplatform.vqa.questions.pictures`)."""

    dealt: QuestionSet
    shown: Mapping[str, str]


def seen_pictures(audited: AuditedQuestions) -> Found:
    """Test questions about a picture that training asks about, too, be it under another name."""
    return _in_training(audited, lambda one: audited.shown[one.image])


def seen_questions(audited: AuditedQuestions) -> Found:
    """Test questions that training asks in the same words about the same picture."""
    return _in_training(audited, lambda one: f"{audited.shown[one.image]} {one.wording}")


def contradictions(audited: AuditedQuestions) -> Found:
    """Questions in the same words about the same picture with another answer."""
    answers: dict[str, set[bool | None]] = {}
    those: dict[str, list[Question]] = {}
    for one in audited.dealt.questions:
        key = f"{audited.shown[one.image]} {one.wording}"
        answers.setdefault(key, set()).add(one.yes)
        those.setdefault(key, []).append(one)
    found = [" = ".join(one.id for one in those[key]) for key, said in sorted(answers.items()) if len(said) > 1]
    return Found(len(found), len(those), found[:EXAMPLES])


def shared_pictures(audited: AuditedQuestions) -> Found:
    """Pictures that the data set has under several names."""
    names: dict[str, list[str]] = {}
    for image, picture in sorted(audited.shown.items()):
        names.setdefault(picture, []).append(image)
    found = [" = ".join(those) for those in names.values() if len(those) > 1]
    return Found(len(found), len(names), found[:EXAMPLES])


def _in_training(audited: AuditedQuestions, key: Callable[[Question], str]) -> Found:
    train, test = audited.dealt.parts["train"], audited.dealt.parts["test"]
    known = {key(one) for one in train}
    found = [one.id for one in test if key(one) in known]
    return Found(len(found), len(test), found[:EXAMPLES], f"protocol {audited.dealt.protocol}")
