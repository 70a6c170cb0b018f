"""Which concepts of the graph a question names: by construction's tagger, so "IS" and "At" are found in no word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kgplatform import queries
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.pipeline import settings_concepts
from kgplatform.construct.semantic_types import types_by_name
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.construct.tagger import BY_SYNONYM, Candidate, DictionaryTagger
from kgplatform.datasets.knowledge import Knowledge
from kgplatform.graph import Graph

_Row = tuple[str, str, int]


class QuestionTagger:
    """Finds the graph's concepts in questions, by the graph's names and those of files (see `kgp construct run`)."""

    def __init__(
        self,
        graph: Knowledge | Graph,
        lexicon: Sequence[Path] = (),
        *,
        own_words: bool = False,
    ) -> None:
        """`own_words`: whether the platform's words for findings are known, too."""
        concept_rows = list(_read(graph) if isinstance(graph, Graph) else _graph_rows(graph))
        self.cuis = [cui for cui, _, _ in concept_rows]
        self.names = [concept_name for _, concept_name, _ in concept_rows]
        self._concept_rows = {cui: index for index, cui in enumerate(self.cuis)}
        named_concepts = [
            Concept(cui, concept_name, types_by_name(concept_name), float(edge_count))
            for cui, concept_name, edge_count in concept_rows
        ]
        settings = ConstructionSettings("", Path(), lexicon=tuple(lexicon), own_words=own_words)
        all_concepts = [*named_concepts, *settings_concepts(settings)]
        self._tagger = DictionaryTagger(Lexicon(all_concepts, one_per_meaning=False))

    def concepts(self, text: str) -> list[int]:
        """The concepts that a text names, as places in `cuis`, in order, each once.

        Of the concepts that a phrase may mean the likeliest that is in the graph is taken; figures name none.
        """
        return list(
            dict.fromkeys(self._concept_rows[candidate.cui] for _, candidate in self._question_candidates(text))
        )

    def guesses(self, text: str) -> dict[str, str]:
        """The phrases of a text that are read as a concept's name by mending a typo, and that concept's name."""
        return {
            phrase: self.names[self._concept_rows[candidate.cui]]
            for phrase, candidate in self._question_candidates(text)
            if candidate.score < BY_SYNONYM
        }

    def ambiguous(self, text: str) -> dict[str, list[int]]:
        """The phrases of a text that several concepts of the graph are named by alike, and those concepts, as places in
        `cuis`; the first of them is taken.
        """
        meanings: dict[str, list[int]] = {}
        for mention in self._tagger.tag(text):
            in_graph = [candidate for candidate in mention.candidates if candidate.cui in self._concept_rows]
            alike = [candidate for candidate in in_graph if candidate.name.casefold() == in_graph[0].name.casefold()]
            if len(alike) > 1:
                meanings[text[mention.start : mention.end]] = [self._concept_rows[candidate.cui] for candidate in alike]
        return meanings

    def named(self, text: str) -> list[tuple[str, int]]:
        """The phrases of a text that name concepts, in order, each with the concept as its place in `cuis`."""
        return [(phrase, self._concept_rows[candidate.cui]) for phrase, candidate in self._question_candidates(text)]

    def mended(self, text: str) -> str:
        """The text with the names of concepts in place of those that are misspelled."""
        for phrase, name in self.guesses(text).items():
            text = text.replace(phrase, name)
        return text

    def _question_candidates(self, question_text: str) -> Iterator[tuple[str, Candidate]]:
        for mention in self._tagger.tag(question_text):
            phrase = question_text[mention.start : mention.end]
            if not any(character.isalpha() for character in phrase):
                continue
            chosen_candidate = next(
                (candidate for candidate in mention.candidates if candidate.cui in self._concept_rows), None
            )
            if chosen_candidate is not None:
                yield phrase, chosen_candidate


def _graph_rows(knowledge: Knowledge) -> Iterable[_Row]:
    """CUI, name and number of edges: of concepts with one name, the one with more edges is the likelier."""
    edge_counts = Counter(knowledge.stances[:, 2].tolist())
    edge_counts.update(knowledge.relations[:, (0, 2)].ravel().tolist())
    for index, (cui, concept_name) in enumerate(zip(knowledge.cuis, knowledge.concepts, strict=True)):
        yield cui, concept_name, edge_counts[index]


def _read(graph: Graph) -> Iterable[_Row]:
    """The same of a live graph."""
    for record in graph.read(queries.get("vqa/concepts")):
        yield str(record["cui"]), str(record["name"]), int(record["edges"])
