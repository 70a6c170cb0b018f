"""Agreement of judges, on comparisons made by hand, and comparisons by rules and scripted models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kgplatform.construct.comparison import Agreement, stance_label
from kgplatform.construct.language_model.client import Refused
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.construct.source import NO_SECTIONS, NO_TEXT, NOT_ENGLISH
from kgplatform.errors import InputError, NotFoundError, UsageError
from kgplatform.schema import Stance
from tests.fake_model import FakeModelReply, block, candidates, positive, prompt_report, serving
from tests.unit.kgplatform.construct.compared_reports import (
    NEGATIVE,
    NOTHING,
    THREE_REPORTS,
    UNCERTAIN,
    comparison,
)

pytest.importorskip("openai")
from kgplatform.construct.compare import compare_judges


def test_a_decision_in_words() -> None:
    assert stance_label(UNCERTAIN | NEGATIVE) == "NEGATIVE and UNCERTAIN"
    assert (stance_label(NOTHING), stance_label(None)) == ("not mentioned", "no answer")


def test_agreement_counts_what_judges_decide_of_reports_that_both_answered() -> None:
    rules_first, rules_second, first_second = comparison(*THREE_REPORTS).agreements
    assert rules_first == Agreement(
        first=0,
        second=1,
        reports=2,
        candidates=5,  # the second report has no answer
        mentioned=4,  # not the lung
        equal=2,
        # observed 3/5; expected (POSITIVE 1·2 + UNCERTAIN 2·1 + not mentioned 1·1) / 25 = 1/5
        kappa=0.5,
        differences={("NEGATIVE", "POSITIVE"): 1, ("UNCERTAIN", "NEGATIVE and UNCERTAIN"): 1},
    )
    assert rules_first.share == 0.5
    assert (rules_second.reports, rules_second.candidates, rules_second.mentioned, rules_second.equal) == (3, 7, 6, 4)
    assert rules_second.differences == {("UNCERTAIN", "not mentioned"): 1, ("not mentioned", "POSITIVE"): 1}
    assert first_second.reports == 2
    for agreement in (rules_first, rules_second, first_second):
        assert sum(agreement.differences.values()) == agreement.mentioned - agreement.equal


def test_agreement_without_answers_is_undefined() -> None:
    unanswered = comparison(THREE_REPORTS[1]).agreements[0]
    assert (unanswered.reports, unanswered.share, unanswered.kappa) == (0, None, None)


def test_a_comparison_counts_concepts_stances_and_reports_without_answer() -> None:
    compared = comparison(*THREE_REPORTS)
    assert (compared.concepts, compared.disputed) == (6, 3)
    assert [compared.unanswered(judge_index) for judge_index in range(3)] == [0, 1, 0]
    assert compared.stance_counts(1) == {Stance.POSITIVE: 2, Stance.NEGATIVE: 1, Stance.UNCERTAIN: 2}
    document = json.loads(json.dumps(compared.as_json()))
    assert [len(report["concepts"]) for report in document["decisions"]] == [3, 2, 1]
    assert document["decisions"][1]["concepts"][1]["stances"] == [[], None, ["POSITIVE"]]
    assert document["agreement"][0]["differences"][0] == {"decisions": ["NEGATIVE", "POSITIVE"], "count": 1}


TEXTS = (
    "FINDINGS: There is no pleural effusion. IMPRESSION: Possible pneumonia.",
    "HISTORY: Cough.",
    "",
    "FINDINGS: Kein Pneumothorax. Kein Erguss.",
    "FINDINGS: Cardiomegaly. No pneumothorax.",
    "FINDINGS: There is a left pneumothorax.",
)


@pytest.fixture
def compared_settings(tmp_path: Path) -> ConstructionSettings:
    """Six reports of which three can be compared, and a row that is no report."""
    report_rows = [json.dumps({"id": f"r{number}", "text": text}) for number, text in enumerate(TEXTS, 1)]
    (tmp_path / "reports.jsonl").write_text("\n".join([*report_rows, '{"text": "no id"}']), encoding="utf-8")
    llm = {"cache": str(tmp_path / "answers.sqlite"), "retries": 0, "timeout": 5}
    return ConstructionSettings("reports", tmp_path / "reports.jsonl", graph_names=False, llm=llm)


def negative(messages: list[dict[str, str]], before: int) -> FakeModelReply:
    return FakeModelReply(block(*((cui, "Negative") for cui in dict.fromkeys(candidates(messages)))))


def no_left(messages: list[dict[str, str]], before: int) -> FakeModelReply:
    """Refuses the report of the left pneumothorax."""
    return FakeModelReply(status=400) if "left" in str(prompt_report(messages)) else negative(messages, before)


def test_rules_and_models_judge_the_same_reports(compared_settings: ConstructionSettings) -> None:
    with serving(positive) as first_server, serving(no_left) as second_server:
        models = [f"first@{first_server.url}", f"second@{second_server.url}"]
        compared = compare_judges(compared_settings, models)
        assert (len(first_server.requests), len(second_server.requests)) == (3, 3)
        again = compare_judges(compared_settings, models)
        assert (len(first_server.requests), len(second_server.requests)) == (3, 4), "the unanswered one is asked again"
    assert [judge.name for judge in compared.judges] == ["rules", "first", "second"]
    assert compared.judges[1].endpoint == first_server.url.split("/")[2]
    assert [compared_report.report.study for compared_report in compared.reports] == ["r1", "r5", "r6"]
    assert compared.left_out == {NO_SECTIONS: 1, NO_TEXT: 1, NOT_ENGLISH: 1}
    assert (len(compared.rejects), compared.has_all) == (1, True)
    assert compared.reports[2].has_answer == (True, True, False)
    usage = compared.judges[2].usage
    assert usage is not None and usage.reasons == {"HTTP 400": 1}
    labels = {
        concept.name.casefold(): [stance_label(decision) for decision in concept.decisions]
        for concept in compared.reports[0].concepts
    }
    assert labels["pleural effusion"] == ["NEGATIVE", "POSITIVE", "NEGATIVE"]
    assert labels["pneumonia"] == ["UNCERTAIN", "POSITIVE", "NEGATIVE"]
    assert [stance_label(decision) for decision in compared.reports[2].concepts[0].decisions] == [
        "POSITIVE",
        "POSITIVE",
        "no answer",
    ]
    assert again.agreements == compared.agreements


def test_reports_of_other_regions_are_read_with_their_lexicon_as_in_a_construction(
    compared_settings: ConstructionSettings,
) -> None:
    rows = [{"id": exam, "exam": exam, "text": "FINDINGS: There is a mass."} for exam in ("CXR", "CT HEAD")]
    compared_settings.path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with serving(positive) as server:
        compared = compare_judges(compared_settings, [f"model@{server.url}"])
    assert [compared_report.concepts[0].name for compared_report in compared.reports] == ["Lung mass", "Mass"]


def test_only_the_first_reports_are_read(compared_settings: ConstructionSettings) -> None:
    with serving() as server:
        compared = compare_judges(compared_settings, [f"m@{server.url}"], limit=2)
    assert [compared_report.report.study for compared_report in compared.reports] == ["r1", "r5"]
    assert not compared.has_all


def test_a_model_without_any_answer_is_an_error_that_names_it(compared_settings: ConstructionSettings) -> None:
    with (
        serving(positive) as good,
        serving(lambda messages, before: FakeModelReply("Normal.")) as silent,
        pytest.raises(Refused, match=r"^silent: .*has answered none of 3 reports \(3: "),
    ):
        compare_judges(compared_settings, [f"good@{good.url}", f"silent@{silent.url}"])
    with (
        serving(lambda messages, before: FakeModelReply(status=404)) as absent,
        pytest.raises(Refused, match=r"^absent: .*no such model"),
    ):
        compare_judges(compared_settings, [f"absent@{absent.url}"])


def test_no_model_is_asked_where_reports_may_not_go_to_one_of_them(compared_settings: ConstructionSettings) -> None:
    with serving() as server:
        models = [f"near@{server.url}", "far@http://192.0.2.1/v1"]
        with pytest.raises(UsageError, match=r"would leave this machine, to 192\.0\.2\.1") as raised:
            compare_judges(compared_settings, models)
        assert "PhysioNet" in raised.value.hint
        assert server.requests == []


@pytest.mark.parametrize(
    ("models", "message"),
    [([], "no language model"), (["a", "a@http://127.0.0.1:1/v1"], "given twice"), ([""], "model"),
     (["a@http://user:secret@127.0.0.1/v1"], "setting url has an invalid value")],
)  # fmt: skip
def test_models_that_cannot_be_compared(
    compared_settings: ConstructionSettings, models: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        compare_judges(compared_settings, models)
    assert "secret" not in raised.value.message + raised.value.hint


def test_without_reports_or_concepts_there_is_nothing_to_compare(
    compared_settings: ConstructionSettings, tmp_path: Path
) -> None:
    with serving() as server:
        models = [f"m@{server.url}"]
        with pytest.raises(NotFoundError, match="no concept's name is in the first 3 reports"):
            compare_judges(replace(compared_settings, own_words=False), models)
        (tmp_path / "reports.jsonl").write_text('{"id": "r", "text": "HISTORY: Cough."}\n', encoding="utf-8")
        with pytest.raises(InputError, match="none of 1 report has findings"):
            compare_judges(compared_settings, models)
        assert server.requests == []
