"""VQA-RAD, SLAKE and PathVQA in the files that they are released as."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def write_shaded_image(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), shade, dtype=np.uint8)).save(path)
    return path


def jpeg_bytes(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 30), shade, dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_json_file(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


RAD = {"qid": 7, "image_name": "synpic1.jpg", "image_organ": "CHEST", "question": "Is there  an effusion?",
       "answer": "Yes", "answer_type": "CLOSED ", "question_type": "PRES", "phrase_type": "freeform"}  # fmt: skip


def vqa_rad(folder: Path) -> Path:
    write_shaded_image(folder / "images" / "synpic1.jpg")
    write_json_file(folder / "trainset.json", [RAD, {**RAD, "qid": 8, "answer": 3}])
    write_json_file(folder / "testset.json", [{**RAD, "qid": 9, "answer": "no"}])
    return folder


def public(folder: Path) -> Path:
    """As VQA-RAD's authors released it: one list."""
    write_shaded_image(folder / "VQA_RAD Image Folder" / "synpic1.jpg")
    release_fields = {"qid_linked_id": "03f4", "image_case_url": "https://medpix.nlm.nih.gov/case?id=48e1",
           "evaluation": "not evaluated", "question_rephrase": "NULL", "question_relation": "NULL",
           "question_frame": "NULL"}  # fmt: skip
    records = [
        {**RAD, **release_fields, "qid": str(number), "phrase_type": phrase_type}
        for number, phrase_type in enumerate(("freeform", "test_freeform", "test_para"))
    ]
    write_json_file(folder / "VQA_RAD Dataset Public.json", records)
    return folder


ENTRY = {"img_id": 102, "img_name": "xmlab102/source.jpg", "question": "Does the picture contain liver?",
         "answer": "Yes", "q_lang": "en", "location": "Abdomen", "modality": "CT", "answer_type": "CLOSED",
         "base_type": "vqa",
         "content_type": "Organ", "triple": ["vhead", "_", "_"], "qid": 0}  # fmt: skip


def write_slake(folder: Path, validation: str = "validate.json") -> Path:
    write_shaded_image(folder / "imgs" / "xmlab102" / "source.jpg")
    write_json_file(
        folder / "imgs" / "xmlab102" / "detection.json", [{"Liver": [10.0, 2, 5.5, 6]}, {"Heart": [1, 2, 3, 4]}]
    )
    write_json_file(
        folder / "train.json",
        [ENTRY, {**ENTRY, "q_lang": "zh", "question": "图中有肝脏吗？", "answer": "有", "qid": 1}],
    )
    write_json_file(folder / validation, [{**ENTRY, "qid": 2, "answer": "CT"}])
    write_json_file(folder / "test.json", [{**ENTRY, "qid": 3, "answer": "No"}])
    return folder


def write_path_vqa(folder: Path) -> Path:
    """As its authors released it."""
    for part_name in ("train", "val", "test"):
        write_shaded_image(folder / "images" / part_name / f"{part_name}_0422.jpg")
        records = [{"image": f"{part_name}_0422", "question": "Is the tumor benign?", "answer": "no"},
                {"image": f"{part_name}_0422", "question": "What is seen?", "answer": "a cyst"}]  # fmt: skip
        pickle_path = folder / "qas" / part_name / f"{part_name}_qa.pkl"
        pickle_path.parent.mkdir(parents=True)
        pickle_path.write_bytes(pickle.dumps(records))
    return folder


def write_path_vqa_parquet(folder: Path) -> Path:
    """As the model hub has it."""
    (folder / "data").mkdir(parents=True)
    for part_name, shade in (("train", 10), ("validation", 90), ("test", 200)):
        image = {"bytes": jpeg_bytes(shade), "path": None}
        records = [
            {"image": image, "question": "Is the tumor benign?", "answer": answer} for answer in ("yes", "no", "a cyst")
        ]
        pq.write_table(pa.Table.from_pylist(records), folder / "data" / f"{part_name}-00000-of-00001-0a1b.parquet")
    return folder
