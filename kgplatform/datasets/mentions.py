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


class MentionFinder:
    """Finds concepts by `names`, pairs of CUI and name, by the names in the files of `lexicon`, and with `own_words` by
    those of the platform.
    """

    def __init__(
        self, names: Iterable[tuple[str, str]], lexicon: Sequence[Path] = (), *, own_words: bool = False
    ) -> None:
        settings = ConstructionSettings("", Path(), lexicon=tuple(lexicon), own_words=own_words)
        concepts = [Concept(cui, name, types_by_name(name), 1.0) for cui, name in names]
        all_names = Lexicon([*concepts, *settings_concepts(settings)], one_per_meaning=False)
        self._tagger = build_tagger("dictionary", all_names)
        self._judge = rules()
        self.identity = f"{all_names.sha256()} {self._judge.name}"  # of what is found

    def edges(self, text: str) -> set[tuple[str, str]]:
        """The concepts that a text mentions, by CUI, with their stances."""
        annotation = annotate(Report("text", "", {"findings": text}), self._tagger, self._judge)
        return {(concept.cui, stance.value) for concept, stance in annotation.edges}


def find_mentions(
    texts: Sequence[str],
    knowledge: Knowledge,
    lexicon: Sequence[Path] = (),
    *,
    own_words: bool = False,
) -> list[list[tuple[int, int]]]:
    """For each text, the concepts that it mentions and their stances, as places in `knowledge.concepts` and `STANCES`.

    They are found by the graph's names, and as `MentionFinder` finds them.
    """
    concept_indices = {cui: position for position, cui in enumerate(knowledge.cuis)}
    finder = MentionFinder(zip(knowledge.cuis, knowledge.concepts, strict=True), lexicon, own_words=own_words)
    return [
        sorted(
            (concept_indices[cui], STANCES.index(stance))
            for cui, stance in finder.edges(report_text)
            if cui in concept_indices
        )
        for report_text in texts
    ]
