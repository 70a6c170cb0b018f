"""Models in use, for the library: a generator that writes into a graph, answers to questions, encoders for search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgp_models.generator.decoding import Decoding
from kgp_models.generator.spread import open_generator
from kgp_models.retrieval.encode import open_encoder
from kgp_models.vqa import checkpoint
from kgp_models.vqa.answering import Answerer, VQAReply
from kgplatform.generate.pipeline import generate_from
from kgplatform.generate.run import GenerationOutcome
from kgplatform.graph import Graph

__all__ = ["ask", "generate", "open_encoder"]


def generate(
    graph: Graph, images: str | Path, model: Path | None = None, *, vision: str | None = None, **options: Any
) -> GenerationOutcome:
    """Let a generator look at the radiographs at a path, and write the triplets that it sees into the graph.

    `model` is a folder of `train_generator` (the small model that comes with the package without one), `vision` where
    its vision encoder is, if it has moved. `options` are those of `generate_from` (reports, views,
    lexicon, limit …) and of `Decoding` (beams, max_new_tokens, batch, constrained). Raises `InputError` and
    `UsageError`.
    """
    decoding = Decoding(**{name: options.pop(name) for name in Decoding.__dataclass_fields__ if name in options})
    outcome, _ = generate_from(graph, Path(images), lambda _: open_generator(model, vision, decoding), **options)
    return outcome


def ask(
    graph: Graph,
    image: str | Path | None,
    question: str,
    model: Path | None = None,
    *,
    backbone: str | None = None,
    graph_images: Path | None = None,
    lexicon: Sequence[Path] = (),
    own_words: bool | None = None,
    any_modality: bool = False,
) -> VQAReply:
    """Answer a yes/no question about a radiograph, or without one (None), with the graph's knowledge.

    `model` is a folder of `train_vqa` (the small model that comes with the package without one), `backbone` where its
    backbone is, if it has moved (KIND:FOLDER), and `graph_images` the folder that the paths of the graph's images begin
    in. Concepts of the question are recognised by the names of the graph and of `lexicon`, and with `own_words` by the
    platform's words for findings (None: as in the model's training). The answer has its probability, the edges that
    counted, and warnings. Raises `InputError` for an image that cannot be read, for a DICOM file that is no radiograph
    (unless `any_modality`), and for what is no yes/no question.
    """
    loaded_model = checkpoint.load_vqa_model(checkpoint.SHIPPED if model is None else model, backbone)
    answerer = Answerer(
        loaded_model,
        graph,
        images=graph_images,
        lexicon=tuple(lexicon),
        own_words=loaded_model.own_words if own_words is None else own_words,
        any_modality=any_modality,
    )
    return answerer.ask(None if image is None else Path(image), question)
