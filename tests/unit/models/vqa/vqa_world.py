"""A tiny world for tests of VQA: pictures of bright squares, questions about them and about remedies, and a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from kgp_models.towers.backbone import Backbone
from kgp_models.vqa.build import VQAInputs
from kgplatform.datasets.knowledge import GraphImage, Knowledge
from kgplatform.datasets.questions import Question, QuestionSet
from tests.unit.models.retrieval import retrieval_world as pictures

FINDINGS = pictures.CONCEPTS
REMEDIES = ("zorevane", "kelatrim", "bamidine", "tivozol", "ralumab", "munapril", "dexocet", "folifan")
TREATS = ((0, 1), (1, 2), (2, 3), (0, 3), (1,), (2,), (0, 2), (3,))  # findings, by remedy
RELATIONS = ("isa", "may_treat")
CUIS = tuple(f"C{number:07d}" for number in range(len(FINDINGS) + len(REMEDIES)))


def write_pictures(folder: Path, count: int, seed: int) -> list[list[int]]:
    """Write pictures 0.png, 1.png, …; gives what each shows."""
    folder.mkdir(parents=True, exist_ok=True)
    image_findings = pictures.random_squares(count, seed)
    for number, findings in enumerate(image_findings):
        Image.fromarray(pictures.bright_squares_picture(findings, seed * 1000 + number)[0].numpy()).save(
            folder / f"{number}.png"
        )
    return image_findings


def remedy_knowledge(folder: Path, count: int = 24, seed: int = 5) -> Knowledge:
    """A graph whose images are written into a folder, and in which remedies treat findings."""
    stances = []
    for image, findings in enumerate(write_pictures(folder, count, seed)):
        stances += [(image, 0, concept) for concept in findings]
        stances += [(image, 2, concept) for concept in range(len(FINDINGS)) if concept not in findings][:1]
    relations = [(len(FINDINGS) + number, 1, finding) for number, treated in enumerate(TREATS) for finding in treated]
    return Knowledge(
        [GraphImage(f"I{10_000_000 + number}", f"{number}.png") for number in range(count)],
        CUIS,
        (*FINDINGS, *REMEDIES),
        RELATIONS,
        np.array(stances, dtype=np.int64),
        np.array(relations, dtype=np.int64),
    )


def finding_question_set(folder: Path, count: int = 30, seed: int = 9) -> QuestionSet:
    """Of each picture whether a finding is there, and whether a remedy treats one; the last tenths are tested."""
    generator = np.random.default_rng(seed)
    parts: dict[str, list[Question]] = {"train": [], "valid": [], "test": []}
    for number, findings in enumerate(write_pictures(folder, count, seed)):
        part_name = "train" if number < count * 0.7 else "valid" if number < count * 0.85 else "test"
        finding, remedy = int(generator.integers(len(FINDINGS))), int(generator.integers(len(REMEDIES)))
        image_questions = [
            (f"Is there {FINDINGS[finding]}?", finding in findings, "image"),
            (f"Can {REMEDIES[remedy]} treat {FINDINGS[finding]}?", finding in TREATS[remedy], "ontology"),
        ]
        for question_text, is_true, needs in image_questions:
            image_path = folder / f"{number}.png"
            parts[part_name].append(
                Question(
                    f"{number} {needs}",
                    question_text,
                    "yes" if is_true else "no",
                    image_path.name,
                    image_path,
                    "tiny",
                    part_name,
                    needs=needs,
                )
            )
    return QuestionSet(parts, "official", seed)


def tiny_frozen_backbone() -> Backbone:
    """A tiny frozen backbone."""
    return pictures.tiny_retrieval_backbone(frozen=True).eval()


def tiny_vqa_inputs(folder: Path) -> VQAInputs:
    """Questions, graph and the graph's images."""
    return VQAInputs(finding_question_set(folder / "asked"), remedy_knowledge(folder / "graph"), folder / "graph")
