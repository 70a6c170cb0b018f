"""The benchmark of triplets on OpenI: gaps, regressions, the rows of a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from benchmarks.generation import openi, openi_rivals, openi_studies
from kgp_models.generator.records import Sentence, Study
from kgplatform.errors import UsageError
from kgplatform.triplets.text import Relation, Triplet

LUNG = Triplet("opacity", Relation.LOCATED_AT, "lung")
LEFT = Triplet("left", Relation.MODIFY, "opacity")


def study(number: int, *triplets: Triplet) -> Study:
    words = " and ".join(["clear", *(" ".join(triplet) for triplet in triplets)])
    return Study(
        f"I{number}", None, tuple(Sentence(f"{words} {part}.", ()) for part in range(4)), study_triplets=triplets
    )


TRAINING = [
    study(number, *([LUNG] if number % 2 else []), *([LEFT] if number % 3 == 0 else [])) for number in range(60)
]
PARTS = {"validation": [study(100, LUNG), study(101)], "held-out": [study(102, LUNG, LEFT), study(103)]}
STUDIES = openi_studies.OpenIStudies(TRAINING, PARTS, {"validation": set(), "held-out": {"I103"}})


def test_a_report_with_gaps_has_half_of_its_sentences_and_all_of_its_triplets() -> None:
    record = openi.gaps(PARTS["held-out"][0])
    assert record.report.count(".") == 2
    assert set(record.triplets) == {LUNG, LEFT}
    assert openi.gaps(PARTS["held-out"][0]) == record, "always the same sentences"


def test_regressions_find_what_vectors_state_and_choose_on_validation() -> None:
    def vectors(studies: list[Study]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array([[LUNG in row.study_triplets, LEFT in row.study_triplets] for row in studies], dtype=float)

    predicted = openi_rivals.regressions(
        vectors(TRAINING), STUDIES, {name: vectors(part) for name, part in PARTS.items()}, (10.0,)
    )
    assert predicted["validation"] == [(LUNG,), ()]
    assert [set(row) for row in predicted["held-out"]] == [{LUNG, LEFT}, set()]


def test_report_rivals_read_the_report() -> None:
    rivals = openi_rivals.report_rivals(STUDIES)
    assert set(rivals["nearest report"]["held-out"][0]) == {LUNG, LEFT}
    assert set(rivals["TF-IDF, logistic regression"]["held-out"][0]) >= {LUNG}


def test_a_row_is_scored_on_all_studies_and_without_repeated_reports(tmp_path: Path) -> None:
    table = openi.Table(tmp_path / "openi.json", STUDIES, 0)
    table.add("held-out", "most frequent", [(LUNG,), (LUNG,)])
    table.add("held-out", "right", [(LUNG, LEFT), ()])
    document = json.loads((tmp_path / "openi.json").read_text(encoding="utf-8"))
    row = document["rows"]["held-out"]["right"]
    assert row["interval"]["value"] == 1.0
    assert document["rows"]["held-out"]["most frequent"]["interval"]["value"] == pytest.approx(0.5)
    assert document["rows"]["held-out"]["most frequent"]["reports not in training"] == {
        "studies": 1, "F1": pytest.approx(2 / 3, abs=1e-4),
    }  # fmt: skip
    assert row["minus the most frequent"]["value"] == pytest.approx(0.5)
    assert document["studies"]["held-out, report in training"] == 1


def test_rows_of_an_earlier_call_stay_and_those_of_another_model_are_written_again(tmp_path: Path) -> None:
    path = tmp_path / "openi.json"
    openi.Table(path, STUDIES, 0).add("held-out", "most frequent", [(LUNG,), ()], model="first")
    table = openi.Table(path, STUDIES, 0)
    assert table.has("held-out", "most frequent", "first")
    assert not table.has("held-out", "most frequent", "second")
    other = openi_studies.OpenIStudies(TRAINING[1:], PARTS, STUDIES.repeated)
    with pytest.raises(UsageError, match="results of other studies are in"):
        openi.Table(path, other, 0)


@pytest.mark.data
def test_the_parts_of_openi_share_no_study(data_dir: Path) -> None:
    studies = openi_studies.read_parts(data_dir, None)
    assert (len(studies.training), {name: len(part) for name, part in studies.parts.items()}) == (
        2_062,
        {"validation": 294, "held-out": 489},
    )
    assert {name: len(ids) for name, ids in studies.repeated.items()} == {"validation": 39, "held-out": 31}
