"""Whether a general word ("mass") is read as the finding of the organ that the sentence is about.

    python -m benchmarks.construct.senses

`settings/sense_sentences.tsv` has synthetic sentences with the sense of a word. Half of them, by a hash, are for
development. Compared are the choice by context (`kgplatform.construct.senses`) and the first candidate, as before.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import record
from kgplatform.cli.output import note
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.senses import with_senses
from kgplatform.construct.tagger import DictionaryTagger, Mention

SENTENCES: Final = Path(__file__).parent / "settings" / "sense_sentences.tsv"
RESULTS: Final = Path(__file__).parent / "results"
PARTS: Final = ("development", "held-out")


def read_sentences() -> list[tuple[str, str, int]]:
    """The sense, the sentence without brackets, and where the word begins."""
    rows = []
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "sense\t")):
            sense, sentence = line.split("\t")
            rows.append((sense, re.sub(r"[\[\]]", "", sentence), sentence.index("[")))
    return rows


def sentence_part(sentence: str) -> str:
    """Which part a sentence belongs to."""
    return PARTS[int(hashlib.sha256(sentence.encode()).hexdigest()[:8], 16) % 2]


def chosen_sense(mentions: list[Mention], start: int) -> str:
    """The name of the concept that was chosen for the word at `start`; empty where it is no mention."""
    return next((m.candidates[0].name for m in mentions if m.start <= start < m.end), "")


def _run_benchmark(_: argparse.Namespace) -> None:
    tagger = DictionaryTagger(Lexicon([*own_words(), *ontology_names()]), Allowed())
    counts = {part: {"sentences": 0, "by_context": 0, "first_candidate": 0} for part in PARTS}
    wrong = []
    for sense, sentence, start in read_sentences():
        part = counts[sentence_part(sentence)]
        mentions = tagger.tag(sentence)
        by_context = chosen_sense(with_senses(sentence, mentions), start)
        part["sentences"] += 1
        part["by_context"] += by_context == sense
        part["first_candidate"] += chosen_sense(mentions, start) == sense
        if by_context != sense:
            wrong.append({"part": sentence_part(sentence), "sentence": sentence, "sense": sense, "chosen": by_context})
    document: dict[str, Any] = {"context": record.context(), "counts": counts, "wrong": wrong}
    for name, part in counts.items():
        note(f"{name}: {part['by_context']} of {part['sentences']} by context, {part['first_candidate']} without")
    for row in wrong:
        if row["part"] == PARTS[0]:
            note(f"  {row['sentence']} {row['sense']}, chosen {row['chosen'] or 'nothing'}")
    note(f"stored in {record.store(RESULTS / 'construct_senses.json', document)}")


def main() -> int:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    return record.exit_code(lambda: _run_benchmark(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
