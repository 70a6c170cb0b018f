"""Synthetic remedies, and what the graph is to know of them: facts that no model can have read anywhere.

    remedy  may_treat            finding      two to five of those that are drawn
    remedy  contraindicated_with finding      one to three others
    remedy  isa                  class
    class   acts_on              anatomy      two or three

Names are made of syllables; CUIs begin with C997, which UMLS does not use.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kgp_loaders.phantom.ontology import concepts
from kgp_loaders.phantom.studies import FINDINGS

FIRST_CUI: Final = 9_970_001
TREATS, HARMS, ISA, ACTS = "may_treat", "contraindicated_with", "isa", "acts_on"
ANATOMY: Final = ("lung", "heart", "pleura", "rib", "spine", "diaphragm", "trachea", "mediastinum")
COLUMNS: Final = ("head", "relation", "tail", "head_name", "tail_name")
REMEDIES_PER_CLASS: Final = 10  # remedies of a class

_FIRST: Final = "zor kel bam tiv ral mun dex fol gri pav sul nar vex lom quin tas".split()  # noqa: SIM905
_MIDDLE: Final = "a e i o u ary eno ilo ura onta".split()  # noqa: SIM905
_LAST: Final = "vane trim dine zol mab pril cet fan gest lide nib ran".split()  # noqa: SIM905


@dataclass(frozen=True)
class Remedy:
    """A remedy; findings by the keys of the synthetic ontology."""

    name: str
    cui: str
    class_name: str
    treats: tuple[str, ...]
    harms: tuple[str, ...]


@dataclass(frozen=True)
class Class:
    """A class of remedies; anatomy by the keys of the synthetic ontology."""

    name: str
    cui: str
    acts_on: tuple[str, ...]


@dataclass(frozen=True)
class Cabinet:
    """All remedies and their classes."""

    remedies: tuple[Remedy, ...]
    classes: dict[str, Class]

    def acts_on(self, remedy: Remedy) -> tuple[str, ...]:
        """The anatomy that a remedy acts on, by way of its class."""
        return self.classes[remedy.class_name].acts_on

    def triples(self) -> Iterator[tuple[str, str, str, str, str]]:
        """The facts as `COLUMNS`."""
        for remedy in self.remedies:
            for relation, concept_keys in ((TREATS, remedy.treats), (HARMS, remedy.harms)):
                for concept_key in concept_keys:
                    tail = concepts()[concept_key]
                    yield remedy.cui, relation, tail.cui, remedy.name, tail.names[0]
            remedy_class = self.classes[remedy.class_name]
            yield remedy.cui, ISA, remedy_class.cui, remedy.name, remedy_class.name
        for remedy_class in self.classes.values():
            for concept_key in remedy_class.acts_on:
                yield (
                    remedy_class.cui,
                    ACTS,
                    concepts()[concept_key].cui,
                    remedy_class.name,
                    concepts()[concept_key].names[0],
                )


def cabinet(count: int, seed: int) -> Cabinet:
    """So many remedies; the same number and seed give the same ones."""
    rng = random.Random(f"kgp phantom remedies {seed}")  # noqa: S311  not for secrets
    coined_names = _names(rng, count + count // REMEDIES_PER_CLASS + 1)
    class_names = [f"{coined_names.pop()}s" for _ in range(count // REMEDIES_PER_CLASS + 1)]
    classes = {
        coined_name: Class(
            coined_name, f"C{FIRST_CUI + index:07d}", tuple(sorted(rng.sample(ANATOMY, rng.randint(2, 3))))
        )
        for index, coined_name in enumerate(class_names)
    }
    findings = [finding_kind.value for finding_kind in FINDINGS]
    remedies = []
    for index, coined_name in enumerate(coined_names[:count]):
        sampled = rng.sample(findings, 8)
        treat_count, harm_count = rng.randint(2, 5), rng.randint(1, 3)
        cui = f"C{FIRST_CUI + len(class_names) + index:07d}"
        remedies.append(
            Remedy(
                coined_name,
                cui,
                rng.choice(class_names),
                _part(sampled[:treat_count]),
                _part(sampled[5 : 5 + harm_count]),
            )
        )
    return Cabinet(tuple(remedies), classes)


def _part(concept_keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(concept_keys))


def _names(rng: random.Random, count: int) -> list[str]:
    all_names = [prefix + infix + ending for prefix in _FIRST for infix in _MIDDLE for ending in _LAST]
    return rng.sample(all_names, count)
