"""`kgp split`: an export's triples in train, validation and test."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table


class SplitName(StrEnum):
    """How triples are dealt out."""

    paper = "paper"
    leakage_free = "leakage-free"
    inductive = "inductive"


def split_command(
    kind: Annotated[SplitName, typer.Argument(metavar="KIND", help="paper, leakage-free or inductive.")],
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="The folder of a `kgp export`.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write, outside the export's folder.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed and export give the same split.")] = 42,
    as_json: Json = False,
) -> None:
    """Split an export 8:1:1 into train, valid and test, and show what the test part gives away."""
    from kgplatform.datasets.splits import write_split
    from kgplatform.files import require_suffix

    require_suffix(out, ".parquet")
    triple_split, leak_counts = write_split(kind.value, export, out, seed)
    part_sizes = triple_split.sizes
    if as_json:
        description = {"file": str(out), "kind": triple_split.kind, "seed": seed, **part_sizes}
        emit_json({**description, "sha256": triple_split.sha256, "leak": leak_counts})
        return
    echo(
        ", ".join(f"{size:,} {part_name}" for part_name, size in part_sizes.items())
        + f" in {out}\nsha256 {triple_split.sha256}"
    )
    _print_leak(leak_counts)


def _print_leak(leak_counts: Mapping[str, Mapping[str, int]]) -> None:
    titles = {
        "test": "Triples",
        "reversed": "  known from training in the other direction",
        "parallel": "  known from training with another relation",
        "either": "  either",
        "unseen_entities": "Entities not in training",
        "triples_with_unseen": "  triples with one of them",
    }
    echo(
        "\n"
        + format_table(
            [
                {
                    "": titles[measure_name],
                    **{part_name: leak_counts[part_name][measure_name] for part_name in leak_counts},
                }
                for measure_name in titles
            ]
        )
    )
