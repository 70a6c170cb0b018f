"""Invented remedies, and what the graph is to know of them: facts that no model can have read anywhere.

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
EVERY_REMEDY_OF: Final = 10  # remedies of a class

_FIRST: Final = "zor kel bam tiv ral mun dex fol gri pav sul nar vex lom quin tas".split()  # noqa: SIM905
_MIDDLE: Final = "a e i o u ary eno ilo ura onta".split()  # noqa: SIM905
_LAST: Final = "vane trim dine zol mab pril cet fan gest lide nib ran".split()  # noqa: SIM905


@dataclass(frozen=True)
class Remedy:
    """A remedy; findings by the keys of the invented ontology."""

    name: str
    cui: str
    of: str  # the name of its class
    treats: tuple[str, ...]
    harms: tuple[str, ...]


@dataclass(frozen=True)
class Class:
    """A class of remedies; anatomy by the keys of the invented ontology."""

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
        return self.classes[remedy.of].acts_on

    def triples(self) -> Iterator[tuple[str, str, str, str, str]]:
        """The facts as `COLUMNS`."""
        for remedy in self.remedies:
            for relation, keys in ((TREATS, remedy.treats), (HARMS, remedy.harms)):
                for key in keys:
                    tail = concepts()[key]
                    yield remedy.cui, relation, tail.cui, remedy.name, tail.names[0]
            kind = self.classes[remedy.of]
            yield remedy.cui, ISA, kind.cui, remedy.name, kind.name
        for kind in self.classes.values():
            for key in kind.acts_on:
                yield kind.cui, ACTS, concepts()[key].cui, kind.name, concepts()[key].names[0]


def cabinet(count: int, seed: int) -> Cabinet:
    """So many remedies; the same number and seed give the same ones."""
    rng = random.Random(f"kgp phantom remedies {seed}")  # noqa: S311  not for secrets
    names = _names(rng, count + count // EVERY_REMEDY_OF + 1)
    kinds = [f"{names.pop()}s" for _ in range(count // EVERY_REMEDY_OF + 1)]
    classes = {
        name: Class(name, f"C{FIRST_CUI + number:07d}", tuple(sorted(rng.sample(ANATOMY, rng.randint(2, 3)))))
        for number, name in enumerate(kinds)
    }
    findings = [kind.value for kind in FINDINGS]
    remedies = []
    for number, name in enumerate(names[:count]):
        drawn = rng.sample(findings, 8)
        treats, harms = rng.randint(2, 5), rng.randint(1, 3)
        cui = f"C{FIRST_CUI + len(kinds) + number:07d}"
        remedies.append(Remedy(name, cui, rng.choice(kinds), _part(drawn[:treats]), _part(drawn[5 : 5 + harms])))
    return Cabinet(tuple(remedies), classes)


def _part(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(keys))


def _names(rng: random.Random, count: int) -> list[str]:
    every = [first + middle + last for first in _FIRST for middle in _MIDDLE for last in _LAST]
    return rng.sample(every, count)
