"""What the graph says about a question: the concepts that it names, and the subgraph that models are given of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgplatform.datasets.questions import replace_undecodable
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.vqa import live
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode


@dataclass(frozen=True)
class ExplainedQuestion:
    """A question, the concepts that it names, the edges around them, and the phrases that were read as a concept's
    name by mending a typo, each with that name.
    """

    question: str
    concepts: Sequence[SubgraphNode]
    edges: Sequence[SubgraphEdge]
    guesses: Mapping[str, str]


def require_question(question: str) -> str:
    """The question, in UTF-8. Raises `UsageError` where it is empty."""
    question = replace_undecodable(question)
    if not question.strip():
        raise UsageError("the question is empty", "Ask for a finding, e.g. `kgp vqa explain 'Is there an effusion?'`.")
    return question


def explain_by_graph(
    graph: Graph,
    question: str,
    *,
    hops: int = 1,
    cap: int = 64,
    images: bool = True,
    lexicon: Sequence[Path] = (),
    own_words: bool = True,
) -> ExplainedQuestion:
    """The concepts that a question names, and the edges within `hops` of them, at most `cap`, most relevant first.

    `images`: with images, and so with stances. Concepts are found by the graph's names, those of the files of
    `lexicon`, and with `own_words` the platform's words for findings. Raises `InputError` for a lexicon without names.
    """
    tagger = QuestionTagger(graph, tuple(lexicon), own_words=own_words)
    concepts = [
        SubgraphNode(tagger.cuis[concept_index], tagger.names[concept_index])
        for concept_index in tagger.concepts(question)
    ]
    (edges,) = live.subgraphs(graph, [[node.key for node in concepts]], hops=hops, cap=cap, images=images)
    return ExplainedQuestion(question, concepts, edges, tagger.guesses(question))
