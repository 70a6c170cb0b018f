"""`kgp generate`: triplets from radiographs and reports, straight into the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform import trained_on
from kgplatform.cli.construct import parse_views, rejects_document, report_rejects
from kgplatform.cli.output import AnyModality, Json, echo, emit_json, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.batches import Reject
    from kgplatform.generate.inputs import GenerationInputs
    from kgplatform.generate.pipeline import MakeBackend
    from kgplatform.generate.run import GenerationOutcome

MAX_PROBLEMS = 5  # problems and unsupported triplets that are printed


Reports = Annotated[Path | None, typer.Option(help="Their reports: a CSV or JSON Lines file, or a data set's folder.")]
Views = Annotated[
    str | None,
    typer.Option(metavar="VIEW,…", help="For a data set, only images of these views [default: the loader's]."),
]
Model = Annotated[
    Path | None,
    typer.Option(help="A generator's folder (`kgp train generator`) [default: the small one of the package]."),
]
VisionFolder = Annotated[
    str | None, typer.Option(metavar="KIND:FOLDER", help="Where its vision encoder is, if it has moved.")
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(min=0.0, max=5.0, help="0 prefers short replies [default: what was best in the model's validation]."),
]
TokenReward = Annotated[
    float | None,
    typer.Option(min=0.0, max=5.0, help="The more, the longer replies are [default: what was best in validation]."),
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1024,
        help="Draw so many replies, and write the triplets that a --share of them has; 0: the most probable reply "
        "[default: what was best in validation].",
    ),
]
Share = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="Of the drawn replies [default: what was best in validation].")
]
OnRay = Annotated[bool, typer.Option("--ray", help="Generate on Ray Data, a model on each GPU.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing to the graph; print what would change.")]
Constrained = Annotated[
    bool, typer.Option("--constrained", help="Allow only triplets with known relations (xgrammar).")
]
Lexicon = Annotated[
    list[Path] | None, typer.Option(help="Also link by these names: a table, or a folder of UMLS; may be repeated.")
]
Construction = Annotated[
    Path | None,
    typer.Option(metavar="FILE|DIR", help="Link by the lexicon of this construct.yaml [default: that of --images]."),
]
ServedModel = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Use this vision model on a server instead of a checkpoint.")
]
ServedURL = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The URL of its OpenAI-compatible endpoint [default: Ollama on this machine]."),
]
RemoteConsent = Annotated[
    bool, typer.Option("--remote-consent", help="Confirm that you may send the images and reports to another machine.")
]
Images = Annotated[
    Path, typer.Option(help="A folder of radiographs (PNG, JPEG, TIFF, DICOM), one radiograph, a data set, or a table.")
]


def generate_command(
    images: Images,
    reports: Reports = None,
    image_only: Annotated[bool, typer.Option("--image-only", help="Leave out the reports of a data set.")] = False,
    views: Views = None,
    model: Model = None,
    vision: VisionFolder = None,
    beams: Annotated[int, typer.Option(min=1, help="Beams of the search.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="The longest reply, in tokens.")] = 512,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    constrained: Constrained = False,
    length_penalty: LengthPenalty = None,
    token_reward: TokenReward = None,
    samples: Samples = None,
    share: Share = None,
    lexicon: Lexicon = None,
    construction: Construction = None,
    any_modality: AnyModality = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only this many images, the first ones.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also append replies to this file of JSON Lines.")] = None,
    llm: ServedModel = None,
    llm_url: ServedURL = None,
    remote_consent: RemoteConsent = False,
    ray: OnRay = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Generate triplets from radiographs, with their reports or alone, and write them into the graph.

    The generator that comes with the package was trained on synthetic images only: for real images it writes findings
    that are not there, and a warning says so. It is not known what a served model (--llm) was trained on.
    An image that this model has processed with these settings is skipped, so an interrupted command continues.
    """
    decoding = (beams, max_new_tokens, batch, constrained, length_penalty, token_reward, samples, share)
    if llm is None:
        make_backend = _checkpoint(model, vision, decoding, ray=ray)
    else:
        make_backend = _served(llm, llm_url, remote_consent=remote_consent)
    studies = _Studies(
        images, reports, image_only=image_only, views=parse_views(views), limit=limit, any_modality=any_modality
    )
    names = _EntityNames(lexicon=lexicon or (), construction=construction)
    outcome, selected_inputs = _generate(make_backend, studies, names, out, dry_run=dry_run)
    _report(outcome, selected_inputs.rejects, as_json)


@dataclass(frozen=True)
class _Studies:
    """Which images, with which reports."""

    images: Path
    reports: Path | None
    image_only: bool
    views: tuple[str, ...] | None
    limit: int | None
    any_modality: bool


@dataclass(frozen=True)
class _EntityNames:
    """The names that entities are linked by."""

    lexicon: Sequence[Path]
    construction: Path | None


def _generate(
    make_backend: MakeBackend, studies: _Studies, names: _EntityNames, out: Path | None, *, dry_run: bool
) -> tuple[GenerationOutcome, GenerationInputs]:
    """Generate into the graph; rows that are left out are reported on the way."""
    from kgplatform.connect import open_graph
    from kgplatform.generate.pipeline import generate_from

    with open_graph().patient() as graph:
        return generate_from(
            graph,
            studies.images,
            make_backend,
            reports=studies.reports,
            image_only=studies.image_only,
            views=studies.views,
            lexicon=names.lexicon,
            construction=names.construction,
            limit=studies.limit,
            any_modality=studies.any_modality,
            out=out,
            dry_run=dry_run,
            progress=progress("images"),
            log_rejects=lambda selected_inputs: report_rejects(selected_inputs.rejects),
        )


def _report(outcome: GenerationOutcome, rejects: Sequence[Reject], as_json: bool) -> None:
    """Print what was done. Raises `typer.Exit` where no image could be read."""
    if as_json:
        emit_json({**_document(outcome), "left_out_rows": rejects_document(rejects)})
    else:
        _print(outcome)
    if outcome.problems and not outcome.done and not outcome.skipped:
        raise typer.Exit(1)


def _checkpoint(
    model: Path | None,
    vision: str | None,
    decoding: tuple[int, int, int, bool, float | None, float | None, int | None, float | None],
    *,
    ray: bool,
) -> MakeBackend:
    """Makes a generator of a checkpoint; `decoding` has beams, the longest reply, images at a time, whether only known
    relations may be written, the length penalty, the token reward, how many replies are drawn, and the share of them.
    """
    from kgplatform.cli.ml import needed

    with needed():
        from kgp_models.generator.decoding import Decoding
        from kgp_models.generator.spread import open_generator
    generator_decoding = Decoding(*decoding)
    return lambda _: open_generator(model, vision, generator_decoding, ray=ray)


def _served(llm: str, llm_url: str | None, *, remote_consent: bool) -> MakeBackend:
    """Makes a generator of a served model."""
    from kgplatform.generate.pipeline import served

    return served(llm, llm_url, remote_consent=remote_consent)


def _document(outcome: GenerationOutcome) -> dict[str, Any]:
    document = asdict(outcome)
    document["problems"] = [{"image": image_id, "problem": problem} for image_id, problem in outcome.problems]
    document["trained_on"] = trained_on.document(outcome.trained_on)
    document["shortened"] = [{"image": image_id, "tokens": token_count} for image_id, token_count in outcome.shortened]
    document["ungrounded"] = [{"image": image_id, "triplet": list(triplet)} for image_id, triplet in outcome.ungrounded]
    return document


def _print(outcome: GenerationOutcome) -> None:
    for warning in outcome.warnings:
        echo(f"warning: {warning}")
    echo(
        f"{counted(outcome.images, 'images')}: {outcome.done:,} processed, {outcome.skipped:,} already done, "
        f"{len(outcome.problems):,} not read"
    )
    for image_id, problem in outcome.problems[:MAX_PROBLEMS]:
        echo(f"  {image_id}: {problem}")
    if not outcome.done:
        _print_run(outcome)
        return
    echo(
        f"{counted(outcome.triplets, 'triplets')} "
        f"({counted(outcome.left_out, 'parts of replies were not triplets', 'part of a reply was not a triplet')}); "
        f"{outcome.linked:,} of {counted(outcome.entities, 'entities')} linked to concepts"
    )
    if outcome.shortened:
        singular_text = "report is longer than the model reads: its end was left out"
        echo(
            counted(
                len(outcome.shortened),
                "reports are longer than the model reads: their ends were left out",
                singular_text,
            )
        )
        for image_id, token_count in outcome.shortened[:MAX_PROBLEMS]:
            echo(f"  {image_id}: {counted(token_count, 'tokens')}")
    if outcome.unfinished:
        echo(f"{counted(outcome.unfinished, 'replies')} reached the length limit: raise --max-new-tokens")
    if outcome.classified:
        echo(f"{counted(outcome.classified, 'images')} without a report: triplets by the model's image classifier")
    if outcome.ungrounded:
        ungrounded_text = counted(
            len(outcome.ungrounded), "triplets are not in their report", "triplet is not in its report"
        )
        echo(f"{ungrounded_text}: kgp query explore/ungrounded")
    rate = outcome.done / outcome.seconds if outcome.seconds else 0.0
    echo(f"{outcome.seconds:.1f} s, {rate:.1f} images/s, {counted(outcome.tokens, 'tokens')}")
    if not outcome.dry_run:
        echo(f"{counted(outcome.edges, 'edges')} written")
    _print_run(outcome)


def _print_run(outcome: GenerationOutcome) -> None:
    """What the run holds by now: calls with the same model and settings extend the same run."""
    if outcome.in_run:
        image_count, triplet_count, edge_count = (
            outcome.in_run[total_name] for total_name in ("images", "triplets", "edges")
        )
        echo(
            f"run {outcome.run} has {counted(image_count, 'images')}, {counted(triplet_count, 'triplets')} and "
            f"{counted(edge_count, 'edges')} of all calls with these settings; "
            f"`kgp runs undo {outcome.run}` removes all of them"
        )
