"""Which concept a phrase means: the joint between triplets and the graph of concepts.

RadGraph and the VLM-KG paper leave entities as phrases; MedMKG finds concepts in text (§3.2). So a phrase is given to
the same tagger that construction uses.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kgplatform.construct.lexicon import Concept, Lexicon, key_words
from kgplatform.construct.tagger import Candidate, Mention, Tagger
from kgplatform.construct.text import tokenize_text
from kgplatform.schema import CONCEPT_ID
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.construct.settings import ConstructionSettings
    from kgplatform.graph import Graph

logger = logging.getLogger(__name__)
LINKED: Final = ("radgraph", "generate")  # the kinds of runs that link entities
THRESHOLD: Final = 0.5  # "small effusion" is still an effusion, "left lower lobe effusion" no longer


class ConceptLink(NamedTuple):
    """The concept that a phrase means. `score`, from 0 to 1: how sure the tagger is, times the share of the phrase's
    words that it read.
    """

    cui: str
    name: str
    types: tuple[str, ...]
    score: float
    method: str


class Linker:
    """Links phrases to concepts by a tagger; `about` is what decides its answers in addition to the tagger's name, as
    JSON.
    """

    def __init__(self, tagger: Tagger, about: Mapping[str, Any] | None = None) -> None:
        self.tagger = tagger
        self.about: Mapping[str, Any] = {"tagger": tagger.name, "threshold": THRESHOLD, **(about or {})}

    @lru_cache(maxsize=100_000)  # noqa: B019  a linker lives as long as its process
    def link(self, text: str) -> ConceptLink | None:
        """The best concept of the mention that covers the most words of the phrase; None where the score is too low."""
        text_tokens = tokenize_text(text)
        word_tokens = [text_tokens[word.token] for word in key_words(text_tokens) if word is not None]
        best_match: tuple[int, Candidate] | None = None
        for mention in self.tagger.tag(text):
            covered_count = sum(
                mention.start <= word_token.start and word_token.end <= mention.end for word_token in word_tokens
            )
            candidate = _first(mention)
            if candidate is not None and (best_match is None or covered_count > best_match[0]):
                best_match = covered_count, candidate
        if best_match is None:
            return None
        covered_count, candidate = best_match
        score = candidate.score * covered_count / len(word_tokens) if word_tokens else 0.0
        if score < THRESHOLD:
            return None
        return ConceptLink(candidate.cui, candidate.name, candidate.types, score, self.tagger.name)


def _first(mention: Mention) -> Candidate | None:
    """The first candidate whose CUI can be in the graph."""
    return next((candidate for candidate in mention.candidates if CONCEPT_ID.fullmatch(candidate.cui)), None)


def build_linker(settings: ConstructionSettings, graph: Graph) -> Linker:
    """The linker by the names that the graph has and those that the settings name, and by their tagger.

    What is reported of it, and names a run, are the settings alone: the graph's names change with every other run, and
    what was done before would be done again. The names that RadGraph's graphs and generators brought are left out.
    Raises `InputError` for a lexicon that is none.
    """
    from kgplatform.construct.pipeline import build_tagger, graph_concepts, settings_concepts

    digest = hashlib.sha256()

    def chosen() -> Iterator[Concept]:
        for concept in settings_concepts(settings):
            digest.update(repr(concept).encode())
            yield concept

    graph_names = graph_concepts(graph, LINKED) if settings.graph_names else ()
    lexicon = Lexicon(chain(graph_names, chosen()))
    logger.info(f"lexicon: {counted(lexicon.names, 'names')} of {counted(len(lexicon.preferred), 'concepts')}")
    description = {"lexicon": digest.hexdigest(), "graph_names": settings.graph_names}
    return Linker(build_tagger(settings.tagger, lexicon), description)
