"""`kgp split`: an export's triples in train, validation and test."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, table


class SplitName(StrEnum):
    """How triples are dealt out."""

    paper = "paper"
    leakage_free = "leakage-free"
    inductive = "inductive"


def split(
    kind: Annotated[SplitName, typer.Argument(metavar="KIND", help="paper, leakage-free or inductive.")],
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="The folder of a `kgp export`.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write, outside the export's folder.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed and export give the same split.")] = 42,
    as_json: Json = False,
) -> None:
    """Split an export 8:1:1 into train, valid and test, and show what the test part gives away."""
    from kgplatform.export import splits
    from kgplatform.export.triples import Triples

    made = splits.make(kind.value, Triples.read(export), seed)
    made.write(out)
    sizes = {part: len(made.part(part)) for part in splits.PARTS}
    leaks = {part: splits.leak(made, part).as_dict() for part in splits.PARTS[1:]}
    if as_json:
        emit_json({"file": str(out), "kind": made.kind, "seed": seed, **sizes, "sha256": made.sha256, "leak": leaks})
        return
    echo(", ".join(f"{size:,} {part}" for part, size in sizes.items()) + f" in {out}\nsha256 {made.sha256}")
    titles = {
        "test": "Triples",
        "reversed": "  known from training the other way round",
        "parallel": "  known from training with another relation",
        "either": "  either",
        "unseen_entities": "Entities not in training",
        "triples_with_unseen": "  triples with one of them",
    }
    echo("\n" + table([{"": titles[k], **{part: leaks[part][k] for part in leaks}} for k in titles]))
