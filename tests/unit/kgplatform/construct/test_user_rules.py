"""A user's table of rules: it adds to the platform's, and tables that do nothing are reported."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgplatform.construct.marked_sentence import parse_marked
from kgplatform.construct.stance import Rules, rules
from kgplatform.construct.user_rules import user_rules
from kgplatform.errors import InputError
from kgplatform.schema import Stance

HEADER = "rule\teffect\tpattern\texample\n"
WATCH = "{watch}\twords\twatch | observation\t\nunder watch\tuncertain before\tunder [close] {watch}\t"


def stances(judge: Rules, marked_text: str) -> list[Stance | None]:
    sentence = parse_marked(marked_text)
    return [decision.stance for decision in judge.stances(sentence.text, sentence.mentions)]


def write_table(folder: Path, rows: str) -> Path:
    path = folder / "own_rules.tsv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def test_a_rule_of_the_user_adds_to_the_platforms(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = user_rules(write_table(tmp_path, WATCH + "The [nodule] is under close watch.\n"))
    assert not caplog.records
    assert stances(own, "A [mass] is under observation.") == [Stance.UNCERTAIN]
    assert stances(own, "No [effusion].") == [Stance.NEGATIVE]
    assert stances(rules(), "A [mass] is under observation.") == [Stance.POSITIVE]


def test_a_rule_of_the_same_name_replaces_the_platforms(tmp_path: Path) -> None:
    own = user_rules(write_table(tmp_path, "no\tuncertain after\tno\tNo [effusion].\n"))
    assert stances(own, "No [effusion].") == [Stance.UNCERTAIN]


def test_a_rule_that_does_not_decide_its_example_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_table(tmp_path, WATCH + "The [nodule] is small.\n")
    with caplog.at_level(logging.WARNING):
        user_rules(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the rule under watch has no effect in its example"
    ]


def test_a_table_without_rules_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_table(tmp_path, "")
    with caplog.at_level(logging.WARNING):
        user_rules(path)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: the table has no rule"]


@pytest.mark.parametrize(
    "rows",
    [
        "a\tno effect\tword\tA [mass].\n",
        "a\tabsent after\t(word\tA [mass].\n",
        "a\tabsent after\t{unknown}\tA [mass].\n",
        "a\tabsent after\n",
    ],
)
def test_a_damaged_row_is_one_clear_line_with_its_number(tmp_path: Path, rows: str) -> None:
    with pytest.raises(InputError) as raised:
        user_rules(write_table(tmp_path, rows))
    assert "own_rules.tsv" in str(raised.value)
    assert "2" in str(raised.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=80), st.integers(0, len(WATCH)))
def test_a_damaged_table_is_read_or_refused(tmp_path: Path, inserted: str, position: int) -> None:
    path = write_table(tmp_path, WATCH[:position] + inserted + WATCH[position:] + "The [nodule] is under watch.\n")
    try:
        own = user_rules(path)
    except InputError:
        return
    assert len(stances(own, "No [effusion].")) == 1
