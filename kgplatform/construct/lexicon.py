"""Names of concepts, looked up by the words of a text.

A name and a text are compared by their *key*: the words in order, in lower case, in the singular, abbreviations
written out, without articles and the like. "Opacities of the RUL" and "opacity, right upper lobe" have one key.
Names in a terminology's own dress are known in plain dress, too: "Effusion, pleural" as "pleural effusion",
"Structure of left lung (body structure)" as "left lung".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from kgplatform.construct.meanings import OWN, MeaningIndex
from kgplatform.construct.text import Token, stem, tokenize_text

SKIPPED: Final = frozenset(["the", "a", "an", "of", "in", "is", "are", "was", "were", "be", "been", "at", "within"])
JOINING: Final = frozenset("-'’:")  # marks that do not part a phrase: "Heart size: enlarged" is one
ABBREVIATIONS: Final = {
    "bibasilar": "bilateral basilar",
    "cabg": "coronary artery bypass graft",
    "chf": "congestive heart failure",
    "copd": "chronic obstructive pulmonary disease",
    "ett": "endotracheal tube",
    "lll": "left lower lobe",
    "lul": "left upper lobe",
    "ngt": "nasogastric tube",
    "picc": "peripherally inserted central catheter",
    "ptx": "pneumothorax",
    "rll": "right lower lobe",
    "rml": "right middle lobe",
    "rul": "right upper lobe",
    "svc": "superior vena cava",
}
MAX_WORDS: Final = 12  # longer names are sentences of a classification, which no report holds

_WRITTEN_OUT: Final = {short: tuple(long.split()) for short, long in ABBREVIATIONS.items()}
_TAG: Final = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$|^\s*\[[A-Z]{1,2}\]:?\s*")  # (disorder), [D]
_NOS: Final = re.compile(r"[,;\s]+(?:NOS|unspecified|not otherwise specified)\s*$", re.IGNORECASE)
_STRUCTURE: Final = re.compile(r"^(?:entire|structure of|all of)\s+(.+)$|^(.+?)\s+structure$", re.IGNORECASE)


class Concept(NamedTuple):
    """A concept as a lexicon knows it."""

    cui: str
    name: str
    types: tuple[str, ...] = ()  # semantic types: TUIs or names
    weight: float = 0.0  # how common it is, to choose between concepts that share a name
    organ: str = ""  # where it is, so far as its name does not say: a "mass" of chest radiographs is one of the lung


class ConceptRelation(NamedTuple):
    """A relation between two concepts, named as in the ontology."""

    head: str
    name: str
    tail: str


class Word(NamedTuple):
    """A word of a key, and the token that it comes from."""

    text: str
    token: int


def key_words(tokens: Sequence[Token]) -> Iterator[Word | None]:
    """The words of a key, None where a mark parts what stands before it from what follows."""
    for token_index, token in enumerate(tokens):
        token_text = token.text
        if token_text in JOINING or token_text in SKIPPED:
            continue
        if not token_text[0].isalnum():
            yield None
        elif token_text in _WRITTEN_OUT:
            for word in _WRITTEN_OUT[token_text]:
                yield Word(stem(word), token_index)
        else:
            yield Word(stem(token_text), token_index)


def key(name: str) -> str:
    """The key of a name as it stands; marks do not part it. Empty for a name without words."""
    return " ".join(word.text for word in key_words(tokenize_text(name)) if word is not None)


def plain_names(name: str) -> Iterator[str]:
    """The name, and what it is called in plain words; each once."""
    variants = [name]
    bare_name = name
    while (shorter_name := _TAG.sub("", bare_name)) != bare_name and shorter_name.strip():
        bare_name = shorter_name
    variants.append(bare_name)
    bare_name = _NOS.sub("", bare_name)
    variants.append(bare_name)
    if (structure_match := _STRUCTURE.match(bare_name)) is not None:
        variants.append(structure_match[1] or structure_match[2])
    name_parts = re.split(r"\s*[,;]\s*", bare_name)
    if len(name_parts) == 2 and all(name_parts):
        variants.append(f"{name_parts[1]} {name_parts[0]}")
    yield from dict.fromkeys(variant.strip() for variant in variants if variant.strip())


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """A concept under one of its names; `alias` is the CUI that the name came with where another concept of the same
    meaning stands for it.
    """

    concept: Concept
    name: str
    alias: str = ""


_Tree: TypeAlias = dict[str, "_Tree"]  # names by their words, one word a level
_NAME: Final = ""  # a branch of a tree where a name ends
MAX_SKIPPED: Final = 6  # words within a name that are no part of it


def _longest(
    branch: _Tree,
    words: Sequence[str],
    index: int,
    skipped: Collection[str],
    name_key: str,
    best: tuple[int, str],
    skips: int = 0,
) -> tuple[int, str]:
    """The longest name below the branch, of the words from `index` on."""
    while True:
        if not skips and _NAME in branch and index > best[0]:
            best = index, name_key
        if index >= len(words) or skips > MAX_SKIPPED:
            return best
        word = words[index]
        next_branch = branch.get(word)
        may_skip = word in skipped or word[0].isdigit()
        if next_branch is None:
            if not may_skip:
                return best
            skips += 1
        else:
            if may_skip:
                best = _longest(branch, words, index + 1, skipped, name_key, best, skips + 1)
            branch, name_key, skips = next_branch, f"{name_key} {word}", 0
        index += 1


class Lexicon:
    """Concepts by the keys of their names; find with `longest_name` or `entries`."""

    def __init__(
        self, concepts: Iterable[Concept], same: Iterable[tuple[str, str]] = (), *, one_per_meaning: bool = True
    ) -> None:
        """Take in concepts; a concept may come several times, under different names; the first is the preferred one.

        With `one_per_meaning`, one of the concepts of a meaning (`meanings`) stands for all; `same` are pairs that the
        graph calls the same.
        """
        self._own_tree: _Tree = {}
        self._entries: dict[str, LexiconEntry | list[LexiconEntry]] = {}
        self._reach: dict[str, int] = {}  # by first word: the most words that a key has after it
        self.preferred: dict[str, str] = {}  # by CUI: the first name that came
        self.names = 0
        meanings = MeaningIndex()
        for concept in concepts:
            words = self._add(concept).split()
            if concept.weight >= OWN:
                self._add_own_name(words)
            if one_per_meaning:
                meanings.add(concept.cui, words, concept.types, concept.name, concept.weight)
        self.aliases = meanings.representatives(same)  # by CUI the concept that stands for it
        if self.aliases:
            self._replace_aliases()

    def _add(self, concept: Concept) -> str:
        """Take in a name of a concept, and give its shortest key."""
        self.preferred.setdefault(concept.cui, concept.name)
        added_keys = set()
        shortest_key = ""
        written = [concept.name] if concept.weight >= OWN else plain_names(concept.name)  # own terms are plain
        for plain_name in written:
            name_key = key(plain_name)
            if not name_key or name_key in added_keys:
                continue
            added_keys.add(name_key)
            shortest_key = name_key if not shortest_key or len(name_key) < len(shortest_key) else shortest_key
            first_word, later_words = name_key.split(" ", 1)[0], name_key.count(" ")
            if later_words >= MAX_WORDS:
                continue
            self._reach[first_word] = max(later_words, self._reach.get(first_word, 0))
            entry = LexiconEntry(concept, plain_name)
            present = self._entries.get(name_key)
            if present is None:
                self._entries[name_key] = entry
            elif isinstance(present, LexiconEntry):
                if (present.concept.cui, present.name) != (concept.cui, plain_name):
                    self._entries[name_key] = [present, entry]
            elif all(
                (present_entry.concept.cui, present_entry.name) != (concept.cui, plain_name)
                for present_entry in present
            ):
                present.append(entry)
            self.names += 1
        return shortest_key

    def _add_own_name(self, words: Sequence[str]) -> None:
        branch = self._own_tree
        for word in words:
            branch = branch.setdefault(word, {})
        branch[_NAME] = {}

    def _replace_aliases(self) -> None:
        """Let the concept that stands for a meaning have all its names."""
        best_concepts: dict[str, Concept] = {}
        for entry_key in self._entries:
            for entry in self.entries(entry_key):
                best = best_concepts.get(entry.concept.cui)
                if best is None or best.weight < entry.concept.weight:
                    best_concepts[entry.concept.cui] = entry.concept
        for entry_key, present in self._entries.items():
            entries = [present] if isinstance(present, LexiconEntry) else present
            if any(entry.concept.cui in self.aliases for entry in entries):
                replaced = [self._without_alias(entry, best_concepts) for entry in entries]
                self._entries[entry_key] = replaced[0] if len(replaced) == 1 else replaced

    def _without_alias(self, entry: LexiconEntry, best_concepts: Mapping[str, Concept]) -> LexiconEntry:
        representative = best_concepts.get(self.aliases.get(entry.concept.cui, ""))
        if representative is None:
            return entry
        return LexiconEntry(representative._replace(name=entry.concept.name), entry.name, entry.concept.cui)

    @property
    def first_words(self) -> Collection[str]:
        """The words that keys begin with."""
        return self._reach.keys()

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._entries)

    def entries(self, key: str) -> Sequence[LexiconEntry]:
        """The concepts that have a name of this key."""
        present = self._entries.get(key)
        return () if present is None else (present,) if isinstance(present, LexiconEntry) else present

    def longest_name(self, words: Sequence[str], start: int) -> int:
        """How many words from `start` on make the longest key; 0 for none."""
        max_reach = self._reach.get(words[start])
        if max_reach is None:
            return 0
        entries = self._entries
        for word_count in range(min(max_reach, len(words) - start - 1) + 1, 0, -1):
            if " ".join(words[start : start + word_count]) in entries:
                return word_count
        return 0

    def longest_own_name(self, words: Sequence[str], start: int, skipped: Collection[str]) -> tuple[int, str]:
        """Where the longest name of an own term ends that begins with the word at `start`, and its key. Words of
        `skipped` may be inside the name. (`start`, "") where there is none.
        """
        branch = self._own_tree.get(words[start])
        if branch is None:
            return start, ""
        return _longest(branch, words, start + 1, skipped, words[start], (start, ""))

    def sha256(self) -> str:
        """A hash of all that decides what is found."""
        digest = hashlib.sha256()
        for entry_key in sorted(self._entries):
            for entry in self.entries(entry_key):
                digest.update(repr((entry_key, entry.name, entry.concept)).encode())
        digest.update(repr(sorted(self.preferred.items())).encode())
        return digest.hexdigest()

    def vocabulary(self) -> set[str]:
        """Every word of every key."""
        return {word for entry_key in self._entries for word in entry_key.split(" ")}
