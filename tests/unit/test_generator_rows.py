"""Which records both stages are trained on: copies, sentences of other reports, thinned and missing reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kgp_models.generator.records import Record, Sentence, Study
from kgp_models.generator.rows import VisualRows, report_rows
from kgplatform.triplets.text import Relation, Triplet
from tests import generators

SENTENCES = 8
DRAWN = Triplet("nodule", Relation.LOCATED_AT, "right")


def study(number: int) -> Study:
    """A study whose sentences each tell of a finding of their own."""
    told = tuple(
        Sentence(f"s{number} {place} .", (Triplet(f"f{number} {place}", Relation.LOCATED_AT, "left"),))
        for place in range(SENTENCES)
    )
    return Study(f"I{number}", Path(f"{number}.png"), told, (DRAWN,))


STUDIES = [study(number) for number in range(200)]
VECTORS = torch.arange(200.0)[:, None]


def consistent(record: Record) -> bool:
    """Whether the record tells exactly what its sentences say, beside what is drawn."""
    said = dict.fromkeys(f"f{text.strip()[1:]}" for text in record.report.split(".") if text.strip())
    return [one.head for one in record.triplets if one != DRAWN] == list(said)


def own(record: Record) -> int:
    """How many sentences are the study's own."""
    return sum(text.strip().startswith(f"s{record.id[1:]} ") for text in record.report.split("."))


def visual(**changed: Any) -> list[tuple[Record, torch.Tensor]]:
    rows = VisualRows(STUDIES, VECTORS, generators.settings(visual=changed))
    return [rows[place] for place in range(len(rows))]


def test_a_report_is_a_row_as_it_is() -> None:
    assert report_rows(STUDIES, generators.settings()) == [one.record() for one in STUDIES]


def test_copies_have_sentences_of_other_reports_each_their_own() -> None:
    rows = report_rows(STUDIES, generators.settings(language={"copies": 3, "mixed": 0.25}))
    assert [row.id for row in rows] == 3 * [one.id for one in STUDIES]
    assert all(map(consistent, rows))
    assert all(row.report.count(".") == SENTENCES for row in rows)
    assert 0.7 < sum(map(own, rows)) / (len(rows) * SENTENCES) < 0.8
    assert rows[0].report != rows[200].report
    assert rows == report_rows(STUDIES, generators.settings(language={"copies": 3, "mixed": 0.25}))


def test_reports_are_whole_thinned_or_missing_beside_their_own_image() -> None:
    rows = visual(thinned=0.3, without=0.3, copies=3)
    assert len(rows) == 600
    assert all(vector.item() == int(record.id[1:]) for record, vector in rows)
    assert all(consistent(record) for record, _ in rows)
    kept = [record.report.count(".") for record, _ in rows]
    assert {kept.count(0) // 60, kept.count(SENTENCES) // 60} <= {2, 3, 4}
    assert set(kept) == {0, 2, 4, 6, SENTENCES}
    assert all((DRAWN in record.triplets) == (record.report.count(".") < SENTENCES) for record, _ in rows)
    assert all(own(record) == record.report.count(".") for record, _ in rows)


def test_only_what_is_thinned_is_mixed() -> None:
    rows = visual(thinned=0.5, without=0.0, mixed=0.5)
    whole = [record for record, _ in rows if record.report.count(".") == SENTENCES]
    thin = [record for record, _ in rows if record.report.count(".") < SENTENCES]
    assert all(own(record) == SENTENCES and DRAWN not in record.triplets for record in whole)
    assert all(consistent(record) and DRAWN in record.triplets for record in thin)
    assert 0.4 < sum(map(own, thin)) / sum(record.report.count(".") for record in thin) < 0.6
