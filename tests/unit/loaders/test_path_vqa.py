"""PathVQA in the files that it is released as, and in those of the model hub."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgp_loaders.path_vqa import PathVQA
from kgplatform.batches import Reject
from kgplatform.datasets.questions import (
    REPEATED,
    left_out,
    read_questions,
)
from kgplatform.errors import InputError
from tests.unit.loaders.question_releases import jpeg_bytes, write_path_vqa, write_path_vqa_parquet


class _HostilePickle:
    """Pickled, it would make a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class TestPathVQA:
    """What is its own."""

    def test_pickles_never_run(self, tmp_path: Path) -> None:
        pickle_path = write_path_vqa(tmp_path) / "qas" / "val" / "val_qa.pkl"
        pickle_path.write_bytes(pickle.dumps([_HostilePickle(tmp_path / "ran")]))
        with pytest.raises(InputError, match="not a pickled list of questions"):
            read_questions("path_vqa", tmp_path)
        assert not (tmp_path / "ran").exists()

    def test_other_pickles(self, tmp_path: Path) -> None:
        pickle_path = write_path_vqa(tmp_path) / "qas" / "test" / "test_qa.pkl"
        pickle_path.write_bytes(pickle.dumps({"image": 1}))
        with pytest.raises(InputError, match="not a pickled list"):
            list(PathVQA(tmp_path).questions())
        pickle_path.write_bytes(pickle.dumps([1, {"image": "../x", "question": "a?", "answer": "b"}]))
        assert [entry.row for entry in PathVQA(tmp_path).questions() if isinstance(entry, Reject)] == [1, 2]

    def test_rows_that_are_the_same_count_once(self, tmp_path: Path) -> None:
        """As the published counts have it; the same question about another image, or in another part, is another."""
        write_path_vqa(tmp_path)
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
        questions, _ = read_questions("path_vqa", write_path_vqa_parquet(tmp_path / "release"), tmp_path / "here")
        assert sorted({question.path.parent for question in questions}) == [tmp_path / "here"]
        modified_times = {image_path: image_path.stat().st_mtime_ns for image_path in (tmp_path / "here").iterdir()}
        assert len(modified_times) == 3
        read_questions("path_vqa", tmp_path / "release", tmp_path / "here")
        assert {
            image_path: image_path.stat().st_mtime_ns for image_path in (tmp_path / "here").iterdir()
        } == modified_times
        assert {image_path.read_bytes() for image_path in modified_times} == {
            jpeg_bytes(shade) for shade in (10, 90, 200)
        }

    def test_rows_without_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        image_cells = [
            None,
            {"bytes": b"GIF89a", "path": None},
            {"bytes": None, "path": "x.jpg"},
            {"bytes": jpeg_bytes(1), "path": None},
        ]
        records = [{"image": image_cell, "question": "a?", "answer": "yes"} for image_cell in image_cells]
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "data" / "test-00000-of-00001.parquet")
        questions, rejects = read_questions("path_vqa", tmp_path)
        assert (len(questions), [reject.row for reject in rejects]) == (1, [1, 2, 3])
