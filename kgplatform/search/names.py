"""Which concept a person means by a CUI or a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kgplatform import queries
from kgplatform.errors import NotFoundError, UsageError
from kgplatform.graph import Graph
from kgplatform.graph_names import concept_hint

SUGGESTED: Final = 5
MAX_NAME_LENGTH: Final = 1_000  # characters of a name
MAX_WORDS: Final = 200  # of a text, that are looked up
SHORT: Final = 2  # characters: words so short say little ("of")
NO_MEANING: Final = "the images may have nothing to do with it"
_WORD: Final = re.compile(r"\w+")
_KIND: Final = re.compile(r"\s*\([^()]*\)$")  # "(disorder)", as SNOMED CT's names end


@dataclass(frozen=True)
class GraphConcept:
    """A concept of the graph."""

    cui: str
    name: str


def text_note(graph: Graph, text: str) -> str:
    """What to say of a text to search for: that it names nothing that the graph knows, or the concept whose name it
    misspells; nothing where its words are in names of concepts. The model compares any text, words or not.
    """
    words = dict.fromkeys(word.lower() for word in _WORD.findall(text) if len(word) > SHORT and "_" not in word)
    if not any(character.isalnum() for character in text):
        return f"the text has no words: {NO_MEANING}"
    word_rows = graph.read(queries.get("search/known_words"), words=list(words)[:MAX_WORDS])
    if not word_rows:
        return ""
    is_misspelled = any(row["near"] and not row["known"] and not row["word"].endswith("s") for row in word_rows)
    hint = concept_hint(graph, text) if is_misspelled else ""
    if hint or any(row["near"] for row in word_rows):
        return hint
    return f"no word of the text is in a name of the graph's concepts: {NO_MEANING}"


def _by_own_words(graph: Graph, name: str) -> GraphConcept | None:
    """The graph's concept that the platform's words for findings call so ("pneumothorax"), where its own name is
    another.
    """
    from kgplatform.construct.open_lexicon import own_words

    for cui in {word.cui: None for word in own_words() if word.name.casefold() == name.casefold()}:
        for row in graph.read(queries.get("search/find_concept"), name=cui, words=f'"{cui}"'):
            if row["cui"] == cui:
                return GraphConcept(cui, row["name"] or cui)
    return None


def find_concept(graph: Graph, name: str) -> GraphConcept:
    """The concept with that CUI, or with that name in any case, or else the only one of that name but for what stands
    in brackets at its end. Raises `NotFoundError`, which suggests others, and `UsageError` for what is too long.
    """
    name = name.strip()
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(
            f"a concept's name of more than {MAX_NAME_LENGTH:,} characters", "Give its CUI, or a part of its name."
        )
    name_words = _WORD.findall(name)
    concept_rows = []
    if name_words:
        # Quoted, no word is an operator of the full-text query.
        fulltext_query = " ".join(f'"{name_word}"' for name_word in name_words)
        concept_rows = graph.read(queries.get("search/find_concept"), name=name, words=fulltext_query)
    exact_matches = [
        GraphConcept(concept_row["cui"], concept_row["name"] or concept_row["cui"])
        for concept_row in concept_rows
        if concept_row["exact"]
    ]
    cui_matches = [concept for concept in exact_matches if concept.cui == name.upper()]
    if not exact_matches:
        named_concepts = [
            GraphConcept(concept_row["cui"], concept_row["name"]) for concept_row in concept_rows if concept_row["name"]
        ]
        exact_matches = [
            concept for concept in named_concepts if _KIND.sub("", concept.name).casefold() == name.casefold()
        ]
    if not exact_matches and (own_words_match := _by_own_words(graph, name)):
        return own_words_match
    if len(cui_matches or exact_matches) == 1:
        return (cui_matches or exact_matches)[0]
    close_concepts = [GraphConcept(concept_row["cui"], concept_row["name"] or "") for concept_row in concept_rows][
        :SUGGESTED
    ]
    concept_list = ", ".join(
        f"{concept.name} ({concept.cui})" for concept in (exact_matches[:SUGGESTED] or close_concepts)
    )
    printable_name = "".join(character if character.isprintable() else "�" for character in name[:80])
    if exact_matches:
        raise NotFoundError(
            f"{len(exact_matches)} concepts are named {printable_name}", f"Give the CUI: {concept_list}"
        )
    raise NotFoundError(
        f"no concept is named {printable_name}",
        concept_hint(graph, name)
        or (
            f"Close to it: {concept_list}"
            if concept_list
            else "`kgp query explore/find_concept --param words=…` looks for names."
        ),
    )
