"""Small sources for tests, in the form loaders give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MEDMKG_HEADER = "Head,Relation,Tail,Head_Name,Tail_Name"


def write_medmkg(folder: Path, rows: list[str], mapping: list[str] | None = None) -> Path:
    """A folder in the form of the release."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MedMKG.csv").write_text("\n".join([MEDMKG_HEADER, *rows]) + "\n", encoding="utf-8")
    if mapping is not None:
        mapping_text = "\n".join(["IID,Image_Path", *mapping]) + "\n"
        (folder / "image_mapping.csv").write_text(mapping_text, encoding="utf-8")
    return folder


def small_rows(images: int = 40, concepts: int = 30) -> list[str]:
    """A regular little graph: each image has three stances, concepts form a two-way chain."""
    medmkg_rows = []
    for image_number in range(images):
        for stance_number, stance in enumerate(("POSITIVE", "NEGATIVE", "UNCERTAIN")):
            tail_cui = f"C99{(image_number * 3 + stance_number * 7) % concepts:05d}"
            image_id = f"I{10_000_000 + image_number}"
            medmkg_rows.append(f"{image_id},{stance},{tail_cui},Image_{image_id},finding {tail_cui}")
    for chain_index in range(concepts - 1):
        first_cui, second_cui = f"C99{chain_index:05d}", f"C99{chain_index + 1:05d}"
        medmkg_rows += [
            f"{first_cui},isa,{second_cui},finding {first_cui},finding {second_cui}",
            f"{second_cui},inverse_isa,{first_cui},finding {second_cui},finding {first_cui}",
        ]
    return medmkg_rows


class Handmade:
    """A source from batches made by hand; its identity is its name."""

    kind = "handmade"
    version = 1

    def __init__(self, file: Path, batches: list[Any], name: str = "a") -> None:
        self.files: tuple[Path, ...] = (file,)
        self.parameters: Mapping[str, Any] = {"name": name}
        self._batches = batches
        if not file.exists():
            file.write_text(name, encoding="utf-8")

    def batches(self, size: int) -> Iterator[Any]:
        """The batches, regardless of the size."""
        del size
        yield from self._batches
