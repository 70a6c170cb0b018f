"""`kgp vqa`: what the graph says about a question; and `kgp ask`, which answers one about an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kgplatform import trained_on
from kgplatform.cli.output import AnyModality, Json, echo, emit_json, format_table, note
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgp_models.vqa.answering import VQAReply
    from kgplatform.vqa.explain import ExplainedQuestion
    from kgplatform.vqa.live import SubgraphEdge, SubgraphNode

app = typer.Typer(no_args_is_help=True, help="Questions about images, and what the graph says about them.")

MAX_EDGES = 12  # edges of an answer, those that count most

Lexicon = Annotated[
    list[Path] | None,
    typer.Option(help="Also find concepts by these names: a table, a folder of UMLS; may be repeated."),
]
OwnWords = Annotated[
    bool, typer.Option("--own-words/--no-own-words", help="Also find concepts by the package's own terms.")
]


@app.command("explain")
def explain_question(
    question: Annotated[str, typer.Argument(help="A question, in words.")],
    hops: Annotated[int, typer.Option(min=1, max=2, help="How far from the question's concepts.")] = 1,
    cap: Annotated[int, typer.Option(min=1, max=1000, help="At most this many edges, the most relevant ones.")] = 64,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Include images and their stances.")] = True,
    lexicon: Lexicon = None,
    own_words: OwnWords = True,
    svg: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the subgraph.")] = None,
    as_json: Json = False,
) -> None:
    """Show the concepts that a question names and the subgraph that models receive."""
    from kgplatform.connect import open_graph
    from kgplatform.errors import UsageError
    from kgplatform.vqa.drawing import write_drawing
    from kgplatform.vqa.explain import explain_by_graph, require_question

    if svg is not None and svg.suffix.lower() != ".svg":
        raise UsageError(f"{svg} would hold an SVG", "Use a name such as FILE.svg.")
    question = require_question(question)
    with open_graph() as graph:
        explained = explain_by_graph(
            graph, question, hops=hops, cap=cap, images=images, lexicon=lexicon or (), own_words=own_words
        )
    if svg is not None:
        write_drawing(svg, question, explained.concepts, explained.edges)
        note(f"{svg}: {counted(len(explained.edges), 'edges')}")
    if as_json:
        concepts, edges = [*map(_node, explained.concepts)], [*map(_edge, explained.edges)]
        emit_json({"question": question, "concepts": concepts, "read_as": explained.guesses, "edges": edges})
        return
    _print_explained(explained, f"cap: {cap}, images: {str(images).lower()}", " (the first hop)" if hops > 1 else "")


def _print_explained(explained: ExplainedQuestion, browser_parameters: str, hop_note: str) -> None:
    for phrase, concept_name in explained.guesses.items():
        note(f"note: {phrase} is read as {concept_name}")
    if not explained.concepts:
        echo("the question names no concept of the graph")
        return
    echo(f"concepts: {', '.join(f'{node.name} ({node.key})' for node in explained.concepts)}\n")
    echo(format_table([_row(edge) for edge in explained.edges]) or "the graph contains nothing about them")
    parameters_text = f"{{cuis: {[node.key for node in explained.concepts]}, {browser_parameters}}}"
    echo(f"\nas rows in Neo4j Browser{hop_note}: :params {parameters_text}, then cypher/vqa/neighbourhood.cypher")


QuestionText = Annotated[
    str, typer.Argument(help='A yes/no question in English, such as "Is there a pleural effusion?".')
]
WithoutImage = Annotated[
    bool,
    typer.Option("--without-image", help="Let the base model answer from the question alone: no image, no graph."),
]
ModelFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A model of `kgp train vqa` [default: the small one of the package].")
]
BackboneFolder = Annotated[
    str | None, typer.Option(metavar="KIND:FOLDER", help="Where its backbone is, if it has moved.")
]
GRAPH_IMAGES: Final = typer.Option(
    metavar="DIR", exists=True, file_okay=False, help="The folder that the image paths of the graph are relative to."
)
GraphImages = Annotated[Path | None, GRAPH_IMAGES]
OwnWordsOrTrained = Annotated[
    bool | None,
    typer.Option(
        "--own-words/--no-own-words",
        help="Also find concepts by the package's own terms [default: as in training].",
    ),
]


def ask_command(
    image: Annotated[str, typer.Argument(help="The image: DICOM, PNG, JPEG or TIFF. Not with --without-image.")],
    question: QuestionText = "",
    without_image: WithoutImage = False,
    model: ModelFolder = None,
    backbone: BackboneFolder = None,
    graph_images: GraphImages = None,
    lexicon: Lexicon = None,
    own_words: OwnWordsOrTrained = None,
    any_modality: AnyModality = False,
    as_json: Json = False,
) -> None:
    """Answer a question about an image by yes or no, with the part of the graph that was used, and what it counted.

    An image that cannot be read and an open question are errors. Where the graph says nothing about a question, the
    base model answers from image and question alone, and a note says why. The model that comes with the package was
    trained on synthetic studies only: it refuses a question that names no concept of the graph, and a warning says
    where the image is not known to be synthetic.
    """
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    image_path, question = _image_and_question(image, question, without_image)
    with needed("retrieval"):
        from kgp_models.library.functions import ask

    with open_graph() as graph:
        reply = ask(
            graph,
            image_path,
            question,
            model,
            backbone=backbone,
            graph_images=graph_images,
            lexicon=lexicon or (),
            own_words=own_words,
            any_modality=any_modality,
        )
    if as_json:
        emit_json(_reply_document(reply))
    else:
        _print_reply(reply)


def _image_and_question(image: str, question: str, without_image: bool) -> tuple[Path | None, str]:
    """The arguments of `kgp ask`: with --without-image the only one is the question. Raises `UsageError`."""
    from kgplatform.errors import UsageError
    from kgplatform.vqa.closed import validate_question

    if not question and not without_image:
        raise UsageError("an image and a question are needed", 'kgp ask IMAGE "…?", or --without-image "…?"')
    image_path = None if without_image else Path(image)
    if without_image and question:
        note(f"note: {image} is ignored: --without-image")
    return image_path, validate_question(image_path, question or image)


def _reply_document(reply: VQAReply) -> dict[str, Any]:
    return {
        "answer": "yes" if reply.yes else "no",
        "probability": round(reply.probability, 4),
        "by": reply.by,
        "base": round(reply.base, 4),
        "flags": list(reply.flags),
        "trained_on": trained_on.document(reply.trained_on),
        "warnings": list(reply.warnings),
        "concepts": [_node(node) for node in reply.concepts],
        "shown": [{**_node(node), "likely": round(likelihood, 4)} for node, likelihood in reply.image_concepts],
        "edges": [{**_edge(edge), "counts": round(contribution, 4)} for edge, contribution in reply.edges],
    }


def _print_reply(reply: VQAReply) -> None:
    for warning in reply.warnings:
        echo(f"warning: {warning}")
    echo(f"{'yes' if reply.yes else 'no'}: probability of yes {reply.probability:.2f}, by {reply.by}")
    if reply.by != "base":
        echo(f"the base model, without the graph: {reply.base:.2f}")
    for flag in reply.flags:
        echo(f"note: {flag}")  # with the answer: it says what the answer rests on
    if not reply.concepts and reply.lacks_lexicon:
        note("note: in training concepts had more names, from files; give such files by --lexicon")
    if reply.concepts:
        echo(f"\nconcepts: {', '.join(f'{node.name} ({node.key})' for node in reply.concepts)}")
    if reply.image_concepts:
        node_texts = (
            f"{node.name} {node_likelihood:.2f}" for node, node_likelihood in reply.image_concepts[:MAX_EDGES]
        )
        echo(f"the image shows, by the graph's images: {', '.join(node_texts)}")
    if reply.edges and reply.by != "base":
        ranked_edges = sorted(reply.edges, key=lambda edge_and_count: -abs(edge_and_count[1]))[:MAX_EDGES]
        cut_text = f", of which {MAX_EDGES} are shown (--json has all)" if len(reply.edges) > MAX_EDGES else ""
        echo(f"\n{counted(len(reply.edges), 'edges')}{cut_text}; by how much yes is less likely without one:\n")
        echo(
            format_table(
                [{**_row(edge), "counts": round(contribution, 3) or 0.0} for edge, contribution in ranked_edges]
            )
        )


def _node(node: SubgraphNode) -> dict[str, Any]:
    return {"image": node.key, "path": node.name} if node.image else {"cui": node.key, "name": node.name}


def _edge(edge: SubgraphEdge) -> dict[str, Any]:
    return {"head": _node(edge.head), "kind": edge.kind, "tail": _node(edge.tail)}


def _row(edge: SubgraphEdge) -> dict[str, Any]:
    head, tail = (node.key if node.image else node.name for node in (edge.head, edge.tail))
    return {"head": head, "kind": edge.kind, "tail": tail}
