"""Whether images or concepts can be searched by text: their embeddings and indexes, and what to say of gaps."""

from __future__ import annotations

from kgplatform.errors import KgpError
from kgplatform.graph import Graph
from kgplatform.search import index
from kgplatform.search.index import EmbeddingState, EncoderIdentity, Part
from kgplatform.upgrade import embeddings_outdated


def require_ready(graph: Graph, part_state: EmbeddingState, model: EncoderIdentity) -> None:
    """Raise `KgpError` unless the part has embeddings of this model and an index that is ready."""
    plural_name = part_state.part.plural
    embed_command = f"kgp embed --only {plural_name}" + (" --images DIR" if part_state.part is Part.IMAGES else "")
    if not part_state.models and embeddings_outdated(graph):
        hint = f"Bring it up to date: `{embed_command}`; no vector is computed again."
        raise KgpError("an earlier version wrote the graph, and its embeddings are not where they are now", hint)
    if not part_state.models:
        raise KgpError(f"no {plural_name[:-1]} of the graph has an embedding", f"Create them: `{embed_command}`")
    if model.digits not in part_state.models:
        model_names = index.model_names(graph)
        owner_names = ", ".join(
            model_names.get(model_digits, "an unknown model") for model_digits in sorted(part_state.models)
        )
        hint = f"Search with that --model, or embed again: `{embed_command} --model … --replace`"
        if part_state.part is Part.IMAGES:
            hint += "; a text-only model can search --by concepts"
        raise KgpError(f"the {plural_name} have embeddings of {owner_names}, not of {model.name}", hint)
    vector_index = part_state.index
    index_name, retry_hint = (
        part_state.part.index,
        f"The same `{embed_command}` as before creates it; no vector is computed again.",
    )
    if vector_index is None:
        raise KgpError(f"the index {index_name} is missing", retry_hint)
    if vector_index.state == "POPULATING":
        raise KgpError(
            f"the index {index_name} is still being built, {vector_index.percent:.0f} %", "Try again in a while."
        )
    if vector_index.state != "ONLINE":
        raise KgpError(f"the index {index_name} is {vector_index.state}", retry_hint)
    if not index.fits(vector_index, model.width):
        index_shape = f"{vector_index.dimensions} dimensions and the similarity {vector_index.similarity}"
        raise KgpError(
            f"the index {index_name} has {index_shape}, the model's vectors have {model.width} and COSINE", retry_hint
        )


def embedding_notes(part_state: EmbeddingState, model_digits: str, *, chosen: bool) -> tuple[str, ...]:
    """What to say of a part that was searched; `chosen` is whether the person chose it."""
    notes = []
    if part_state.part is Part.CONCEPTS and not chosen:
        notes.append("no image has an embedding: the text is compared with the names of concepts")
    missing_count = part_state.nodes - part_state.models.get(model_digits, 0)
    if missing_count:
        plural_name = part_state.part.plural
        notes.append(
            f"{missing_count:,} of {part_state.nodes:,} {plural_name} have no embedding of this model "
            "and are not found by text"
        )
    return tuple(notes)
