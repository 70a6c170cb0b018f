"""A report with synthetic concepts, and judges of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kgplatform.construct.language_model.cache import Cache
from kgplatform.construct.language_model.judge import LLMJudge
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.report import Report
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from tests.fake_model import FakeModelServer

pytest.importorskip("openai")


EFFUSION, PNEUMONIA, JOINT = "C9900001", "C9900002", "C9900003"
TAGGER = DictionaryTagger(
    Lexicon([Concept(EFFUSION, "effusion"), Concept(PNEUMONIA, "pneumonia"), Concept(JOINT, "joint effusion"),
             Concept(JOINT, "effusion")])
)  # fmt: skip
CANARY = "zebrafinch"


def a_report(text: str = "There is an effusion. No pneumonia.", number: int = 1) -> Report:
    return Report(str(number), f"I{number}", {"findings": f"{text} {CANARY} {number}."})


@contextmanager
def judging(server: FakeModelServer, tmp_path: Path, **settings: Any) -> Iterator[LLMJudge]:
    llm_settings = LLMSettings(**{"model": "tiny", "url": server.url, "retries": 2, "timeout": 5.0, **settings})
    judge = LLMJudge(llm_settings, rules(), Cache(tmp_path / "answers.sqlite"))
    try:
        yield judge
    finally:
        judge.close()
