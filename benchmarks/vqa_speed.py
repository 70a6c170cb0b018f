"""How quickly a question finds its concepts and its subgraph, beside a scan of all edges and a loop over all names.

    python benchmarks/vqa_speed.py [--rounds 5]

On the released graph and VQA-RAD's questions (KGP_DATA_DIR), all in one run on one core:

- concepts: `QuestionTagger`, and the loop that asks of every name whether it is a part of the question's letters; the
  same with 50 times as many names, and what cutting the questions into words takes alone;
- subgraphs: `Neighbourhoods` without what it remembers, and the scan that looks at every edge for each concept, once as
  MedMKG's code does (a column of a tensor, made a list, edge by edge), once over plain lists, which is kinder;
- the graph 50 times as large: 50 graphs side by side, and 50 times the images on the same concepts;
- the live graph: `live.subgraphs` on a Neo4j of the benchmark's own, all questions in one call, and one by one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
import vqa_data
from own_graph import own_graph

from kgp_loaders.medmkg import MedMKG
from kgplatform.cli.output import note
from kgplatform.construct.text import tokens
from kgplatform.ingest import ingest
from kgplatform.retrieval.knowledge import GraphImage, Knowledge, read_knowledge
from kgplatform.settings import Settings
from kgplatform.vqa import live, questions
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.subgraph import Neighbourhoods

TIMES = 50  # as large
SCANNED = 6  # questions that the scans answer: they take their time


def timed(call: Callable[[], Any], rounds: int) -> float:
    """Seconds of a call, the median of some rounds."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def scan_tensor(edges: torch.Tensor, concepts: Sequence[int]) -> list[list[int]]:
    """Every edge that touches a concept, edge by edge of a tensor (2, E), concept by concept."""
    found = []
    for concept in concepts:
        for number in range(edges.shape[1]):
            ends = edges[:, number].tolist()
            if concept in ends:
                found.append(ends)
    return found


def scan_list(edges: Sequence[tuple[int, int]], concepts: Sequence[int]) -> list[tuple[int, int]]:
    """The same over a list of pairs."""
    return [edge for concept in concepts for edge in edges if concept in edge]


def substrings(names: Sequence[str], text: str) -> list[int]:
    """The concepts whose name is a part of the question's letters."""
    lowered = text.lower()
    return [number for number, name in enumerate(names) if name.lower() in lowered]


def copies(knowledge: Knowledge) -> Knowledge:
    """`TIMES` graphs side by side."""
    concepts, images = len(knowledge.cuis), len(knowledge.images)
    steps = range(TIMES)
    return replace(
        knowledge,
        images=[GraphImage(f"{image.id}-{n}") for n in steps for image in knowledge.images],
        cuis=[f"{cui}-{n}" for n in steps for cui in knowledge.cuis],
        concepts=[name for _ in steps for name in knowledge.concepts],
        stances=np.concatenate([knowledge.stances + np.array([n * images, 0, n * concepts]) for n in steps]),
        relations=np.concatenate([knowledge.relations + np.array([n * concepts, 0, n * concepts]) for n in steps]),
    )


def more_names(knowledge: Knowledge) -> Knowledge:
    """`TIMES` as many concepts, each named after one that there is: "pleural effusion 7"."""
    steps = range(1, TIMES)
    return replace(
        knowledge,
        cuis=[*knowledge.cuis, *(f"{cui}-{n}" for n in steps for cui in knowledge.cuis)],
        concepts=[*knowledge.concepts, *(f"{name} {n}" for n in steps for name in knowledge.concepts)],
    )


def matching_seconds(knowledge: Knowledge, texts: Sequence[str], rounds: int) -> tuple[float, float]:
    """Seconds of finding a question's concepts by the tagger, and by the loop over all names (of 40 questions)."""
    tagger = QuestionTagger(knowledge, own_words=True)
    some = texts[:: max(1, len(texts) // 40)]
    tagged = timed(lambda: [tagger.concepts(text) for text in texts], rounds) / len(texts)
    looped = timed(lambda: [substrings(knowledge.concepts, text) for text in some], rounds) / len(some)
    return tagged, looped


def more_images(knowledge: Knowledge) -> Knowledge:
    """`TIMES` as many images with the same stances to the same concepts."""
    images = len(knowledge.images)
    return replace(
        knowledge,
        images=[GraphImage(f"{image.id}-{n}") for n in range(TIMES) for image in knowledge.images],
        stances=np.concatenate([knowledge.stances + np.array([n * images, 0, 0]) for n in range(TIMES)]),
    )


def subgraph_seconds(knowledge: Knowledge, asked: Sequence[Sequence[int]], rounds: int) -> tuple[float, float]:
    """Seconds of building the rows, and for a question, without anything remembered."""
    start = time.perf_counter()
    around = Neighbourhoods(knowledge)
    built = time.perf_counter() - start

    def every() -> None:
        around.forget()
        for concepts in asked:
            around.of(concepts)

    every()
    return built, timed(every, rounds) / len(asked)


def measured(rounds: int, build: Path) -> dict[str, Any]:
    """All figures; times in microseconds a question unless they say otherwise."""
    torch.set_num_threads(1)
    data = Settings.from_env().data_dir
    folder, medmkg = (vqa_data.there(data, name) for name in ("vqa_rad", "medmkg"))
    found, _ = questions.read("vqa_rad", folder)
    texts = sorted({question.text for question in found})
    with own_graph(build / "neo4j-medmkg") as graph:
        ingest(graph, MedMKG.find(medmkg))
        knowledge = read_knowledge(graph)
        tagger = QuestionTagger(knowledge, own_words=True)
        asked = [concepts for text in texts if (concepts := tagger.concepts(text))]
        note(f"{len(texts):,} questions, {len(asked):,} of them name a concept")
        cuis = [[knowledge.cuis[concept] for concept in concepts] for concepts in asked]
        live.subgraphs(graph, cuis)  # plans and pages are warm
        together = timed(lambda: live.subgraphs(graph, cuis), rounds) / len(cuis)
        alone = [timed(lambda one=one: live.subgraphs(graph, [one]), 1) for one in cuis[:200]]  # type: ignore[misc]
    note("the live graph is done")
    matching = {}
    for name, of in (("released", knowledge), (f"{TIMES} times as many names", more_names(knowledge))):
        tagged, looped = matching_seconds(of, texts, rounds)
        matching[name] = {
            "names": len(of.concepts),
            "tagger_us": round(1e6 * tagged, 1),
            "substring_loop_us": round(1e6 * looped, 1),
            "ratio": round(looped / tagged, 1),
        }
    cut = timed(lambda: [tokens(text) for text in texts], rounds) / len(texts)
    built, quick = subgraph_seconds(knowledge, asked, rounds)
    pairs = [(h, t) for h, _, t in knowledge.relations.tolist()]
    pairs += [(i + len(knowledge.cuis), c) for i, _, c in knowledge.stances.tolist()]
    edges = torch.tensor(pairs).T.contiguous()
    step = max(1, len(asked) // SCANNED)
    sample = asked[::step][:SCANNED]
    slow = timed(lambda: [scan_tensor(edges, concepts) for concepts in sample], 1) / len(sample)
    kinder = timed(lambda: [scan_list(pairs, concepts) for concepts in sample], rounds) / len(sample)
    note("the scans are done")
    large = {}
    for name, grown in (
        ("graphs side by side", copies(knowledge)),
        ("images of the same concepts", more_images(knowledge)),
    ):
        made, each = subgraph_seconds(grown, asked, rounds)
        large[name] = {
            "edges": len(grown.stances) + len(grown.relations),
            "rows_built_s": round(made, 2),
            "us": round(1e6 * each, 1),
            "times_as_long": round(each / quick, 2),
        }
    return {
        "questions": len(texts),
        "with_concepts": len(asked),
        "edges": len(pairs),
        "concepts": {**matching, "cut_into_words_us": round(1e6 * cut, 1)},
        "subgraphs": {
            "rows_built_s": round(built, 3),
            "us": round(1e6 * quick, 1),
            "scan_of_a_tensor_us": round(1e6 * slow, 1),
            "ratio": round(slow / quick, 1),
            "scan_of_a_list_us": round(1e6 * kinder, 1),
            "ratio_to_list": round(kinder / quick, 1),
        },
        f"{TIMES} times as large": large,
        "live": {
            "together_ms": round(1e3 * together, 3),
            "one_by_one_median_ms": round(1e3 * statistics.median(alone), 2),
            "one_by_one_p95_ms": round(1e3 * float(np.percentile(alone, 95)), 2),
        },
    }


def main() -> int:
    """Read the arguments, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent.parent / "build" / "vqa" / "vqa_rad")
    arguments = parser.parse_args()

    def work() -> None:
        result = measured(arguments.rounds, arguments.build)
        path = record.store("vqa_speed", {"context": record.context(), "result": result})
        note(f"{path}\n{result}")

    return record.exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
