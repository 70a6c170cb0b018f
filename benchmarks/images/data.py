"""OpenI's radiographs with the heads of the MeSH codes that its indexers assigned, in R2Gen's parts.

Training and validation are R2Gen's train and val parts (`iu_xray/annotation.json`, the VLM-KG paper's data); held out
are the studies of `openi_xray` that are in neither. A study is one patient's, as far as OpenI tells. The codes `normal`
and `No Indexing` are no findings.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.construct.mesh import NO_FINDINGS, gold_codes
from kgp_models.images.examples import ImageExamples, LabelledImage, Link
from kgplatform.schema import Stance

DATASET: Final = "OpenI"
FRONTAL: Final = "Frontal"
LATERAL: Final = "Lateral"
TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held-out"
SEPARATOR: Final = "/"  # between a head and a qualifier, in a link's name
PARTS: Final = (TRAIN, VALIDATION, HELD_OUT)
_R2GEN_PARTS: Final = {"train": TRAIN, "val": VALIDATION}
_STUDY: Final = re.compile(r"CXR(\d+)_")


def head_links(mesh: str) -> frozenset[Link]:
    """The heads of a study's codes, as links."""
    heads = {code[0] for code in gold_codes(mesh)} - NO_FINDINGS - {""}
    return frozenset(Link(Stance.POSITIVE.value, head, head) for head in heads)


def code_links(mesh: str) -> frozenset[Link]:
    """Each head with each of its anatomies, sides and qualifiers, as links that are learnt next to the heads."""
    pairs = {
        f"{code[0]}{SEPARATOR}{term}" for code in gold_codes(mesh) if code[0] not in NO_FINDINGS for term in code[1:]
    }
    return frozenset(Link(Stance.POSITIVE.value, pair, pair) for pair in pairs)


def r2gen_parts(data: Path) -> dict[str, str]:
    """The part of each study that R2Gen uses, by OpenI's uid."""
    annotation = json.loads((data / "iu_xray" / "annotation.json").read_text(encoding="utf-8"))
    parts = {}
    for r2gen_part, part in _R2GEN_PARTS.items():
        for entry in annotation[r2gen_part]:
            study = _STUDY.match(entry["id"])
            if study is not None:
                parts[study[1]] = part
    return parts


def read_mesh_images(
    data: Path, views: Sequence[str] = (FRONTAL,), *, has_code_parts: bool = False, has_reports: bool = False
) -> Mapping[str, ImageExamples]:
    """The radiographs of these views by part, in the order of the studies; each has its study's links: the heads, and
    with `has_code_parts` each head with each of its qualifiers; with `has_reports` also its findings and impression.
    """
    folder = data / "openi_xray"
    links_by_study, report_by_study = {}, {}
    with (folder / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            further_links = code_links(row["MeSH"]) if has_code_parts else frozenset()
            links_by_study[row["uid"]] = head_links(row["MeSH"]) | further_links
            report_by_study[row["uid"]] = f"{row['findings']} {row['impression']}".strip() if has_reports else ""
    part_by_study = r2gen_parts(data)
    images_by_part: dict[str, list[LabelledImage]] = {part: [] for part in PARTS}
    with (folder / "indiana_projections.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = folder / "images" / row["filename"]
            if row["projection"] not in views or row["uid"] not in links_by_study or not path.is_file():
                continue
            images_by_part[part_by_study.get(row["uid"], HELD_OUT)].append(
                LabelledImage(
                    row["filename"],
                    path,
                    row["uid"],
                    links_by_study[row["uid"]],
                    dataset=DATASET,
                    view=row["projection"],
                    report=report_by_study[row["uid"]],
                )
            )
    return {part: ImageExamples(images) for part, images in images_by_part.items()}
