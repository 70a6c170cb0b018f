"""How well construction by rules finds what OpenI's human indexers found, and how fast it is.

    python -m benchmarks.construct.openi --data $KGP_DATA_DIR [--part held-out]

Gold: the `Problems` that indexers assigned to a report. The eight findings are ChestX-ray8's (Wang et al. 2017).
Two thirds of the reports (by a hash of the uid) are for development; the rest is `held-out`: rules and words were
written without looking at it. A finding is predicted in one of two readings:

    stance     some of its concepts has a POSITIVE stance
    indexers   or an UNCERTAIN one that is likely, or one of several alternatives: the indexers (so the development
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

import yaml

from benchmarks.harness import record
from kgp_loaders.lexicons import read_lexicon
from kgp_loaders.medmkg import MedMKG
from kgp_loaders.openi import OpenI
from kgplatform.batches import Reject
from kgplatform.cli.output import note
from kgplatform.construct.annotate import MentionEvidence, annotate
from kgplatform.construct.attribute_table import Attribute
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed, types_by_name
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.schema import Stance

SETTINGS: Final = Path(__file__).parent / "settings" / "openi.yaml"
RESULTS: Final = Path(__file__).parent / "results"
PARTS: Final = ("development", "held-out")
READINGS: Final = ("stance", "indexers")
ALTERNATIVE_RULES: Final = frozenset({"versus", "one or the other", "one of three", "either"})


def split_part(uid: str) -> str:
    """Which part a report belongs to: a third, fixed for ever, is held out."""
    return PARTS[int(hashlib.sha256(f"openi {uid}".encode()).hexdigest()[:8], 16) % 3 == 0]


def is_indexed(mention: MentionEvidence) -> bool:
    """Whether the indexers index a mention that is UNCERTAIN."""
    return mention.rule in ALTERNATIVE_RULES or "likely" in mention.attributes.get(Attribute.CERTAINTY, ())


def tagged_findings(report: Report, tagger: DictionaryTagger) -> dict[str, set[str]]:
    """The concepts that a report shows, in each reading."""
    cuis_by_reading: dict[str, set[str]] = {reading: set() for reading in READINGS}
    for (concept, stance), evidence in annotate(report, tagger, rules()).edges.items():
        if stance is Stance.POSITIVE:
            cuis_by_reading["stance"].add(concept.cui)
        if stance is Stance.POSITIVE or (stance is Stance.UNCERTAIN and any(map(is_indexed, evidence))):
            cuis_by_reading["indexers"].add(concept.cui)
    return cuis_by_reading


def count_findings(
    reports: list[Report], gold: dict[str, set[str]], tagger: DictionaryTagger, concepts: dict[str, set[str]]
) -> dict[str, dict[str, Counter[str]]]:
    """True positives, false positives and false negatives of each finding, by reading."""
    counts_by_reading = {reading: {finding: Counter[str]() for finding in concepts} for reading in READINGS}
    for report in reports:
        cuis_by_reading = tagged_findings(report, tagger)
        for reading, finding_counts in counts_by_reading.items():
            for finding, finding_cuis in concepts.items():
                is_predicted, is_indexed = bool(cuis_by_reading[reading] & finding_cuis), finding in gold[report.study]
                finding_counts[finding][
                    "tp" if is_predicted and is_indexed else "fp" if is_predicted else "fn" if is_indexed else "tn"
                ] += 1
    return counts_by_reading


def figures(counts: Counter[str]) -> dict[str, Any]:
    """Precision, recall and F1 next to the counts; None where they are undefined."""
    true_positives, false_positives, false_negatives = counts["tp"], counts["fp"], counts["fn"]
    return {
        **{count_name: counts[count_name] for count_name in ("tp", "fp", "fn")},
        "precision": true_positives / (true_positives + false_positives) if true_positives + false_positives else None,
        "recall": true_positives / (true_positives + false_negatives) if true_positives + false_negatives else None,
        "f1": 2 * true_positives / (2 * true_positives + false_positives + false_negatives)
        if true_positives + false_positives + false_negatives
        else None,
    }


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Measure and store."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    lexicon = Lexicon(openi_lexicon_concepts(arguments.data))
    tagger = DictionaryTagger(lexicon, Allowed())
    with (arguments.data / "openi" / "indiana_reports.csv").open(newline="", encoding="utf-8") as reports_file:
        problems_by_uid = {
            table_row["uid"]: set(table_row["Problems"].split(";")) for table_row in csv.DictReader(reports_file)
        }
    gold_findings = {
        uid: {
            finding
            for finding, finding_settings in settings.items()
            if not report_problems.isdisjoint(finding_settings["problem"])
        }
        for uid, report_problems in problems_by_uid.items()
    }
    reports = [
        report
        for report in OpenI(arguments.data / "openi", views=()).reports()
        if isinstance(report, Report) and split_part(report.study) == arguments.part
    ]
    start_time = time.perf_counter()
    counts_by_reading = count_findings(
        reports,
        gold_findings,
        tagger,
        {finding: set(finding_settings["concepts"]) for finding, finding_settings in settings.items()},
    )
    seconds = time.perf_counter() - start_time
    document = {
        "context": record.context(),
        "part": arguments.part,
        "reports": len(reports),
        "lexicon": {"names": lexicon.names, "concepts": len(lexicon.preferred), "sha256": lexicon.sha256()},
        "judge": rules().name,
        "readings": {
            reading: {
                **{finding: figures(finding_counts) for finding, finding_counts in counts_by_finding.items()},
                "micro": figures(sum(counts_by_finding.values(), Counter())),
            }
            for reading, counts_by_finding in counts_by_reading.items()
        },
        "reports_per_second": len(reports) / seconds,
    }
    for reading, table_rows in document["readings"].items():
        for finding_name, table_row in table_rows.items():
            note(
                f"{reading:9} {finding_name:14} tp {table_row['tp']:4} fp {table_row['fp']:4} fn {table_row['fn']:4}  "
                f"F1 {table_row['f1'] or 0:.3f}"
            )
    note(f"stored in {record.store(RESULTS / f'construct_openi_{arguments.part}.json', document)}")


def openi_lexicon_concepts(data: Path) -> list[Concept]:
    """The names of the released MedMKG's concepts, labels of open ontologies, and the lexicon of the package."""
    source = MedMKG.find(data / "medmkg", None)
    names_by_cui: dict[str, str] = {}
    mention_counts: Counter[str] = Counter()
    for batch in source.batches(10_000):
        for (node_label, node_key), properties in batch.nodes.items():
            if node_label == "Concept" and "name" in properties:
                names_by_cui.setdefault(node_key, properties["name"])
        mention_counts.update(tail[1] for head, _, tail in batch.edges if head[0] == "Image")
    graph_concepts = [
        Concept(cui, concept_name, types_by_name(concept_name), float(mention_counts[cui]))
        for cui, concept_name in names_by_cui.items()
    ]
    graph_concepts += [
        ontology_row
        for ontology_row in read_lexicon(data / "umls" / "open_ontology_cui_xrefs.tsv")
        if not isinstance(ontology_row, Reject)
    ]
    return [*graph_concepts, *own_words(), *ontology_names()]


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with openi, medmkg and umls")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0])
    return record.exit_code(lambda: _run_benchmark(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
