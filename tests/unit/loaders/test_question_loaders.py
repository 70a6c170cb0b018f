"""VQA-RAD, SLAKE and PathVQA in exactly the files that they are released as: what all of them have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_loaders.question_files import below, question_and_answer
from kgplatform.datasets.questions import (
    read_questions,
)
from kgplatform.errors import InputError, UsageError
from tests.unit.loaders.question_releases import public, vqa_rad, write_path_vqa, write_path_vqa_parquet, write_slake

FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "vqa_rad": ("vqa_rad", vqa_rad),
    "vqa_rad, one list": ("vqa_rad", public),
    "vqa_rad, hub": ("vqa_rad", write_path_vqa_parquet),
    "slake": ("slake", write_slake),
    "slake, hub": ("slake", lambda folder: write_slake(folder, "validation.json")),
    "path_vqa": ("path_vqa", write_path_vqa),
    "path_vqa, hub": ("path_vqa", write_path_vqa_parquet),
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
    wordings = question_and_answer(row)
    if not isinstance(wordings, str):
        assert all(wording == " ".join(wording.split()) and wording.isprintable() for wording in wordings)
