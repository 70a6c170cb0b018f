"""`kgp pairs`: images and their reports in train, validation and test, for retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.construct import parse_views, rejects_document
from kgplatform.cli.output import Json, echo, emit_json, format_table, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.batches import Reject
    from kgplatform.datasets.graph_studies import Used
    from kgplatform.datasets.pair_making import WrittenPairs

FEW = 3  # rows that are reported one by one


class PairKind(StrEnum):
    """`kgplatform.datasets.pair_source.KINDS`, here so that help does not load it."""

    openi = "openi"
    mimic_cxr = "mimic-cxr"
    iu_xray = "iu-xray"


class Protocol(StrEnum):
    """`kgplatform.datasets.pairs.PROTOCOLS`, here so that help does not load it."""

    subject = "subject"
    report = "report"
    paper = "paper"


ExcludeGraph = Annotated[
    bool,
    typer.Option("--exclude-graph/--no-exclude-graph", help="Leave out studies and subjects that are in the graph."),
]
RequireImages = Annotated[
    bool,
    typer.Option(
        "--require-images/--no-require-images",
        help="Leave out images without a file; --no-require-images shows sizes and overlaps without the files.",
    ),
]


def pairs(
    kind: Annotated[PairKind, typer.Argument(metavar="KIND", help="openi, mimic-cxr or iu-xray.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The data set's reports, and its images.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write. It contains no report text.")],
    images: Annotated[Path | None, typer.Option(help="Where the images are, if not in FOLDER.")] = None,
    views: Annotated[str, typer.Option(metavar="VIEW,…", help="Only images of these views, e.g. AP,PA.")] = "",
    protocol: Annotated[
        Protocol, typer.Option(help="What stays together: a subject's images, a report's, or (paper) nothing.")
    ] = Protocol.subject,
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take N pairs; the paper has 10000.")] = None,
    exclude_graph: ExcludeGraph = True,
    require_images: RequireImages = True,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and files give the same pairs.")] = 42,
    as_json: Json = False,
) -> None:
    """Pair images with their reports, split them 8:1:1, and show what the test part has in common with training."""
    from kgplatform.datasets.pair_making import make_pairs
    from kgplatform.files import require_suffix

    require_suffix(out, ".parquet")
    written = make_pairs(
        kind.value,
        folder,
        out,
        images=images,
        views=parse_views(views) or (),
        protocol=protocol.value,
        sample=sample,
        used=_used() if exclude_graph else None,
        require_images=require_images,
        seed=seed,
        progress=progress("reports"),
    )
    if as_json:
        emit_json(_document(written, out))
    else:
        _print(written, out)


def _document(written: WrittenPairs, out: Path) -> dict[str, Any]:
    pair_set = written.pair_set
    description = {"file": str(out), "kind": pair_set.kind, "protocol": pair_set.protocol, "seed": pair_set.seed}
    rejections = {"left_out": written.left_out, "left_out_rows": rejects_document(written.rejects)}
    parts = {"sha256": pair_set.sha256, "parts": written.part_sizes}
    return {**description, **parts, **rejections, "in_training": written.overlaps}


def _print(written: WrittenPairs, out: Path) -> None:
    pair_set, part_sizes, overlaps_by_part = written.pair_set, written.part_sizes, written.overlaps
    echo(f"{counted(len(pair_set.pairs), 'pairs')} in {out}, by {pair_set.protocol}\nsha256 {pair_set.sha256}")
    echo("\n" + format_table([{"part": part_name, **part_sizes[part_name]} for part_name in part_sizes]))
    _print_left_out(written.left_out, written.rejects)
    titles = {"report": "report", "text": "text, or the same text of another report", "subject": "subject"}
    overlap_rows = [
        {
            "in training, too": titles[overlap_kind],
            **{part_name: overlaps_by_part[part_name][overlap_kind] for part_name in overlaps_by_part},
        }
        for overlap_kind in titles
    ]
    echo("\n" + format_table(overlap_rows))


def _used() -> Used:
    """What the graph was built from."""
    from kgplatform.connect import open_graph
    from kgplatform.datasets.graph_studies import graph_images
    from kgplatform.errors import ConnectionFailed, ServerError

    try:
        with open_graph() as graph:
            return graph_images(graph)
    except (ServerError, ConnectionFailed) as error:
        error.hint = f"{error.hint} Without a graph: --no-exclude-graph.".strip()
        raise


def _print_left_out(left_out: Mapping[str, int], rejects: Sequence[Reject]) -> None:
    reason_rows: list[dict[str, Any]] = [{"left out": reason, "count": count} for reason, count in left_out.items()]
    if reason_rows:
        echo("\n" + format_table(reason_rows))
    for reject in rejects[:FEW]:
        echo(f"  {reject.path}, row {reject.row}: {reject.reason}")
