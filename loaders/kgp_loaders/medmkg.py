"""The MedMKG release: `MedMKG.csv` (triples) and `image_mapping.csv` (where each image is in MIMIC-CXR-JPG).

    Head,Relation,Tail,Head_Name,Tail_Name
    I50978146,POSITIVE,C0032285,Image_I50978146,Pneumonia
    C0024109,finding_site_of,C0032285,Lung,Pneumonia

Stance edges join an image to a concept, UMLS relations join two different concepts; an image is never a tail
(MedMKG §3.1). The mapping lists every image of the pool before filtering, so it only completes images of the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from kgp_loaders import tabular
from kgp_loaders.medmkg_release import release_folder
from kgp_loaders.tabular import open_table
from kgplatform.batches import GraphBatch, NodeRef
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID, CONCEPT_ID_FORM, IMAGE_ID, relation_problem

TRIPLES: Final = ("Head", "Relation", "Tail", "Head_Name", "Tail_Name")
MAPPING: Final = ("IID", "Image_Path")
DATASET: Final = "MIMIC-CXR"
MAX_NAME: Final = 10_000  # characters
MAX_PATH: Final = 4_096  # characters

# The start of a path that is absolute, a URL or a drive, or has a '..' component.
_OUTSIDE: Final = re.compile(r"[/\\]|[A-Za-z][A-Za-z0-9+.-]*:|(.*[/\\])?\.\.([/\\]|$)")
_SUBJECT: Final = re.compile(r"(?:^|/)p(?P<subject>[0-9]{1,18})/s[0-9]+/")


class MedMKG:
    """The release as a `kgplatform.batches.Source`: first the triples, then the mapping's rows as `enrich` batches."""

    kind = "medmkg"
    version = 1

    def __init__(self, csv: Path, mapping: Path | None = None) -> None:
        self.csv = csv
        self.mapping = mapping
        self.files = (csv,) if mapping is None else (csv, mapping)
        self.parameters: Mapping[str, Any] = {}

    @classmethod
    def find(cls, path: Path | None = None, mapping: Path | None = None) -> MedMKG:
        """The release in a folder, with its mapping when that exists, or in a single CSV file; without a path the one
        of `kgp_loaders.medmkg_release.release_folder`.

        Raises `InputError` when the folder or file is missing.
        """
        path = release_folder() if path is None else path
        if not path.is_dir():
            return cls(_present(path), mapping and _present(mapping))
        default_mapping = path / "image_mapping.csv"
        return cls(
            _present(path / "MedMKG.csv"),
            _present(mapping) if mapping else default_mapping if default_mapping.exists() else None,
        )

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` rows. Raises `InputError` where a file as a whole is unusable."""
        triples = open_table(self.csv).rows(TRIPLES)
        mapping = None if self.mapping is None else open_table(self.mapping).rows(MAPPING)
        yield from tabular.batches(self.csv, triples, size, _add_triple)
        if self.mapping is not None and mapping is not None:
            yield from tabular.batches(self.mapping, mapping, size, _add_mapping, enrich=True)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise InputError("no such file", "Give the folder or the CSV file of the MedMKG release.", path=path)
    return path


def _add_triple(batch: GraphBatch, head: str, relation: str, tail: str, head_name: str, tail_name: str) -> str | None:
    """Put the triple into the batch, or return why it is none of MedMKG's."""
    head_label = "Image" if IMAGE_ID.fullmatch(head) else "Concept"
    if head_label == "Concept" and not CONCEPT_ID.fullmatch(head):
        return f"the head is neither an image (I and digits) nor a concept ({CONCEPT_ID_FORM})"
    if not CONCEPT_ID.fullmatch(tail):
        return f"the tail is not a concept ({CONCEPT_ID_FORM})"
    if head == tail:
        return "a concept cannot be related to itself"
    if len(head_name) > MAX_NAME or len(tail_name) > MAX_NAME:
        return f"a name is longer than {MAX_NAME:,} characters"
    problem = _relation_problem(relation, head_label)
    if problem is not None:
        return problem
    head_ref: NodeRef = (head_label, head)
    tail_ref: NodeRef = ("Concept", tail)
    # The first value of a property stays, within a batch as in the graph.
    if head_label == "Concept":
        _name(batch, head_ref, head_name)
    elif head_ref not in batch.nodes:
        batch.nodes[head_ref] = {"dataset": DATASET, "study_id": head[1:]}  # ids are I and the study, one image a study
    _name(batch, tail_ref, tail_name)
    batch.edges[head_ref, relation, tail_ref] = {}
    return None


def _add_mapping(batch: GraphBatch, image_id: str, path: str) -> str | None:
    """Put the image's path into the batch, or return why it may not be there."""
    if not IMAGE_ID.fullmatch(image_id):
        return "the image id is not I and digits"
    if not path or len(path) > MAX_PATH or not path.isprintable():
        return f"the path is empty, longer than {MAX_PATH:,} characters or not printable"
    if _OUTSIDE.match(path):
        return "the path is absolute, a URL, or leads outside with '..'"
    subject_match = _SUBJECT.search(path)
    properties = {"path": path, "subject_id": subject_match["subject"]} if subject_match else {"path": path}
    batch.nodes["Image", image_id] = {**properties, **batch.nodes.get(("Image", image_id), {})}
    return None


def _name(batch: GraphBatch, concept: NodeRef, concept_name: str) -> None:
    if not batch.nodes.get(concept):
        batch.nodes[concept] = {"name": concept_name} if concept_name else {}


@lru_cache(maxsize=4096)
def _relation_problem(relation: str, head: str) -> str | None:
    return relation_problem(relation, head, "Concept")
