"""SLAKE in the files that it is released as."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_loaders.slake import SLAKE, Fact, facts
from kgplatform.batches import Reject
from kgplatform.datasets.questions import (
    TEST_SIZES,
    BoundingBox,
    read_questions,
    unlike_release,
)
from kgplatform.errors import InputError
from tests.unit.loaders.question_releases import write_slake


def test_other_test_parts_than_the_released_ones_are_told(tmp_path: Path) -> None:
    """Requirements, section 1.12: the sizes that MedMKG's Table 4 implies."""
    assert TEST_SIZES == {"vqa_rad": (251, 118), "slake": (355, 175), "path_vqa": (3362, 1816)}
    questions, _ = read_questions("slake", write_slake(tmp_path))
    assert "the release of slake has 355 and 175" in unlike_release("slake", questions)
    assert unlike_release("phantom", questions) == ""


class TestSLAKE:
    """What is its own."""

    def test_english_ones_with_boxes(self, tmp_path: Path) -> None:
        questions, _ = read_questions("slake", write_slake(tmp_path), closed=False)
        assert [(question.part, question.answer, question.topic) for question in questions] == [
            ("train", "Yes", "Organ"), ("valid", "CT", "Organ"), ("test", "No", "Organ")
        ]  # fmt: skip
        assert questions[0].boxes == (BoundingBox("Liver", 10, 2, 5.5, 6), BoundingBox("Heart", 1, 2, 3, 4))

    @pytest.mark.parametrize(
        "content", ["{", "[1]", '[{"a": [1, 2]}]', '[{"a": ["x", 1, 1, 1]}]', '[{"a": [1, 1, 1, NaN]}]']
    )
    def test_boxes_that_are_none(self, tmp_path: Path, content: str) -> None:
        (write_slake(tmp_path) / "imgs" / "xmlab102" / "detection.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"detection\.json"):
            read_questions("slake", tmp_path)

    def test_its_graph(self, tmp_path: Path) -> None:
        graph_folder = write_slake(tmp_path) / "KG"
        graph_folder.mkdir()
        (graph_folder / "en_disease.csv").write_bytes(
            b"disease#attribute#value\r\nPneumonia#symptom#Fever, Cough , Chest pain\r\n"
            b'Pneumonia#location#Lung\xa1\xaf\n\nx#y\nPneumonia#chunk#"An ""infection"", often\r\n of the lung. "\r\n'
            b'Asthma#cause#two kinds#allergic\nAsthma#symptom#"Cough" #x\nAsthma#location#"Lung\n'
        )
        (graph_folder / "en_organ_rel.csv").write_text(
            "organ1#relation#organ2\nHeart#belong to#Circulatory System\n", encoding="utf-8"
        )
        unclosed_reason = "a quoted value of the row is not closed, or goes on after its quote"
        assert list(SLAKE(tmp_path).graph()) == [
            Fact("Pneumonia", "symptom", "Fever, Cough , Chest pain"),
            Fact("Pneumonia", "location", "Lung"),
            Reject(graph_folder / "en_disease.csv", 5, "the row is not head#relation#tail"),
            Fact("Pneumonia", "chunk", 'An "infection", often of the lung.'),
            Reject(graph_folder / "en_disease.csv", 8, "the row is not head#relation#tail"),
            Reject(graph_folder / "en_disease.csv", 9, unclosed_reason),
            Reject(graph_folder / "en_disease.csv", 10, unclosed_reason),
            Fact("Heart", "belong to", "Circulatory System"),
        ]

    def test_its_real_graph_has_whole_sentences(self, data_dir: Path) -> None:
        """As many facts as its files have rows: the publication counts one triplet a row."""
        entries = list(SLAKE(data_dir / "slake").graph())
        triplets = [entry for entry in entries if isinstance(entry, Fact)]
        assert (len(triplets), len(entries) - len(triplets)) == (2517 + 386 + 306, 1)
        long_fact = next(entry for entry in triplets if entry[:2] == ("Alveolar Proteinosis", "description"))
        assert long_fact.tail.startswith("a rare disease")
        assert long_fact.tail.endswith("as females.")
        assert not any('"' in entry.tail[:1] + entry.tail[-1:] for entry in triplets)

    @given(st.text(max_size=200))
    def test_any_text_is_facts_or_rejects(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        facts_path = tmp_path_factory.mktemp("kg") / "en_organ.csv"
        facts_path.write_text(text, encoding="utf-8", errors="ignore", newline="")
        for entry in facts(facts_path):
            assert isinstance(entry, Reject) or all(entry)
