"""A tiny world for tests of VQA: pictures of bright squares, questions about them and about remedies, and a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from kgp_models.retrieval.backbone import Backbone
from kgp_models.vqa.build import Inputs
from kgplatform.retrieval.knowledge import GraphImage, Knowledge
from kgplatform.vqa.questions import Question, QuestionSet
from tests.unit import retrieval_world as pictures

FINDINGS = pictures.CONCEPTS
REMEDIES = ("zorevane", "kelatrim", "bamidine", "tivozol", "ralumab", "munapril", "dexocet", "folifan")
TREATS = ((0, 1), (1, 2), (2, 3), (0, 3), (1,), (2,), (0, 2), (3,))  # findings, by remedy
RELATIONS = ("isa", "may_treat")
CUIS = tuple(f"C{n:07d}" for n in range(len(FINDINGS) + len(REMEDIES)))


def drawn(folder: Path, count: int, seed: int) -> list[list[int]]:
    """Write pictures 0.png, 1.png, …; gives what each shows."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = pictures.shown_by(count, seed)
    for number, row in enumerate(shown):
        Image.fromarray(pictures.picture(row, seed * 1000 + number)[0].numpy()).save(folder / f"{number}.png")
    return shown


def knowledge(folder: Path, count: int = 24, seed: int = 5) -> Knowledge:
    """A graph whose images are written into a folder, and in which remedies treat findings."""
    stances = []
    for image, row in enumerate(drawn(folder, count, seed)):
        stances += [(image, 0, concept) for concept in row]
        stances += [(image, 2, concept) for concept in range(len(FINDINGS)) if concept not in row][:1]
    relations = [(len(FINDINGS) + n, 1, finding) for n, those in enumerate(TREATS) for finding in those]
    return Knowledge(
        [GraphImage(f"I{10_000_000 + n}", f"{n}.png") for n in range(count)],
        CUIS,
        (*FINDINGS, *REMEDIES),
        RELATIONS,
        np.array(stances, dtype=np.int64),
        np.array(relations, dtype=np.int64),
    )


def questions(folder: Path, count: int = 30, seed: int = 9) -> QuestionSet:
    """Of each picture whether a finding is there, and whether a remedy treats one; the last tenths are tested."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[Question]] = {"train": [], "valid": [], "test": []}
    for number, row in enumerate(drawn(folder, count, seed)):
        part = "train" if number < count * 0.7 else "valid" if number < count * 0.85 else "test"
        finding, remedy = int(rng.integers(len(FINDINGS))), int(rng.integers(len(REMEDIES)))
        asked = [
            (f"Is there {FINDINGS[finding]}?", finding in row, "image"),
            (f"Can {REMEDIES[remedy]} treat {FINDINGS[finding]}?", finding in TREATS[remedy], "ontology"),
        ]
        for text, yes, needs in asked:
            path = folder / f"{number}.png"
            parts[part].append(
                Question(f"{number} {needs}", text, "yes" if yes else "no", path.name, path, "tiny", part, needs=needs)
            )
    return QuestionSet(parts, "official", seed)


def backbone() -> Backbone:
    """A tiny frozen backbone."""
    return pictures.backbone(frozen=True).eval()


def inputs(folder: Path) -> Inputs:
    """Questions, graph and the graph's images."""
    return Inputs(questions(folder / "asked"), knowledge(folder / "graph"), folder / "graph")
