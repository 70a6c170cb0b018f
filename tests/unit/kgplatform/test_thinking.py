"""What a language model says after its thinking."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.thinking import without_thinking
from kgplatform.triplets.text import Relation, Triplet, parse_triplets


@pytest.mark.parametrize(
    "reply",
    [
        "answer",
        "<think>draft</think>answer",
        "<THINKING>draft</THINKING>answer",
        "<reasoning>draft</reasoning><answer>answer</answer>",
        "<seed:think>draft</seed:think>answer",
        "[THINK]draft[/THINK]answer",
        "◁think▷draft◁/think▷answer",
        "<|begin_of_thought|>draft<|end_of_thought|>answer",
        "<|START_THINKING|>draft<|END_THINKING|>answer",
        "<unused94>thought draft<unused95>answer",
        "draft</think>answer",
        "<think>one</think><think>two</think>answer",
        "<think>the tag <think> opens it</think>answer",
        "<|channel|>analysis<|message|>draft<|end|><|start|>assistant<|channel|>final<|message|>answer<|return|>",
        "answer<think>and more",
        "< think >draft</ think >answer",
        "{think}draft{/think}answer",
        "(thinking)draft(/thinking)answer",
        "＜think＞draft＜/think＞answer",
        "〈think〉draft〈/think〉answer",
        "«think»draft«/think»answer",
        "<｜think｜>draft<｜/think｜>answer",
        "<|begin▁of▁thinking|>draft<|end▁of▁thinking|>answer",
        "<think>draft<end_think>answer",
        "&lt;think&gt;draft&lt;/think&gt;answer",
        "<internal_monologue>draft</internal_monologue>answer",
        "<reasoning_content>draft</reasoning_content>answer",
        "<think:opensource>draft</think:opensource>answer",
        "<longcat_think>draft</longcat_think>answer",
        "<|channel>thought\ndraft<channel|>answer",
        "<|channel|>analysis draft <|channel|>final answer",
        "analysisdraftassistantfinalanswer",
        "analysis: draft\nassistantfinal: answer",
        '<details type="reasoning" done="true">draft</details>answer',
        "<details><summary>Thoughts</summary>draft</details>answer",
        "answer<details><summary>Thoughts</summary>draft</details>",
        "```thinking\ndraft\n```\nanswer",
        "Thinking...\ndraft\n...done thinking.\n\nanswer",
        "Here is my thought process:\ndraft\nHere is my response:\nanswer",
        "Here are my reasoning steps:\ndraft\n[BEGIN FINAL RESPONSE]answer[END FINAL RESPONSE]",
        "**Reasoning:** draft\n\n**Final Answer:** answer",
        "### Thinking\ndraft\n### Answer\nanswer",
        "<think>one<think>two</think>three</think>answer",
    ],
)
def test_the_answer_is_what_follows_the_thinking(reply: str) -> None:
    assert without_thinking(reply).strip() == "answer"


@pytest.mark.parametrize(
    "reply",
    [
        "<think>cut off",
        "<|channel|>analysis<|message|>cut off",
        "<think>one</think><think>cut off",
        "[THINK] cut",
        "{think} cut",
        "<｜think｜>cut",
        "<details type='reasoning'>cut",
        "```thinking\ncut",
        "Thinking...\ncut",
        "Here is my thought process:\ncut",
        "<|channel|>analysis cut",
        "<|channel>thought cut",
    ],
)
def test_a_reply_that_was_cut_off_while_thinking_has_no_answer(reply: str) -> None:
    assert not without_thinking(reply).strip()


@given(st.text(max_size=200))
def test_a_reply_without_marks_is_unchanged(text: str) -> None:
    plain_text = text.translate({ord(character): None for character in "<>[]{}()«»〈〉＜＞◁▷"})
    assert without_thinking(plain_text) == plain_text


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("<think>edema, located_at, lung\nno</think>\nsmall, modify, nodule", ["small"]),
        ("edema, located_at, lung</think>small, modify, nodule", ["small"]),
        ("<think>The form is: a, modify, b\nThe image is clear.</think>\nnone", []),
        ("Triplets: small, modify, nodule", ["small"]),
        ("**Answer:** small, modify, nodule; large, modify, mass", ["small", "large"]),
    ],
)
def test_triplets_are_read_from_the_answer(reply: str, expected: list[str]) -> None:
    assert [triplet.head for triplet in parse_triplets(reply).triplets] == expected


def test_an_entity_keeps_its_colon_and_words() -> None:
    assert parse_triplets("result of biopsy, modify, mass").triplets == (
        Triplet("result of biopsy", Relation.MODIFY, "mass"),
    )


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "< ", "[a_", "<a_a_a_think ", "```thinking\n", "```\n", "<details><summary>",
              "analysis", "<|channel|>", "&lt;", "Answer:\n", "Reasoning:", "assistant final"]
)  # fmt: skip
def test_hostile_replies_take_time_in_proportion_to_their_length(piece: str) -> None:
    def seconds(length: int) -> float:
        reply = piece * (length // len(piece))
        start_time = time.process_time()
        without_thinking(reply)
        return time.process_time() - start_time

    assert min(seconds(80_000), seconds(80_001)) < 8 * min(seconds(20_000), seconds(20_001)) + 0.05
