"""`kgp pairs`: images and their reports in train, validation and test, for retrieval."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.construct import rejects_document, views_of
from kgplatform.cli.output import Json, echo, emit_json, format_table, note, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.batches import Reject
    from kgplatform.datasets.graph_studies import Used
    from kgplatform.datasets.pair_source import Pair

FEW = 3  # rows that are told one by one


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


def pairs(
    kind: Annotated[PairKind, typer.Argument(metavar="KIND", help="openi, mimic-cxr or iu-xray.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The data set's reports, and its images.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write. No text of a report stands in it.")],
    images: Annotated[Path | None, typer.Option(help="Where the images lie, if not in FOLDER.")] = None,
    views: Annotated[str, typer.Option(metavar="VIEW,…", help="Only images of these views, e.g. AP,PA.")] = "",
    protocol: Annotated[
        Protocol, typer.Option(help="What stays together: a subject's images, a report's, or (paper) nothing.")
    ] = Protocol.subject,
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take N pairs; the paper has 10000.")] = None,
    exclude_graph: Annotated[
        bool,
        typer.Option(
            "--exclude-graph/--no-exclude-graph", help="Leave out studies and subjects that are in the graph."
        ),
    ] = True,
    require_images: Annotated[
        bool,
        typer.Option(
            "--require-images/--no-require-images",
            help="Leave out images that are not there; without them sizes and overlaps can be told all the same.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and files give the same pairs.")] = 42,
    as_json: Json = False,
) -> None:
    """Pair images with their reports, split them 8:1:1, and show what the test part has in common with training."""
    from kgplatform.datasets import graph_studies
    from kgplatform.datasets import pair_checks as checks
    from kgplatform.datasets import pairs as pairing
    from kgplatform.errors import InputError
    from kgplatform.files import require_suffix

    require_suffix(out, ".parquet")
    graph_ids = _used() if exclude_graph else None
    unselected: dict[str, int] = {}
    all_pairs, rejects = pairing.read_pairs(
        kind.value,
        folder,
        images=images,
        views=views_of(views),
        require_images=require_images,
        left_out=unselected,
        progress=progress("reports"),
    )
    selected_pairs = graph_studies.exclude(all_pairs, *graph_ids) if graph_ids else all_pairs
    left_out = unselected | _reasons(rejects, len(all_pairs) - len(selected_pairs))
    if not selected_pairs:
        reasons_text = (
            ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "the data set has no image"
        )
        hint = "Give the folder of the images (--images), other --views, or --no-exclude-graph."
        raise InputError(f"there is no pair of an image and its report: {reasons_text}", hint, path=folder)
    if sample and sample > len(selected_pairs):
        note(f"{len(selected_pairs):,} pairs instead of {sample:,}: there are no more")
    selected_pairs = pairing.sample_pairs(selected_pairs, sample, seed) if sample else selected_pairs
    parts = pairing.partition_pairs(selected_pairs, protocol.value, seed)
    pair_set = pairing.PairSet(parts, kind.value, folder, images, protocol.value, seed)
    pair_set.write(out)
    part_sizes = {part_name: _sizes(parts[part_name]) for part_name in pairing.PARTS}
    overlaps_by_part = {part_name: checks.pair_overlaps(pair_set, part_name) for part_name in pairing.PARTS[1:]}
    if as_json:
        description = {"file": str(out), "kind": kind.value, "protocol": protocol.value, "seed": seed}
        rejections = {"left_out": left_out, "left_out_rows": rejects_document(rejects), "in_training": overlaps_by_part}
        emit_json({**description, "sha256": pair_set.sha256, "parts": part_sizes, **rejections})
        return
    echo(f"{counted(len(selected_pairs), 'pairs')} in {out}, by {protocol.value}\nsha256 {pair_set.sha256}")
    echo("\n" + format_table([{"part": part_name, **part_sizes[part_name]} for part_name in part_sizes]))
    _print_left_out(left_out, rejects)
    titles = {"report": "report", "text": "text, or another report's same text", "subject": "subject"}
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


def _sizes(pairs: list[Pair]) -> dict[str, int]:
    return {
        "pairs": len(pairs),
        "studies": len({pair.study for pair in pairs}),
        "subjects": len({pair.subject for pair in pairs} - {""}),
        "texts": len({pair.wording for pair in pairs}),
    }


def _reasons(rejects: list[Reject], of_graph: int) -> dict[str, int]:
    """How many were left out for each reason. A row that is no report has its own reason."""
    from kgplatform.datasets.pair_source import NO_IMAGE, NO_TEXT, OUTSIDE, TWICE

    plain_reasons = {
        NO_TEXT: "without findings and impression",
        NO_IMAGE: "without an image there",
        OUTSIDE: "with a path that is empty or leads out of the folder",
        TWICE: "of an image that stands there twice",
    }
    reason_counts = Counter(plain_reasons.get(reject.reason, "rows that are no report") for reject in rejects)
    return dict(reason_counts) | ({"of the graph's studies and subjects": of_graph} if of_graph else {})


def _print_left_out(left_out: dict[str, int], rejects: list[Reject]) -> None:
    reason_rows: list[dict[str, Any]] = [{"left out": reason, "count": count} for reason, count in left_out.items()]
    if reason_rows:
        echo("\n" + format_table(reason_rows))
    for reject in rejects[:FEW]:
        echo(f"  {reject.path}, row {reject.row}: {reject.reason}")
