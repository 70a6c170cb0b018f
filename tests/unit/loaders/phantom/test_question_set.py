"""Synthetic questions: every answer follows from what is drawn and from the facts, and none can be guessed."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.phantom import question_set
from kgp_loaders.phantom.study_set import build_study_set
from kgplatform.datasets.questions import read_questions
from kgplatform.errors import InputError, UsageError

PARTS = ("train", "valid", "test")
COUNT = 3000


@pytest.fixture(scope="module")
def question_studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies without their pictures."""
    folder = tmp_path_factory.mktemp("studies")
    build_study_set(folder, 400, 5, images=False)
    return folder


@pytest.fixture(scope="module")
def question_folder(question_studies_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    question_set.build_question_set(question_studies_folder, folder, COUNT, 5, remedies=200)
    return folder


def _question_rows(folder: Path, part: str) -> list[dict[str, Any]]:
    questions: list[dict[str, Any]] = json.loads((folder / f"{part}set.json").read_text(encoding="utf-8"))
    return questions


def _read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _facts_by_head(folder: Path) -> dict[tuple[str, str], set[str]]:
    """By name and relation: the names of the tails."""
    tail_names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for triple in _read_table(folder / "knowledge.csv"):
        tail_names[triple["head_name"], triple["relation"]].add(triple["tail_name"])
    return tail_names


def test_every_answer_follows_from_what_is_drawn_and_from_the_facts(
    question_folder: Path, question_studies_folder: Path
) -> None:
    tail_names, study_findings = _facts_by_head(question_folder), defaultdict(set)
    for record in _read_table(question_studies_folder / "truth" / "shown.csv"):
        study_findings[record["study_id"]].add(record["finding"])
    finding_names = {"nodule": "lung nodule", "mass": "lung mass", "interstitial opacities": "interstitial opacity"}
    need_counts = Counter[str]()
    for part_name in PARTS:
        for record in _question_rows(question_folder, part_name):
            [study_id] = re.findall(r"/s(\d+)/", record["image_name"])
            image_findings = {finding_names.get(short_name, short_name) for short_name in study_findings[study_id]}
            question = re.sub(r"\b(a|an) ", "", record["question"])
            for short_name, full_name in finding_names.items():
                question = re.sub(rf"(?<!lung )\b{short_name}\b", full_name, question)
            if match := re.fullmatch(r"Is there (.+)\?", question):
                is_true = match[1] in image_findings
            elif match := re.fullmatch(r"Can (\w+) treat (.+)\?", question):
                is_true = match[2] in tail_names[match[1], "may_treat"]
            elif match := re.fullmatch(r"Is (\w+) contraindicated with what the image shows\?", question):
                is_true = bool(tail_names[match[1], "contraindicated_with"] & image_findings)
            elif match := re.fullmatch(r"Is (\w+) contraindicated with (.+)\?", question):
                is_true = match[2] in tail_names[match[1], "contraindicated_with"]
            elif match := re.fullmatch(r"Does (\w+) act on the (.+)\?", question):
                [remedy_class] = tail_names[match[1], "isa"]
                is_true = match[2] in tail_names[remedy_class, "acts_on"]
            else:
                match = re.fullmatch(r"Does the image show finding that (\w+) can treat\?", question)
                assert match, question
                is_true = bool(tail_names[match[1], "may_treat"] & image_findings)
            assert record["answer"] == ("yes" if is_true else "no"), record
            need_counts[record["needs"]] += 1
    assert set(need_counts) == {"image", "ontology", "both"}
    assert need_counts.total() == COUNT


def test_no_remedy_and_no_subject_is_in_two_parts(question_folder: Path) -> None:
    remedies = {record["head_name"] for record in _read_table(question_folder / "knowledge.csv")}

    def named_remedies(record: dict[str, str]) -> set[str]:
        return {word for word in re.findall(r"\w+", record["question"]) if word in remedies}

    def subjects(record: dict[str, str]) -> set[str]:
        return set(re.findall(r"/p(\d{8})/", record["image_name"]))

    for keys in (named_remedies, subjects):
        part_keys = [
            set[str]().union(*(keys(record) for record in _question_rows(question_folder, part_name)))
            for part_name in PARTS
        ]
        assert all(part_keys)
        assert not part_keys[0] & part_keys[1] | part_keys[0] & part_keys[2] | part_keys[1] & part_keys[2]


def test_answers_cannot_be_guessed_from_the_kind_of_question(question_folder: Path) -> None:
    answer_counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for question in _question_rows(question_folder, "train"):
        answer_counts[question["needs"], question["question_type"]][question["answer"]] += 1
    assert len(answer_counts) == 6
    for counts in answer_counts.values():
        assert 0.4 < counts["yes"] / counts.total() < 0.6


def test_the_loader_reads_them_and_what_they_need(question_folder: Path, question_studies_folder: Path) -> None:
    with pytest.raises(InputError, match="no closed question"):
        read_questions("phantom", question_folder, question_studies_folder)  # these studies have no pictures
    for part_name in PARTS:
        for record in _question_rows(question_folder, part_name):
            image_path = question_studies_folder / record["image_name"]
            image_path.parent.mkdir(parents=True, exist_ok=True)
            image_path.touch()
    questions, rejects = read_questions("phantom", question_folder, question_studies_folder)
    assert (len(questions), rejects) == (COUNT, [])
    assert Counter(question.part for question in questions) == {
        "train": COUNT * 0.8,
        "valid": COUNT * 0.1,
        "test": COUNT * 0.1,
    }
    assert {question.needs for question in questions} == {"image", "ontology", "both"}
    assert {question.dataset for question in questions} == {"phantom"}


def test_the_same_again_gives_the_same_files_and_another_seed_others(
    question_folder: Path, question_studies_folder: Path, tmp_path: Path
) -> None:
    contents = {file_path.name: file_path.read_bytes() for file_path in question_folder.iterdir()}
    question_set.build_question_set(question_studies_folder, question_folder, COUNT, 5, remedies=200)
    assert {file_path.name: file_path.read_bytes() for file_path in question_folder.iterdir()} == contents
    question_set.build_question_set(question_studies_folder, tmp_path, COUNT, 6, remedies=200)
    assert (tmp_path / "testset.json").read_bytes() != contents["testset.json"]


def test_other_folders(question_studies_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no synthetic studies here"):
        question_set.build_question_set(tmp_path, tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "trainset.json").write_text("[]", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises(UsageError, match=r"contains trainset\.json, which this command did not write"):
            question_set.build_question_set(question_studies_folder, tmp_path / "mine", 200, replace=replace)
    assert (tmp_path / "mine" / "trainset.json").read_text(encoding="utf-8") == "[]"
    for count, remedies in ((99, 200), (1_000_001, 200), (200, 19), (200, 1501)):
        with pytest.raises(UsageError):
            question_set.build_question_set(question_studies_folder, tmp_path / "y", count, remedies=remedies)
