"""A generation from paths: which images, whose names entities are linked by, which generator, and the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from kgplatform.construct import settings as construct_settings
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.generate.backend import Backend
from kgplatform.generate.grounding import Grounding
from kgplatform.generate.inputs import GenerationInputs, inputs
from kgplatform.generate.run import GenerationOutcome, generate_triplets, images_by_path
from kgplatform.generate.source import Writer
from kgplatform.graph import Graph
from kgplatform.progress import Progress, no_progress
from kgplatform.triplets.linking import build_linker
from kgplatform.wording import counted, counted_or_none

logger = logging.getLogger(__name__)
MakeBackend: TypeAlias = Callable[[GenerationInputs], Backend]


def generate_from(
    graph: Graph,
    images: Path,
    make_backend: MakeBackend,
    *,
    reports: Path | None = None,
    image_only: bool = False,
    views: Sequence[str] | None = None,
    lexicon: Sequence[Path] = (),
    construction: Path | None = None,
    limit: int | None = None,
    out: Path | None = None,
    dry_run: bool = False,
    any_modality: bool = False,
    progress: Progress = no_progress,
    log_rejects: Callable[[GenerationInputs], None] = lambda _: None,
) -> tuple[GenerationOutcome, GenerationInputs]:
    """Let a generator look at the images at a path, with their reports, and write what it sees into the graph.

    `make_backend` makes the generator when the images are known, and with them whether an agreement binds their
    reports (`GenerationInputs.credentialed`). Entities are linked by the names that `construction` looks for (a
    ``construct.yaml`` or its folder; without it the one in the folder of the images), and by those of `lexicon`. DICOM
    files that are no radiographs are processed with `any_modality` only.
    `log_rejects` hears of the inputs that cannot be used before the work begins. Returns what was done and the inputs.
    Raises `InputError` and `UsageError`.
    """
    selected_inputs = inputs(
        images,
        reports,
        ids_by_path=images_by_path(graph),
        views=views,
        with_reports=not image_only,
        any_modality=any_modality,
    )
    log_rejects(selected_inputs)
    with_report = sum(bool(input_row.sections) for input_row in selected_inputs.rows)
    logger.info(f"{counted(len(selected_inputs.rows), 'images')}, {with_report:,} of them with a report")
    for reason, image_count in selected_inputs.left_out.items():
        logger.warning(f"  not processed: {counted_or_none(image_count, reason)}")
    if limit is not None:
        selected_inputs = replace(selected_inputs, rows=selected_inputs.rows[:limit])
    linker = build_linker(_names(images, lexicon, construction), graph)
    writer = Writer(
        make_backend(selected_inputs),
        linker.link,
        lambda sections: Grounding(sections, linker.tagger, linker.link),
        linker.about,
        with_report > 0,
    )
    outcome = generate_triplets(graph, selected_inputs, writer, out=out, dry_run=dry_run, progress=progress)
    return outcome, selected_inputs


def served(model: str, url: str | None = None, *, remote_consent: bool = False) -> MakeBackend:
    """Makes a generator of a vision model that a server answers for, in OpenAI's form."""

    def make_backend(selected_inputs: GenerationInputs) -> Backend:
        from kgplatform.generate.served import Served

        options = {"model": model} if url is None else {"model": model, "url": url}
        llm_settings = LLMSettings.from_document(options, remote_consent=remote_consent)
        return Served(llm_settings, credentialed=selected_inputs.credentialed)

    return make_backend


def _names(images: Path, lexicon: Sequence[Path], construction: Path | None) -> construct_settings.ConstructionSettings:
    """The names that entities are linked by: those that a construction looks for."""
    folder_settings = construct_settings.ConstructionSettings("", images, own_words=False)
    if construction is None and images.is_dir() and (images / construct_settings.FILE).is_file():
        construction = images
    if construction is not None:
        folder_settings = construct_settings.read_settings(construction)
    return construct_settings.ConstructionSettings(
        "", images, lexicon=(*folder_settings.lexicon, *lexicon), own_words=folder_settings.own_words
    )
