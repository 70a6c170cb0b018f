"""How well construction by rules finds what OpenI's human indexers found, and how fast it is.

    python benchmarks/construct_openi.py --data ../shared/data [--part held-out]

Gold: the `Problems` that indexers assigned to a report. The eight findings are ChestX-ray8's (Wang et al. 2017).
Two thirds of the reports (by a hash of the uid) are for development; the rest is `held-out`: rules and words were
written without looking at it. A finding is predicted in one of two readings:

    stance     some of its concepts has a POSITIVE stance
    indexers   or an UNCERTAIN one whose cue is "versus" or "probable" and the like: the indexers (so the development
               part shows) index both of "atelectasis versus infiltrate", which stays UNCERTAIN in the graph
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import record
import yaml

from kgp_loaders.lexicons import read
from kgp_loaders.medmkg import MedMKG
from kgp_loaders.openi import OpenI
from kgplatform.batches import Reject
from kgplatform.cli.output import note
from kgplatform.construct.annotate import annotate
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.pipeline import own_words
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed, types_by_name
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.schema import Stance

SETTINGS: Final = Path(__file__).parent / "settings" / "construct" / "openi.yaml"
PARTS: Final = ("development", "held-out")
READINGS: Final = ("stance", "indexers")
INDEXED: Final = frozenset({"versus", "vs", "probable", "probably", "likely", "most likely"})


def part_of(uid: str) -> str:
    """Which part a report belongs to: a third, fixed for ever, is held out."""
    return PARTS[int(hashlib.sha256(f"openi {uid}".encode()).hexdigest()[:8], 16) % 3 == 0]


def findings_of(report: Report, tagger: DictionaryTagger) -> dict[str, set[str]]:
    """The concepts that a report shows, in each reading."""
    shown: dict[str, set[str]] = {reading: set() for reading in READINGS}
    for (concept, stance), evidence in annotate(report, tagger, rules()).edges.items():
        cues = {report.sections[found.section][slice(*found.cue)].lower() for found in evidence if found.cue}
        if stance is Stance.POSITIVE:
            shown["stance"].add(concept.cui)
        if stance is Stance.POSITIVE or (stance is Stance.UNCERTAIN and cues & INDEXED):
            shown["indexers"].add(concept.cui)
    return shown


def counts_of(
    reports: list[Report], gold: dict[str, set[str]], tagger: DictionaryTagger, concepts: dict[str, set[str]]
) -> dict[str, dict[str, Counter[str]]]:
    """True positives, false positives and false negatives of each finding, by reading."""
    counts = {reading: {finding: Counter[str]() for finding in concepts} for reading in READINGS}
    for report in reports:
        shown = findings_of(report, tagger)
        for reading, counted in counts.items():
            for finding, cuis in concepts.items():
                predicted, true = bool(shown[reading] & cuis), finding in gold[report.study]
                counted[finding]["tp" if predicted and true else "fp" if predicted else "fn" if true else "tn"] += 1
    return counts


def figures(counts: Counter[str]) -> dict[str, Any]:
    """Precision, recall and F1 beside the counts; None where they are undefined."""
    tp, fp, fn = counts["tp"], counts["fp"], counts["fn"]
    return {
        **{name: counts[name] for name in ("tp", "fp", "fn")},
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
    }


def work(arguments: argparse.Namespace) -> None:
    """Measure and store."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    lexicon = Lexicon(concepts(arguments.data))
    tagger = DictionaryTagger(lexicon, Allowed())
    with (arguments.data / "openi" / "indiana_reports.csv").open(newline="", encoding="utf-8") as file:
        problems = {row["uid"]: set(row["Problems"].split(";")) for row in csv.DictReader(file)}
    gold = {
        uid: {finding for finding, one in settings.items() if one["problem"] in found}
        for uid, found in problems.items()
    }
    reports = [
        report
        for report in OpenI(arguments.data / "openi", views=()).reports()
        if isinstance(report, Report) and part_of(report.study) == arguments.part
    ]
    began = time.perf_counter()
    counts = counts_of(reports, gold, tagger, {finding: set(one["concepts"]) for finding, one in settings.items()})
    seconds = time.perf_counter() - began
    document = {
        "context": record.context(),
        "part": arguments.part,
        "reports": len(reports),
        "lexicon": {"names": lexicon.names, "concepts": len(lexicon.preferred), "sha256": lexicon.sha256()},
        "judge": rules().name,
        "readings": {
            reading: {
                **{finding: figures(found) for finding, found in of_reading.items()},
                "micro": figures(sum(of_reading.values(), Counter())),
            }
            for reading, of_reading in counts.items()
        },
        "reports_per_second": len(reports) / seconds,
    }
    for reading, rows in document["readings"].items():
        for name, row in rows.items():
            note(f"{reading:9} {name:14} tp {row['tp']:4} fp {row['fp']:4} fn {row['fn']:4}  F1 {row['f1'] or 0:.3f}")
    note(f"stored in {record.store(f'construct_openi_{arguments.part}', document)}")


def concepts(data: Path) -> list[Concept]:
    """The lexicon of the issue: the graph's concept names, the open ontologies' labels, and the platform's words."""
    source = MedMKG.find(data / "medmkg", None)
    names: dict[str, str] = {}
    common: Counter[str] = Counter()
    for batch in source.batches(10_000):
        for (label, key), properties in batch.nodes.items():
            if label == "Concept" and "name" in properties:
                names.setdefault(key, properties["name"])
        common.update(tail[1] for head, _, tail in batch.edges if head[0] == "Image")
    found = [Concept(cui, name, types_by_name(name), float(common[cui])) for cui, name in names.items()]
    found += [row for row in read(data / "umls" / "open_ontology_cui_xrefs.tsv") if not isinstance(row, Reject)]
    return [*found, *own_words()]


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with openi, medmkg and umls")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0])
    return record.exit_code(lambda: work(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
