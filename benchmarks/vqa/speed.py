"""How quickly a question finds its concepts and its subgraph, compared with a scan of all edges and a loop over all
names.

    python -m benchmarks.vqa.speed [--rounds 5]

On the released graph and VQA-RAD's questions (KGP_DATA_DIR), all in one run on one core:

- concepts: `QuestionTagger`, and the loop that asks of every name whether it is a part of the question's letters; the
  same with 50 times as many names, and what cutting the questions into words takes alone;
- subgraphs: `Neighbourhoods` without what it remembers, and the scan that looks at every edge for each concept, once as
  MedMKG's code does (a column of a tensor, made a list, edge by edge), once over plain lists, which is kinder;
- the graph 50 times as large: 50 graphs side by side, and 50 times the images on the same concepts;
- the live graph: `live.subgraphs` on a Neo4j of the benchmark's own, all questions in one call, and one at a time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.harness import record
from benchmarks.harness.own_graph import own_graph
from benchmarks.vqa import data as vqa_data
from kgplatform.cli.output import note
from kgplatform.construct.text import tokenize_text
from kgplatform.datasets import questions
from kgplatform.datasets.knowledge import GraphImage, Knowledge, read_knowledge
from kgplatform.settings import Settings
from kgplatform.vqa import live
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.subgraph import Neighbourhoods

RESULTS: Final = Path(__file__).parent / "results"

TIMES = 50  # as large
SCANNED = 6  # questions that the scans answer: they take their time


def _time_call(call: Callable[[], Any], rounds: int) -> float:
    """Seconds of a call, the median of some rounds."""
    seconds = []
    for _ in range(rounds):
        start_time = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start_time)
    return statistics.median(seconds)


def scan_tensor(edges: torch.Tensor, concepts: Sequence[int]) -> list[list[int]]:
    """Every edge that touches a concept, edge by edge of a tensor (2, E), concept by concept."""
    touching_edges = []
    for concept in concepts:
        for edge_index in range(edges.shape[1]):
            edge_ends = edges[:, edge_index].tolist()
            if concept in edge_ends:
                touching_edges.append(edge_ends)
    return touching_edges


def scan_list(edges: Sequence[tuple[int, int]], concepts: Sequence[int]) -> list[tuple[int, int]]:
    """The same over a list of pairs."""
    return [edge for concept in concepts for edge in edges if concept in edge]


def substrings(names: Sequence[str], text: str) -> list[int]:
    """The concepts whose name is a part of the question's letters."""
    lowercase_text = text.lower()
    return [concept_index for concept_index, concept_name in enumerate(names) if concept_name.lower() in lowercase_text]


def copies(knowledge: Knowledge) -> Knowledge:
    """`TIMES` graphs side by side."""
    concept_count, image_count = len(knowledge.cuis), len(knowledge.images)
    copy_numbers = range(TIMES)
    return replace(
        knowledge,
        images=[GraphImage(f"{image.id}-{copy}") for copy in copy_numbers for image in knowledge.images],
        cuis=[f"{cui}-{copy}" for copy in copy_numbers for cui in knowledge.cuis],
        concepts=[concept_name for _ in copy_numbers for concept_name in knowledge.concepts],
        stances=np.concatenate(
            [knowledge.stances + np.array([copy * image_count, 0, copy * concept_count]) for copy in copy_numbers]
        ),
        relations=np.concatenate(
            [knowledge.relations + np.array([copy * concept_count, 0, copy * concept_count]) for copy in copy_numbers]
        ),
    )


def more_names(knowledge: Knowledge) -> Knowledge:
    """`TIMES` as many concepts, each named after one that there is: "pleural effusion 7"."""
    copy_numbers = range(1, TIMES)
    return replace(
        knowledge,
        cuis=[*knowledge.cuis, *(f"{cui}-{copy}" for copy in copy_numbers for cui in knowledge.cuis)],
        concepts=[
            *knowledge.concepts,
            *(f"{concept_name} {copy}" for copy in copy_numbers for concept_name in knowledge.concepts),
        ],
    )


def matching_seconds(knowledge: Knowledge, texts: Sequence[str], rounds: int) -> tuple[float, float]:
    """Seconds of finding a question's concepts by the tagger, and by the loop over all names (of 40 questions)."""
    tagger = QuestionTagger(knowledge, own_words=True)
    sample_texts = texts[:: max(1, len(texts) // 40)]
    tagger_seconds = _time_call(lambda: [tagger.concepts(text) for text in texts], rounds) / len(texts)
    loop_seconds = _time_call(lambda: [substrings(knowledge.concepts, text) for text in sample_texts], rounds) / len(
        sample_texts
    )
    return tagger_seconds, loop_seconds


def more_images(knowledge: Knowledge) -> Knowledge:
    """`TIMES` as many images with the same stances to the same concepts."""
    image_count = len(knowledge.images)
    return replace(
        knowledge,
        images=[GraphImage(f"{image.id}-{copy}") for copy in range(TIMES) for image in knowledge.images],
        stances=np.concatenate([knowledge.stances + np.array([copy * image_count, 0, 0]) for copy in range(TIMES)]),
    )


def subgraph_seconds(knowledge: Knowledge, seed_lists: Sequence[Sequence[int]], rounds: int) -> tuple[float, float]:
    """Seconds of building the rows, and for a question, without anything remembered."""
    start_time = time.perf_counter()
    neighbourhoods = Neighbourhoods(knowledge)
    build_seconds = time.perf_counter() - start_time

    def every() -> None:
        neighbourhoods.forget()
        for concepts in seed_lists:
            neighbourhoods.subgraph(concepts)

    every()
    return build_seconds, _time_call(every, rounds) / len(seed_lists)


def _measure(rounds: int, build: Path) -> dict[str, Any]:
    """All figures; times in microseconds a question unless they say otherwise."""
    torch.set_num_threads(1)
    data_folder = Settings.from_env().data_dir
    folder, medmkg = (vqa_data.data_set_folder(data_folder, variant_name) for variant_name in ("vqa_rad", "medmkg"))
    all_questions, _ = questions.read_questions("vqa_rad", folder)
    texts = sorted({question.text for question in all_questions})
    with own_graph(build / "neo4j-medmkg") as graph:
        graph.ingest("medmkg", medmkg)
        knowledge = read_knowledge(graph)
        tagger = QuestionTagger(knowledge, own_words=True)
        concepts_by_question = [concepts for text in texts if (concepts := tagger.concepts(text))]
        note(f"{len(texts):,} questions, {len(concepts_by_question):,} of them name a concept")
        cuis_by_question = [[knowledge.cuis[concept] for concept in concepts] for concepts in concepts_by_question]
        live.subgraphs(graph, cuis_by_question)  # plans and pages are warm
        batched_seconds = _time_call(lambda: live.subgraphs(graph, cuis_by_question), rounds) / len(cuis_by_question)
        single_seconds = [
            _time_call(lambda question_cuis=question_cuis: live.subgraphs(graph, [question_cuis]), 1)  # type: ignore[misc]
            for question_cuis in cuis_by_question[:200]
        ]
    note("the live graph is done")
    matching_results = {}
    for variant_name, variant in (("released", knowledge), (f"{TIMES} times as many names", more_names(knowledge))):
        tagger_seconds, loop_seconds = matching_seconds(variant, texts, rounds)
        matching_results[variant_name] = {
            "names": len(variant.concepts),
            "tagger_us": round(1e6 * tagger_seconds, 1),
            "substring_loop_us": round(1e6 * loop_seconds, 1),
            "ratio": round(loop_seconds / tagger_seconds, 1),
        }
    token_seconds = _time_call(lambda: [tokenize_text(text) for text in texts], rounds) / len(texts)
    build_seconds, subgraph_time = subgraph_seconds(knowledge, concepts_by_question, rounds)
    edge_pairs = [(head, tail) for head, _, tail in knowledge.relations.tolist()]
    edge_pairs += [
        (image + len(knowledge.cuis), stance_concept) for image, _, stance_concept in knowledge.stances.tolist()
    ]
    edge_tensor = torch.tensor(edge_pairs).T.contiguous()
    sample_step = max(1, len(concepts_by_question) // SCANNED)
    sample = concepts_by_question[::sample_step][:SCANNED]
    tensor_seconds = _time_call(lambda: [scan_tensor(edge_tensor, concepts) for concepts in sample], 1) / len(sample)
    list_seconds = _time_call(lambda: [scan_list(edge_pairs, concepts) for concepts in sample], rounds) / len(sample)
    note("the scans are done")
    large_results = {}
    for variant_name, large_knowledge in (
        ("graphs side by side", copies(knowledge)),
        ("images of the same concepts", more_images(knowledge)),
    ):
        large_build_seconds, large_subgraph_time = subgraph_seconds(large_knowledge, concepts_by_question, rounds)
        large_results[variant_name] = {
            "edges": len(large_knowledge.stances) + len(large_knowledge.relations),
            "rows_built_s": round(large_build_seconds, 2),
            "us": round(1e6 * large_subgraph_time, 1),
            "times_as_long": round(large_subgraph_time / subgraph_time, 2),
        }
    return {
        "questions": len(texts),
        "with_concepts": len(concepts_by_question),
        "edges": len(edge_pairs),
        "concepts": {**matching_results, "cut_into_words_us": round(1e6 * token_seconds, 1)},
        "subgraphs": {
            "rows_built_s": round(build_seconds, 3),
            "us": round(1e6 * subgraph_time, 1),
            "scan_of_a_tensor_us": round(1e6 * tensor_seconds, 1),
            "ratio": round(tensor_seconds / subgraph_time, 1),
            "scan_of_a_list_us": round(1e6 * list_seconds, 1),
            "ratio_to_list": round(list_seconds / subgraph_time, 1),
        },
        f"{TIMES} times as large": large_results,
        "live": {
            "together_ms": round(1e3 * batched_seconds, 3),
            "one_by_one_median_ms": round(1e3 * statistics.median(single_seconds), 2),
            "one_by_one_p95_ms": round(1e3 * float(np.percentile(single_seconds, 95)), 2),
        },
    }


def main() -> int:
    """Read the arguments, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=Path, default=record.ROOT / "build" / "vqa" / "vqa_rad")
    arguments = parser.parse_args()

    def work() -> None:
        result = _measure(arguments.rounds, arguments.build)
        result_path = record.store(RESULTS / "vqa_speed.json", {"context": record.context(), "result": result})
        note(f"{result_path}\n{result}")

    return record.exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
