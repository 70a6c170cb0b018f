"""How well construction finds the truth of the invented studies.

    python benchmarks/construct_phantom.py [--studies 2000] [--seeds 7,8,9]

Concepts: F1 over (image, concept), whatever the stance. Stances: the mean of the three stances' F1 over the edges
whose image and concept both have. Beside them two trivial baselines: everything found is POSITIVE, and the commonest
stance of each concept. The wording of the phantom was known when the rules were extended, so these figures say how well
the rules cover what they are meant for; how well they do on unknown reports is measured on OpenI's held-out part.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import record

from kgp_loaders.mimic_cxr import MIMICCXR
from kgp_loaders.phantom import study_set
from kgp_loaders.umls import UMLS
from kgplatform.batches import Reject
from kgplatform.cli.output import note
from kgplatform.construct.annotate import annotate
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.schema import Stance

Edge = tuple[str, str, str]  # image, stance, concept


def f1(found: set[Any], true: set[Any]) -> float:
    """2 tp / (2 tp + fp + fn)."""
    return 2 * len(found & true) / (len(found) + len(true)) if found or true else 0.0


def scores(found: set[Edge], true: set[Edge]) -> dict[str, Any]:
    """Concept F1, each stance's F1 and their mean."""
    pairs, gold = {(i, c) for i, _, c in found}, {(i, c) for i, _, c in true}
    both = pairs & gold
    stances = {
        stance.value: f1(
            {edge for edge in found if edge[1] == stance and (edge[0], edge[2]) in both},
            {edge for edge in true if edge[1] == stance and (edge[0], edge[2]) in both},
        )
        for stance in Stance
    }
    return {
        "concept_f1": f1(pairs, gold),
        "stance_f1": stances,
        "stance_macro_f1": sum(stances.values()) / len(stances),
        "edge_f1": f1(found, true),
    }


def baselines(found: set[Edge], true: set[Edge]) -> dict[str, set[Edge]]:
    """What knows nothing of stances: all POSITIVE; and each concept's commonest stance, taken from the truth itself."""
    common: dict[str, Counter[str]] = defaultdict(Counter)
    for _, stance, concept in true:
        common[concept][stance] += 1
    known = {concept: counted.most_common(1)[0][0] for concept, counted in common.items()}
    return {
        "all POSITIVE": {(image, "POSITIVE", concept) for image, _, concept in found},
        "commonest stance of the concept": {
            (image, known.get(concept, "POSITIVE"), concept) for image, _, concept in found
        },
    }


def construct(folder: Path) -> set[Edge]:
    """The edges that the rules find in the reports of a study set."""
    names = Lexicon(row for row in UMLS(folder / "ontology").concepts() if not isinstance(row, Reject))
    tagger, judge = DictionaryTagger(names, Allowed()), rules()
    reports = (row for row in MIMICCXR(folder).reports() if isinstance(row, Report))
    return {
        (report.image_id, stance.value, concept.cui)
        for report in reports
        for concept, stance in annotate(report, tagger, judge).edges
    }


def truth(folder: Path) -> set[Edge]:
    """The edges of the truth that join an image to a concept."""
    with (folder / "truth" / "edges.csv").open(newline="", encoding="utf-8") as file:
        rows = ((row["Head"], row["Relation"], row["Tail"]) for row in csv.DictReader(file))
        return {row for row in rows if row[0].startswith("I")}


def work(studies: int, seeds: Iterable[int]) -> None:
    """Measure and store."""
    runs = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "phantom"
            study_set.build(folder, studies, seed, images=False)
            found, true = construct(folder), truth(folder)
        runs[str(seed)] = {
            "edges": {"found": len(found), "true": len(true)},
            "rules": scores(found, true),
            "baselines": {name: scores(edges, true) for name, edges in baselines(found, true).items()},
        }
        ours = runs[str(seed)]["rules"]
        note(f"seed {seed}: concept F1 {ours['concept_f1']:.3f}, stance macro-F1 {ours['stance_macro_f1']:.3f}")
    document = {"context": record.context(), "studies": studies, "judge": rules().name, "seeds": runs}
    note(f"stored in {record.store('construct_phantom', document)}")


def main() -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000)
    parser.add_argument("--seeds", default="7,8,9")
    arguments = parser.parse_args()
    return record.exit_code(lambda: work(arguments.studies, map(int, arguments.seeds.split(","))))


if __name__ == "__main__":
    sys.exit(main())
