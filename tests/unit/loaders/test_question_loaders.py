"""VQA-RAD, SLAKE and PathVQA in exactly the files that they are released as, whole and damaged."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kgp_loaders.path_vqa import PathVQA
from kgp_loaders.question_files import below, said
from kgp_loaders.slake import SLAKE, Fact, facts
from kgp_loaders.vqa_rad import VQARAD
from kgplatform.batches import Reject
from kgplatform.datasets.questions import (
    REPEATED,
    TEST_SIZES,
    BoundingBox,
    Question,
    left_out,
    read_questions,
    unlike_release,
)
from kgplatform.errors import InputError, UsageError


def _write_image(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), shade, dtype=np.uint8)).save(path)
    return path


def _jpeg_bytes(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 30), shade, dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def _write_json(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


RAD = {"qid": 7, "image_name": "synpic1.jpg", "image_organ": "CHEST", "question": "Is there  an effusion?",
       "answer": "Yes", "answer_type": "CLOSED ", "question_type": "PRES", "phrase_type": "freeform"}  # fmt: skip


def vqa_rad(folder: Path) -> Path:
    _write_image(folder / "images" / "synpic1.jpg")
    _write_json(folder / "trainset.json", [RAD, {**RAD, "qid": 8, "answer": 3}])
    _write_json(folder / "testset.json", [{**RAD, "qid": 9, "answer": "no"}])
    return folder


def public(folder: Path) -> Path:
    """As VQA-RAD's authors released it: one list."""
    _write_image(folder / "VQA_RAD Image Folder" / "synpic1.jpg")
    release_fields = {"qid_linked_id": "03f4", "image_case_url": "https://medpix.nlm.nih.gov/case?id=48e1",
           "evaluation": "not evaluated", "question_rephrase": "NULL", "question_relation": "NULL",
           "question_frame": "NULL"}  # fmt: skip
    records = [
        {**RAD, **release_fields, "qid": str(number), "phrase_type": phrase_type}
        for number, phrase_type in enumerate(("freeform", "test_freeform", "test_para"))
    ]
    _write_json(folder / "VQA_RAD Dataset Public.json", records)
    return folder


ENTRY = {"img_id": 102, "img_name": "xmlab102/source.jpg", "question": "Does the picture contain liver?",
         "answer": "Yes", "q_lang": "en", "location": "Abdomen", "modality": "CT", "answer_type": "CLOSED",
         "base_type": "vqa",
         "content_type": "Organ", "triple": ["vhead", "_", "_"], "qid": 0}  # fmt: skip


def _write_slake(folder: Path, validation: str = "validate.json") -> Path:
    _write_image(folder / "imgs" / "xmlab102" / "source.jpg")
    _write_json(
        folder / "imgs" / "xmlab102" / "detection.json", [{"Liver": [10.0, 2, 5.5, 6]}, {"Heart": [1, 2, 3, 4]}]
    )
    _write_json(
        folder / "train.json",
        [ENTRY, {**ENTRY, "q_lang": "zh", "question": "图中有肝脏吗？", "answer": "有", "qid": 1}],
    )
    _write_json(folder / validation, [{**ENTRY, "qid": 2, "answer": "CT"}])
    _write_json(folder / "test.json", [{**ENTRY, "qid": 3, "answer": "No"}])
    return folder


def _write_path_vqa(folder: Path) -> Path:
    """As its authors released it."""
    for part_name in ("train", "val", "test"):
        _write_image(folder / "images" / part_name / f"{part_name}_0422.jpg")
        records = [{"image": f"{part_name}_0422", "question": "Is the tumor benign?", "answer": "no"},
                {"image": f"{part_name}_0422", "question": "What is seen?", "answer": "a cyst"}]  # fmt: skip
        pickle_path = folder / "qas" / part_name / f"{part_name}_qa.pkl"
        pickle_path.parent.mkdir(parents=True)
        pickle_path.write_bytes(pickle.dumps(records))
    return folder


def _write_path_vqa_parquet(folder: Path) -> Path:
    """As the model hub has it."""
    (folder / "data").mkdir(parents=True)
    for part_name, shade in (("train", 10), ("validation", 90), ("test", 200)):
        image = {"bytes": _jpeg_bytes(shade), "path": None}
        records = [
            {"image": image, "question": "Is the tumor benign?", "answer": answer} for answer in ("yes", "no", "a cyst")
        ]
        pq.write_table(pa.Table.from_pylist(records), folder / "data" / f"{part_name}-00000-of-00001-0a1b.parquet")
    return folder


FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "vqa_rad": ("vqa_rad", vqa_rad),
    "vqa_rad, one list": ("vqa_rad", public),
    "vqa_rad, hub": ("vqa_rad", _write_path_vqa_parquet),
    "slake": ("slake", _write_slake),
    "slake, hub": ("slake", lambda folder: _write_slake(folder, "validation.json")),
    "path_vqa": ("path_vqa", _write_path_vqa),
    "path_vqa, hub": ("path_vqa", _write_path_vqa_parquet),
}


@pytest.mark.parametrize("form", list(FORMS))
class TestEveryForm:
    """What holds of each."""

    def test_questions_come_with_images_and_answers(self, form: str, tmp_path: Path) -> None:
        kind, make_release = FORMS[form]
        make_release(tmp_path)
        all_questions, rejects = read_questions(kind, tmp_path, closed=False)
        closed_questions, _ = read_questions(kind, tmp_path)
        assert not rejects
        assert {question.part for question in all_questions} >= {"train", "test"}
        assert all(question.path.is_file() and question.text.endswith("?") for question in all_questions)
        assert [question.id for question in closed_questions] == [
            question.id for question in all_questions if question.yes is not None
        ]
        assert read_questions(kind, tmp_path, closed=False)[0] == all_questions  # the same again

    def test_an_image_that_is_gone_is_told(self, form: str, tmp_path: Path) -> None:
        kind, make_release = FORMS[form]
        make_release(tmp_path)
        questions, _ = read_questions(kind, tmp_path)
        if "hub" in form and kind != "slake":
            assert len({question.path for question in questions}) == 3  # unpacked once each
            return
        missing_path = questions[0].path
        missing_path.unlink()
        remaining = [question for question in questions if question.path != missing_path]
        if not remaining:
            with pytest.raises(
                InputError, match=r"no closed question; \d left out, the first because there is no such"
            ) as refusal:
                read_questions(kind, tmp_path)
            assert "--images DIR" in refusal.value.hint
            assert str(missing_path) in refusal.value.hint
            return
        reread, rejects = read_questions(kind, tmp_path)
        assert reread == remaining
        assert {reject.path for reject in rejects} == {missing_path}

    def test_damaged_files_are_one_clear_line(self, form: str, tmp_path: Path) -> None:
        kind, make_release = FORMS[form]
        make_release(tmp_path)
        file_paths = [
            file_path for file_path in tmp_path.rglob("*") if file_path.suffix in (".json", ".pkl", ".parquet")
        ]
        for file_path in file_paths:
            original_bytes = file_path.read_bytes()
            for content in (
                b"",
                original_bytes[: len(original_bytes) // 2],
                b"\x80\x04nonsense",
                b"[1, 2",
                b"\xff\xfe",
            ):
                file_path.write_bytes(content)
                with pytest.raises(InputError) as refusal:
                    read_questions(kind, tmp_path)
                assert refusal.value.path == file_path
                assert "\n" not in str(refusal.value)
            file_path.write_bytes(original_bytes)

    def test_another_folder(self, form: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="here"):
            read_questions(FORMS[form][0], tmp_path)


def test_unknown_kinds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set of questions called okvqa"):
        read_questions("okvqa", tmp_path)


class TestVQARAD:
    """What is its own."""

    def test_fields(self, tmp_path: Path) -> None:
        first_question, second_question, third_question = VQARAD(vqa_rad(tmp_path)).questions()
        assert first_question == Question(
            "7",
            "Is there an effusion?",
            "Yes",
            "synpic1.jpg",
            tmp_path / "images" / "synpic1.jpg",
            "VQA-RAD",
            "train",
            "PRES",
        )
        assert isinstance(second_question, Question)
        assert (second_question.answer, second_question.yes) == ("3", None)
        assert isinstance(third_question, Question)
        assert (third_question.part, third_question.yes) == ("test", False)

    def test_the_one_list_tells_its_test_part(self, tmp_path: Path) -> None:
        assert [question.part for question in read_questions("vqa_rad", public(tmp_path))[0]] == [
            "train",
            "test",
            "test",
        ]

    def test_bad_rows_are_told_by_row(self, tmp_path: Path) -> None:
        vqa_rad(tmp_path)
        bad_rows = [3, {}, {**RAD, "question": " "}, {**RAD, "answer": None}, {**RAD, "image_name": "../x.jpg"},
               {**RAD, "image_name": "/x.jpg"}, {**RAD, "qid": None}, {**RAD, "question": "a\x00b"}, RAD,
               RAD]  # fmt: skip
        _write_json(tmp_path / "trainset.json", bad_rows)
        questions, rejects = read_questions("vqa_rad", tmp_path)
        assert [entry.id for entry in questions] == ["7", "9"]
        assert [(entry.row, entry.path.name) for entry in rejects[:8]] == [
            (row_number, "trainset.json") for row_number in range(1, 9)
        ]
        assert rejects[8].reason == "the question's id stands there twice"

    @pytest.mark.data
    def test_the_real_ones_are_those_of_the_papers_table(self, data_dir: Path) -> None:
        closed_questions, rejects = read_questions("vqa_rad", data_dir / "vqa_rad")
        test_questions = [question for question in closed_questions if question.part == "test"]
        assert (len(test_questions), sum(question.yes is True for question in test_questions)) == (251, 118)
        assert unlike_release("vqa_rad", closed_questions) == ""
        assert "has 251 and 118" in unlike_release("vqa_rad", closed_questions[:-1])
        assert (len(closed_questions), len(rejects)) == (1964, 0)
        all_questions, _ = read_questions("vqa_rad", data_dir / "vqa_rad", closed=False)
        assert len(all_questions) == 3064 + 451
        assert len({question.image for question in all_questions}) == 314  # of 315 files: one has no question


def test_other_test_parts_than_the_released_ones_are_told(tmp_path: Path) -> None:
    """Requirements, section 1.12: the sizes that MedMKG's Table 4 implies."""
    assert TEST_SIZES == {"vqa_rad": (251, 118), "slake": (355, 175), "path_vqa": (3362, 1816)}
    questions, _ = read_questions("slake", _write_slake(tmp_path))
    assert "the release of slake has 355 and 175" in unlike_release("slake", questions)
    assert unlike_release("phantom", questions) == ""


class TestSLAKE:
    """What is its own."""

    def test_english_ones_with_boxes(self, tmp_path: Path) -> None:
        questions, _ = read_questions("slake", _write_slake(tmp_path), closed=False)
        assert [(question.part, question.answer, question.topic) for question in questions] == [
            ("train", "Yes", "Organ"), ("valid", "CT", "Organ"), ("test", "No", "Organ")
        ]  # fmt: skip
        assert questions[0].boxes == (BoundingBox("Liver", 10, 2, 5.5, 6), BoundingBox("Heart", 1, 2, 3, 4))

    @pytest.mark.parametrize(
        "content", ["{", "[1]", '[{"a": [1, 2]}]', '[{"a": ["x", 1, 1, 1]}]', '[{"a": [1, 1, 1, NaN]}]']
    )
    def test_boxes_that_are_none(self, tmp_path: Path, content: str) -> None:
        (_write_slake(tmp_path) / "imgs" / "xmlab102" / "detection.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"detection\.json"):
            read_questions("slake", tmp_path)

    def test_its_graph(self, tmp_path: Path) -> None:
        graph_folder = _write_slake(tmp_path) / "KG"
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


class _HostilePickle:
    """Pickled, it would make a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class TestPathVQA:
    """What is its own."""

    def test_pickles_never_run(self, tmp_path: Path) -> None:
        pickle_path = _write_path_vqa(tmp_path) / "qas" / "val" / "val_qa.pkl"
        pickle_path.write_bytes(pickle.dumps([_HostilePickle(tmp_path / "ran")]))
        with pytest.raises(InputError, match="no pickled list of questions"):
            read_questions("path_vqa", tmp_path)
        assert not (tmp_path / "ran").exists()

    def test_other_pickles(self, tmp_path: Path) -> None:
        pickle_path = _write_path_vqa(tmp_path) / "qas" / "test" / "test_qa.pkl"
        pickle_path.write_bytes(pickle.dumps({"image": 1}))
        with pytest.raises(InputError, match="no pickled list"):
            list(PathVQA(tmp_path).questions())
        pickle_path.write_bytes(pickle.dumps([1, {"image": "../x", "question": "a?", "answer": "b"}]))
        assert [entry.row for entry in PathVQA(tmp_path).questions() if isinstance(entry, Reject)] == [1, 2]

    def test_rows_that_are_the_same_count_once(self, tmp_path: Path) -> None:
        """As the published counts have it; the same question about another image, or in another part, is another."""
        _write_path_vqa(tmp_path)
        pickle_path = tmp_path / "qas" / "test" / "test_qa.pkl"
        records = pickle.loads(pickle_path.read_bytes())  # noqa: S301  our own
        original, _ = read_questions("path_vqa", tmp_path)
        pickle_path.write_bytes(
            pickle.dumps(
                [*records, *records, {**records[0], "answer": "no" if records[0]["answer"] == "yes" else "yes"}]
            )
        )
        questions, rejects = read_questions("path_vqa", tmp_path)
        assert [question for question in questions if question.part != "test"] == [
            question for question in original if question.part != "test"
        ]
        assert len(questions) == len(original) + 1
        repeated_count = sum(question.part == "test" for question in original)
        assert left_out(rejects) == f"questions left out: {repeated_count} because {REPEATED}"

    def test_images_in_parquet_are_unpacked_once_where_asked(self, tmp_path: Path) -> None:
        questions, _ = read_questions("path_vqa", _write_path_vqa_parquet(tmp_path / "release"), tmp_path / "here")
        assert sorted({question.path.parent for question in questions}) == [tmp_path / "here"]
        modified_times = {image_path: image_path.stat().st_mtime_ns for image_path in (tmp_path / "here").iterdir()}
        assert len(modified_times) == 3
        read_questions("path_vqa", tmp_path / "release", tmp_path / "here")
        assert {
            image_path: image_path.stat().st_mtime_ns for image_path in (tmp_path / "here").iterdir()
        } == modified_times
        assert {image_path.read_bytes() for image_path in modified_times} == {
            _jpeg_bytes(shade) for shade in (10, 90, 200)
        }

    def test_rows_without_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        image_cells = [
            None,
            {"bytes": b"GIF89a", "path": None},
            {"bytes": None, "path": "x.jpg"},
            {"bytes": _jpeg_bytes(1), "path": None},
        ]
        records = [{"image": image_cell, "question": "a?", "answer": "yes"} for image_cell in image_cells]
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "data" / "test-00000-of-00001.parquet")
        questions, rejects = read_questions("path_vqa", tmp_path)
        assert (len(questions), [reject.row for reject in rejects]) == (1, [1, 2, 3])


@given(st.text())
def test_no_name_of_an_image_leads_out_of_its_folder(name: str) -> None:
    image_path = below(name, Path("images"))
    assert image_path is None or (Path("/a") / image_path).resolve().is_relative_to("/a")


@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(),
        st.dictionaries(st.sampled_from(["question", "answer"]), st.text() | st.integers() | st.none()),
    )
)
def test_any_entry_is_words_or_a_reason(row: object) -> None:
    wordings = said(row)
    if not isinstance(wordings, str):
        assert all(wording == " ".join(wording.split()) and wording.isprintable() for wording in wordings)
