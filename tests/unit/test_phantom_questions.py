"""Invented questions: every answer follows from what is drawn and from the facts, and none can be guessed."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.phantom import question_set
from kgp_loaders.phantom.study_set import build as build_studies
from kgplatform.errors import InputError, UsageError
from kgplatform.vqa.questions import read

PARTS = ("train", "valid", "test")
COUNT = 3000


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies without their pictures."""
    folder = tmp_path_factory.mktemp("studies")
    build_studies(folder, 400, 5, images=False)
    return folder


@pytest.fixture(scope="module")
def made(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    question_set.build(studies, folder, COUNT, 5, remedies=200)
    return folder


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / f"{part}set.json").read_text(encoding="utf-8"))
    return found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def facts(folder: Path) -> dict[tuple[str, str], set[str]]:
    """By name and relation: the names of the tails."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in table(folder / "knowledge.csv"):
        found[row["head_name"], row["relation"]].add(row["tail_name"])
    return found


def test_every_answer_follows_from_what_is_drawn_and_from_the_facts(made: Path, studies: Path) -> None:
    known, shown = facts(made), defaultdict(set)
    for row in table(studies / "truth" / "shown.csv"):
        shown[row["study_id"]].add(row["finding"])
    names = {"nodule": "lung nodule", "mass": "lung mass", "interstitial opacities": "interstitial opacity"}
    asked = Counter[str]()
    for part in PARTS:
        for row in rows(made, part):
            [study] = re.findall(r"/s(\d+)/", row["image_name"])
            there = {names.get(key, key) for key in shown[study]}
            question = re.sub(r"\b(a|an) ", "", row["question"])
            for key, name in names.items():
                question = re.sub(rf"(?<!lung )\b{key}\b", name, question)
            if found := re.fullmatch(r"Is there (.+)\?", question):
                right = found[1] in there
            elif found := re.fullmatch(r"Can (\w+) treat (.+)\?", question):
                right = found[2] in known[found[1], "may_treat"]
            elif found := re.fullmatch(r"Is (\w+) contraindicated with what the image shows\?", question):
                right = bool(known[found[1], "contraindicated_with"] & there)
            elif found := re.fullmatch(r"Is (\w+) contraindicated with (.+)\?", question):
                right = found[2] in known[found[1], "contraindicated_with"]
            elif found := re.fullmatch(r"Does (\w+) act on the (.+)\?", question):
                [kind] = known[found[1], "isa"]
                right = found[2] in known[kind, "acts_on"]
            else:
                found = re.fullmatch(r"Does the image show finding that (\w+) can treat\?", question)
                assert found, question
                right = bool(known[found[1], "may_treat"] & there)
            assert row["answer"] == ("yes" if right else "no"), row
            asked[row["needs"]] += 1
    assert set(asked) == {"image", "ontology", "both"}
    assert asked.total() == COUNT


def test_no_remedy_and_no_subject_is_in_two_parts(made: Path) -> None:
    remedies = {row["head_name"] for row in table(made / "knowledge.csv")}
    for what in (
        lambda row: {word for word in re.findall(r"\w+", row["question"]) if word in remedies},
        lambda row: set(re.findall(r"/p(\d{8})/", row["image_name"])),
    ):
        sides = [set().union(*(what(row) for row in rows(made, part))) for part in PARTS]
        assert all(sides)
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


def test_answers_cannot_be_guessed_from_the_kind_of_question(made: Path) -> None:
    counted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows(made, "train"):
        counted[row["needs"], row["question_type"]][row["answer"]] += 1
    assert len(counted) == 6
    for counts in counted.values():
        assert 0.4 < counts["yes"] / counts.total() < 0.6


def test_the_loader_reads_them_and_what_they_need(made: Path, studies: Path) -> None:
    with pytest.raises(InputError, match="no closed question"):
        read("phantom", made, studies)  # these studies have no pictures
    for part in PARTS:
        for row in rows(made, part):
            path = studies / row["image_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found, rejects = read("phantom", made, studies)
    assert (len(found), rejects) == (COUNT, [])
    assert Counter(one.part for one in found) == {"train": COUNT * 0.8, "valid": COUNT * 0.1, "test": COUNT * 0.1}
    assert {one.needs for one in found} == {"image", "ontology", "both"}
    assert {one.dataset for one in found} == {"phantom"}


def test_the_same_again_gives_the_same_files_and_another_seed_others(made: Path, studies: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    question_set.build(studies, made, COUNT, 5, remedies=200)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    question_set.build(studies, tmp_path, COUNT, 6, remedies=200)
    assert (tmp_path / "testset.json").read_bytes() != before["testset.json"]


def test_other_folders(studies: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no invented studies here"):
        question_set.build(tmp_path, tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "trainset.json").write_text("[]", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises(UsageError, match=r"holds trainset\.json, which this command did not write"):
            question_set.build(studies, tmp_path / "mine", 200, replace=replace)
    assert (tmp_path / "mine" / "trainset.json").read_text(encoding="utf-8") == "[]"
    for count, remedies in ((99, 200), (1_000_001, 200), (200, 19), (200, 1501)):
        with pytest.raises(UsageError):
            question_set.build(studies, tmp_path / "y", count, remedies=remedies)
