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
        lines = "\n".join(["IID,Image_Path", *mapping]) + "\n"
        (folder / "image_mapping.csv").write_text(lines, encoding="utf-8")
    return folder


def small_rows(images: int = 40, concepts: int = 30) -> list[str]:
    """A regular little graph: each image has three stances, concepts form a two-way chain."""
    rows = []
    for i in range(images):
        for j, stance in enumerate(("POSITIVE", "NEGATIVE", "UNCERTAIN")):
            tail = f"C99{(i * 3 + j * 7) % concepts:05d}"
            rows.append(f"I{10_000_000 + i},{stance},{tail},Image_I{10_000_000 + i},finding {tail}")
    for c in range(concepts - 1):
        a, b = f"C99{c:05d}", f"C99{c + 1:05d}"
        rows += [f"{a},isa,{b},finding {a},finding {b}", f"{b},inverse_isa,{a},finding {b},finding {a}"]
    return rows


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
        """The batches, whatever the size."""
        del size
        yield from self._batches
