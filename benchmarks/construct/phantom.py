"""How well construction finds the truth of the synthetic studies.

    python -m benchmarks.construct.phantom [--studies 2000] [--seeds 7,8,9]

Concepts: F1 over (image, concept), regardless of the stance. Stances: the mean of the three stances' F1 over the edges
whose image and concept both have. In addition, two trivial baselines: everything found is POSITIVE, and the commonest
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
from typing import Any, Final

from benchmarks.harness import record
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

RESULTS: Final = Path(__file__).parent / "results"

Edge = tuple[str, str, str]  # image, stance, concept


def f1(predicted: set[Any], true: set[Any]) -> float:
    """2 tp / (2 tp + fp + fn)."""
    return 2 * len(predicted & true) / (len(predicted) + len(true)) if predicted or true else 0.0


def _edge_scores(predicted: set[Edge], true: set[Edge]) -> dict[str, Any]:
    """Concept F1, each stance's F1 and their mean."""
    predicted_pairs, gold_pairs = (
        {(image, concept) for image, _, concept in predicted},
        {(image, concept) for image, _, concept in true},
    )
    common_pairs = predicted_pairs & gold_pairs
    stance_scores = {
        stance.value: f1(
            {edge for edge in predicted if edge[1] == stance and (edge[0], edge[2]) in common_pairs},
            {edge for edge in true if edge[1] == stance and (edge[0], edge[2]) in common_pairs},
        )
        for stance in Stance
    }
    return {
        "concept_f1": f1(predicted_pairs, gold_pairs),
        "stance_f1": stance_scores,
        "stance_macro_f1": sum(stance_scores.values()) / len(stance_scores),
        "edge_f1": f1(predicted, true),
    }


def baselines(predicted: set[Edge], true: set[Edge]) -> dict[str, set[Edge]]:
    """What knows nothing of stances: all POSITIVE; and each concept's commonest stance, taken from the truth itself."""
    stance_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for _, stance, concept in true:
        stance_counts[concept][stance] += 1
    commonest_stances = {
        concept: concept_counts.most_common(1)[0][0] for concept, concept_counts in stance_counts.items()
    }
    return {
        "all POSITIVE": {(image, "POSITIVE", concept) for image, _, concept in predicted},
        "commonest stance of the concept": {
            (image, commonest_stances.get(concept, "POSITIVE"), concept) for image, _, concept in predicted
        },
    }


def _construct_edges(folder: Path) -> set[Edge]:
    """The edges that the rules find in the reports of a study set."""
    lexicon = Lexicon(record for record in UMLS(folder / "ontology").concepts() if not isinstance(record, Reject))
    tagger, stance_judge = DictionaryTagger(lexicon, Allowed()), rules()
    reports = (record for record in MIMICCXR(folder).reports() if isinstance(record, Report))
    return {
        (report.image_id, stance.value, concept.cui)
        for report in reports
        for concept, stance in annotate(report, tagger, stance_judge).edges
    }


def truth(folder: Path) -> set[Edge]:
    """The edges of the truth that join an image to a concept."""
    with (folder / "truth" / "edges.csv").open(newline="", encoding="utf-8") as edges_file:
        edges = ((edge["Head"], edge["Relation"], edge["Tail"]) for edge in csv.DictReader(edges_file))
        return {edge for edge in edges if edge[0].startswith("I")}


def _run_benchmark(studies: int, seeds: Iterable[int]) -> None:
    """Measure and store."""
    runs_by_seed = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as temporary_folder:
            folder = Path(temporary_folder) / "phantom"
            study_set.build_study_set(folder, studies, seed, images=False)
            predicted_edges, true_edges = _construct_edges(folder), truth(folder)
        runs_by_seed[str(seed)] = {
            "edges": {"found": len(predicted_edges), "true": len(true_edges)},
            "rules": _edge_scores(predicted_edges, true_edges),
            "baselines": {
                baseline_name: _edge_scores(baseline_edges, true_edges)
                for baseline_name, baseline_edges in baselines(predicted_edges, true_edges).items()
            },
        }
        rule_scores = runs_by_seed[str(seed)]["rules"]
        note(
            f"seed {seed}: concept F1 {rule_scores['concept_f1']:.3f}, stance macro-F1 "
            f"{rule_scores['stance_macro_f1']:.3f}"
        )
    document = {"context": record.context(), "studies": studies, "judge": rules().name, "seeds": runs_by_seed}
    note(f"stored in {record.store(RESULTS / 'construct_phantom.json', document)}")


def main() -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000)
    parser.add_argument("--seeds", default="7,8,9")
    arguments = parser.parse_args()
    return record.exit_code(lambda: _run_benchmark(arguments.studies, map(int, arguments.seeds.split(","))))


if __name__ == "__main__":
    sys.exit(main())
