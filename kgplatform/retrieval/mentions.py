"""Which concepts of the graph a report speaks of, and with which stance: construction's stages I and II, by rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kgplatform.construct.annotate import annotate
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.pipeline import names_of_settings, tagger_of
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import types_by_name
from kgplatform.construct.settings import Settings
from kgplatform.construct.stance import rules
from kgplatform.retrieval.knowledge import STANCES, Knowledge


def mentions(
    texts: Sequence[str],
    knowledge: Knowledge,
    lexicon: Sequence[Path] = (),
    *,
    own_words: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> list[list[tuple[int, int]]]:
    """For each text, the concepts that it mentions and their stances, as places in `knowledge.concepts` and `STANCES`.

    They are found by the graph's names, and by those of the files of `lexicon` and, with `own_words`, of the platform.
    """
    place = {cui: number for number, cui in enumerate(knowledge.cuis)}
    settings = Settings("", Path(), lexicon=tuple(lexicon), own_words=own_words)
    tagger = tagger_of("dictionary", Lexicon([*_names(knowledge), *names_of_settings(settings, told)]))
    judge = rules()
    found = []
    for number, text in enumerate(texts):
        annotation = annotate(Report(str(number), "", {"findings": text}), tagger, judge)
        edges = {(concept.cui, stance.value) for concept, stance in annotation.edges}
        found.append(sorted((place[cui], STANCES.index(stance)) for cui, stance in edges if cui in place))
    return found


def _names(knowledge: Knowledge) -> Iterable[Concept]:
    for cui, name in zip(knowledge.cuis, knowledge.concepts, strict=True):
        yield Concept(cui, name, types_by_name(name), 1.0)
