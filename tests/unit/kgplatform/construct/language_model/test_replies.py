"""A language model's replies: what is read of them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgplatform.construct.language_model.reply import ReplyError, read_reply
from kgplatform.schema import Stance
from tests import quick_retries as retries
from tests.campaigns import rounds
from tests.fake_model import block

pytest.importorskip("openai")
from tests.unit.kgplatform.construct.language_model.language_model_judges import EFFUSION, PNEUMONIA

quick_retries = retries.quick_retries


class TestReply:
    """The strict parser."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (block(("C9900001", "Positive"), ("C9900002", "Negative")),
             [("C9900001", "POSITIVE"), ("C9900002", "NEGATIVE")]),
            ("***start***\n***end***", []),
            ("***START*** (c9900001,positive), (C9900002 , UNCERTAIN)\n\n***End***",
             [("C9900001", "POSITIVE"), ("C9900002", "UNCERTAIN")]),
            ("Sure!\n***start***(C9900001, Positive)(C9900001, Positive)***end*** Bye.", [("C9900001", "POSITIVE")]),
            ("***start***\n(C9900001, Positive)\n(C9900001, Uncertain)\n***end***",
             [("C9900001", "POSITIVE"), ("C9900001", "UNCERTAIN")]),
            ("***start***\n(C9900001, Neutral)\n(C9900009, Positive)\n***end***", []),
            ("***start***\n(C9900001, Positive)", [("C9900001", "POSITIVE")]),
            ("***start***\n(C9900001, Positive)\n(C99000", [("C9900001", "POSITIVE")]),
            ("<think>***start***(C9900001, Negative)***end***</think>***start***(C9900001, Positive)***end***",
             [("C9900001", "POSITIVE")]),
            ("***start***(C9900001, Negative)***end*** No: ***start***(C9900001, Positive)***end***",
             [("C9900001", "POSITIVE")]),
            ("The form is ***start*** ... ***end***.\n***start***(C9900001, Positive)***end***",
             [("C9900001", "POSITIVE")]),
            ("***start***\n* (C9900001, Positive)\n2. (C9900002, Negative)\n***end***",
             [("C9900001", "POSITIVE"), ("C9900002", "NEGATIVE")]),
            ("***start***\n```text\n(C9900001, **Positive**)\n```\n***end***", [("C9900001", "POSITIVE")]),
            ("***start***\n(C9900001, left effusion, Positive)\n***end***", [("C9900001", "POSITIVE")]),
            ("(C9900001, Positive)\n(C9900002, Negative)", [("C9900001", "POSITIVE"), ("C9900002", "NEGATIVE")]),
            ("***start***\n(none)\n***end***", []),
            ("**start**:\n(C9900001, Positive)\n**end**", [("C9900001", "POSITIVE")]),
            (r"\*\*\*start\*\*\*(C9900001, Positive)\*\*\*end\*\*\*", [("C9900001", "POSITIVE")]),
            ("***start***\n[('C9900001', 'Positive'), ('C9900002', 'Negative')]\n***end***",
             [("C9900001", "POSITIVE"), ("C9900002", "NEGATIVE")]),
            ('```json\n[["C9900001", "Positive"]]\n```', [("C9900001", "POSITIVE")]),
            ('[{"cui": "C9900001", "name": "effusion", "stance": "Positive"}]', [("C9900001", "POSITIVE")]),
            ("```\n(C9900001, Negative)\n```\nNo:\n```\n(C9900001, Positive)\n```", [("C9900001", "POSITIVE")]),
        ],
    )  # fmt: skip
    def test_what_is_understood(self, text: str, expected: list[tuple[str, str]]) -> None:
        assert [(cui, stance.value) for cui, stance in read_reply(text, {EFFUSION, PNEUMONIA}).edges] == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "I think (C9900001, Positive)",
            "<think>***start***(C9900001, Positive)***end***",
            "<think>Let me see",
            "***start*** none, but (C9900001, Positive) ***end***",
            "***start*** The image shows an effusion ***end***",
            "***start*** (C9900001, Present) ***end***",
            "***start*** (effusion, Positive) ***end***",
            "***start*** (C9900001, Positive) as the report says ***end***",
            "***start*** (C9900001 Positive) ***end***",
            "x" * 300_000,
        ],
    )
    def test_what_is_refused_without_a_word_of_it(self, text: str) -> None:
        with pytest.raises(ReplyError) as raised:
            read_reply(text, {EFFUSION})
        assert "effusion" not in str(raised.value)
        assert "Present" not in str(raised.value)

    def test_what_was_left_out_is_counted(self) -> None:
        parsed = read_reply(block((EFFUSION, "Neutral"), ("C1111111", "Positive")), {EFFUSION})
        assert (parsed.neutral, parsed.foreign, parsed.ended) == (1, 1, True)
        assert not read_reply("***start***", set()).ended

    @pytest.mark.slow
    @pytest.mark.campaign
    @given(
        st.lists(
            st.sampled_from(
                ["***start***", "***end***", "(", ")", EFFUSION, "C9900009", ",", " ", "Positive", "\n", "*"]
            ),
            max_size=25,
        ).map("".join)
    )
    @example_settings(max_examples=rounds(500, 5_000), suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_text_breaks_it_or_gets_more_than_candidates(self, text: str) -> None:
        try:
            parsed = read_reply(text, {EFFUSION})
        except ReplyError:
            return
        assert {cui for cui, _ in parsed.edges} <= {EFFUSION}
        assert all(isinstance(stance, Stance) for _, stance in parsed.edges)

    @pytest.mark.slow
    @pytest.mark.campaign
    @given(st.binary(max_size=400))
    @example_settings(max_examples=rounds(500, 5_000), suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_bytes_break_it(self, data: bytes) -> None:
        with suppress(ReplyError):
            read_reply("***start***" + data.decode("latin-1"), {EFFUSION})
