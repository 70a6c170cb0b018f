"""Which concepts of the graph a report speaks of, and with which stance: construction's stages I and II, by rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kgplatform.construct.annotate import annotate
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.pipeline import build_tagger, settings_concepts
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import types_by_name
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.construct.stance import rules
from kgplatform.datasets.knowledge import STANCES, Knowledge


def find_mentions(
    texts: Sequence[str],
    knowledge: Knowledge,
    lexicon: Sequence[Path] = (),
    *,
    own_words: bool = False,
) -> list[list[tuple[int, int]]]:
    """For each text, the concepts that it mentions and their stances, as places in `knowledge.concepts` and `STANCES`.

    They are found by the graph's names, and by those of the files of `lexicon` and, with `own_words`, of the platform.
    """
    concept_indices = {cui: position for position, cui in enumerate(knowledge.cuis)}
    settings = ConstructionSettings("", Path(), lexicon=tuple(lexicon), own_words=own_words)
    tagger = build_tagger(
        "dictionary", Lexicon([*_names(knowledge), *settings_concepts(settings)], one_per_meaning=False)
    )
    judge = rules()
    text_mentions = []
    for position, report_text in enumerate(texts):
        annotation = annotate(Report(str(position), "", {"findings": report_text}), tagger, judge)
        stated_edges = {(concept.cui, stance.value) for concept, stance in annotation.edges}
        text_mentions.append(
            sorted(
                (concept_indices[cui], STANCES.index(stance)) for cui, stance in stated_edges if cui in concept_indices
            )
        )
    return text_mentions


def _names(knowledge: Knowledge) -> Iterable[Concept]:
    for cui, concept_name in zip(knowledge.cuis, knowledge.concepts, strict=True):
        yield Concept(cui, concept_name, types_by_name(concept_name), 1.0)
