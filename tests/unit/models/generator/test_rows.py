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
IMAGE_TRIPLET = Triplet("nodule", Relation.LOCATED_AT, "right")


def study(number: int) -> Study:
    """A study whose sentences each tell of a finding of their own."""
    sentences = tuple(
        Sentence(
            f"s{number} {sentence_number} .", (Triplet(f"f{number} {sentence_number}", Relation.LOCATED_AT, "left"),)
        )
        for sentence_number in range(SENTENCES)
    )
    return Study(f"I{number}", Path(f"{number}.png"), sentences, (IMAGE_TRIPLET,))


STUDIES = [study(number) for number in range(200)]
VECTORS = torch.arange(200.0)[:, None]


def consistent(record: Record) -> bool:
    """Whether the record states exactly what its sentences say, next to what is drawn."""
    expected_heads = dict.fromkeys(
        f"f{sentence_text.strip()[1:]}" for sentence_text in record.report.split(".") if sentence_text.strip()
    )
    return [triplet.head for triplet in record.triplets if triplet != IMAGE_TRIPLET] == list(expected_heads)


def _count_own_sentences(record: Record) -> int:
    """How many sentences are the study's own."""
    return sum(sentence.strip().startswith(f"s{record.id[1:]} ") for sentence in record.report.split("."))


def visual(**changed: Any) -> list[tuple[Record, torch.Tensor]]:
    visual_rows = VisualRows(STUDIES, VECTORS, generators.tiny_generator_settings(visual=changed))
    return [visual_rows[row_index] for row_index in range(len(visual_rows))]


def test_a_report_is_a_row_as_it_is() -> None:
    assert report_rows(STUDIES, generators.tiny_generator_settings()) == [study.record() for study in STUDIES]


def test_copies_have_sentences_of_other_reports_each_their_own() -> None:
    records = report_rows(STUDIES, generators.tiny_generator_settings(language={"copies": 3, "mixed": 0.25}))
    assert [record.id for record in records] == 3 * [study.id for study in STUDIES]
    assert all(map(consistent, records))
    assert all(record.report.count(".") == SENTENCES for record in records)
    assert 0.7 < sum(map(_count_own_sentences, records)) / (len(records) * SENTENCES) < 0.8
    assert records[0].report != records[200].report
    assert records == report_rows(STUDIES, generators.tiny_generator_settings(language={"copies": 3, "mixed": 0.25}))


def test_reports_are_whole_thinned_or_missing_beside_their_own_image() -> None:
    visual_rows = visual(thinned=0.3, without=0.3, copies=3)
    assert len(visual_rows) == 600
    assert all(vector.item() == int(record.id[1:]) for record, vector in visual_rows)
    assert all(consistent(record) for record, _ in visual_rows)
    sentence_counts = [record.report.count(".") for record, _ in visual_rows]
    assert {sentence_counts.count(0) // 60, sentence_counts.count(SENTENCES) // 60} <= {2, 3, 4}
    assert set(sentence_counts) == {0, 2, 4, 6, SENTENCES}
    assert all(
        (IMAGE_TRIPLET in record.triplets) == (record.report.count(".") < SENTENCES) for record, _ in visual_rows
    )
    assert all(_count_own_sentences(record) == record.report.count(".") for record, _ in visual_rows)


def test_only_what_is_thinned_is_mixed() -> None:
    visual_rows = visual(thinned=0.5, without=0.0, mixed=0.5)
    full_records = [record for record, _ in visual_rows if record.report.count(".") == SENTENCES]
    thinned_records = [record for record, _ in visual_rows if record.report.count(".") < SENTENCES]
    assert all(
        _count_own_sentences(record) == SENTENCES and IMAGE_TRIPLET not in record.triplets for record in full_records
    )
    assert all(consistent(record) and IMAGE_TRIPLET in record.triplets for record in thinned_records)
    assert (
        0.4
        < sum(map(_count_own_sentences, thinned_records)) / sum(record.report.count(".") for record in thinned_records)
        < 0.6
    )
