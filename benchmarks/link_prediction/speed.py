"""Times training and ranking compared with stock PyKEEN and a per-sample loop, in the same run.

    python -m benchmarks.link_prediction.speed [--models transe,rotate,…] [--export DIR] [--rounds 3]

The same PyKEEN model with the same initial weights, optimizer, margin loss, batch size and one negative a triple (head,
relation and tail in turn) is trained by PyKEEN's `SLCWATrainingLoop` and by ours, in alternating rounds. Then the same
weights are ranked on the test part by PyKEEN's `RankBasedEvaluator` (heads and tails: 1.11.1 cannot rank relations), by
ours (the same two tasks, and all three), and, for a sample of the test triples, by a loop over triples that scores all
candidates of one question at a time. All ranks are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.losses import MarginRankingLoss
from pykeen.sampling import BasicNegativeSampler
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory

from benchmarks.harness import record
from benchmarks.link_prediction import run as link_prediction
from kgp_models.link_prediction import zoo
from kgp_models.link_prediction.evaluate import TASKS, TrueTriples, evaluate
from kgp_models.link_prediction.objectives import objective
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.train import optimizer, optimizer_step
from kgplatform.cli.output import note
from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split

MODELS = ("transe", "transh", "transr", "transd", "rotate", "mure", "rescal", "distmult", "complex", "simple")
EPOCHS = 3  # a round
SAMPLE = 30  # test triples that the per-sample loop ranks


class AdamW(torch.optim.AdamW):
    """torch's, accepting what PyKEEN hands on of its defaults (1.11.1 fails on torch 2.15 otherwise)."""

    def __init__(self, params: Any, decoupled_weight_decay: bool = True, **options: Any) -> None:
        super().__init__(params, **options)


def _build_with_negatives(name: str, split: Split) -> tuple[TrainingSettings, Any, Any]:
    """A model by the paper's settings, but trained with sampled negatives, regardless of what they say."""
    settings_path = link_prediction.SETTINGS / "paper" / f"{name}.yaml"
    arguments = TrainingSettings.read(settings_path).arguments
    settings = TrainingSettings.from_document({"model": name, "arguments": arguments})
    return settings, *zoo.build_link_model(settings, split.triples.num_entities, split.triples.num_relations, seed=42)


def our_epochs(name: str, split: Split) -> tuple[Callable[[], None], Any, Any]:
    """What trains `EPOCHS` epochs by our loop, with the model and its scorer."""
    settings, model, scorer = _build_with_negatives(name, split)
    model_optimizer = optimizer(settings, model)
    training_objective = objective(settings, split.train, split.triples.num_entities, split.triples.num_relations)

    def run() -> None:
        model.train()
        for _ in range(EPOCHS):
            for batch in training_objective.batches():
                optimizer_step(model, scorer, model_optimizer, training_objective, batch)

    return run, model, scorer


def their_epochs(name: str, split: Split) -> Callable[[], None]:
    """What trains `EPOCHS` epochs by PyKEEN's loop."""
    settings, model, _ = _build_with_negatives(name, split)
    model.loss = MarginRankingLoss(margin=1.0)
    triples = split.triples
    core_triples = CoreTriplesFactory(
        torch.from_numpy(split.train.copy()), triples.num_entities, triples.num_relations, create_inverse_triples=False
    )
    training_loop = SLCWATrainingLoop(
        model=model,
        triples_factory=core_triples,
        optimizer=AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay),
        negative_sampler=BasicNegativeSampler,
        negative_sampler_kwargs={"num_negs_per_pos": 1, "corruption_scheme": ("head", "relation", "tail")},
    )

    def run() -> None:
        training_loop.train(
            core_triples, num_epochs=EPOCHS, batch_size=settings.batch_size, use_tqdm=False, use_tqdm_batch=False
        )  # fmt: skip

    return run


def alternate(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each, timed in turns after one untimed turn."""
    seconds_by_run: dict[str, list[float]] = {run_name: [] for run_name in runs}
    for turn_number in range(rounds + 1):
        for run_name, timed_run in runs.items():
            start_time = time.perf_counter()
            timed_run()
            if turn_number:
                seconds_by_run[run_name].append(time.perf_counter() - start_time)
    return {run_name: statistics.median(run_seconds) for run_name, run_seconds in seconds_by_run.items()}


def rank_one_at_a_time(
    model: Any, triples: np.ndarray, true_triples: TrueTriples, sizes: tuple[int, int, int]
) -> dict[str, np.ndarray]:
    """Filtered realistic ranks, a triple and a task at a time: score all candidates, leave out the known, count."""
    ranks = {task: np.empty(len(triples)) for task in TASKS}
    for row_index, triple in enumerate(triples):
        for column_index, task in enumerate(TASKS):
            candidates = torch.from_numpy(np.tile(triple, (sizes[column_index], 1)))
            candidates[:, column_index] = torch.arange(sizes[column_index])
            with torch.inference_mode():
                scores = model.score_hrt(candidates)[:, 0].numpy().copy()
            true_score = scores[triple[column_index]]
            scores[true_triples.answers(task, triple[None])[1]] = -np.inf
            ranks[task][row_index] = 1 + (scores > true_score).sum() + (scores == true_score).sum() / 2
    return ranks


def ranking(model: Any, scorer: Any, split: Split, true_triples: TrueTriples, rounds: int) -> dict[str, Any]:
    """Seconds to rank the test part by each way, and how far their ranks are from ours."""
    model.eval()
    test_triples = split.test
    filter_triples = [torch.from_numpy(split_part.copy()) for split_part in (split.train, split.valid)]
    sizes = (split.triples.num_entities, split.triples.num_relations, split.triples.num_entities)
    sample_triples = test_triples[np.random.default_rng(0).permutation(len(test_triples))[:SAMPLE]]
    results_by_method: dict[str, Any] = {}

    def theirs() -> None:
        results_by_method["pykeen"] = RankBasedEvaluator().evaluate(
            model,
            torch.from_numpy(test_triples.copy()),
            additional_filter_triples=filter_triples,
            use_tqdm=False,
            batch_size=256,
        )

    def loop() -> None:
        results_by_method["loop"] = rank_one_at_a_time(model, sample_triples, true_triples, sizes)

    def ours() -> None:
        results_by_method["ours"] = evaluate(scorer, test_triples, true_triples)

    runs = {
        "pykeen": theirs,
        "loop": loop,
        "two": lambda: evaluate(scorer, test_triples, true_triples, tasks=("head", "tail")),
        "ours": ours,
    }
    seconds = alternate(runs, rounds)
    metrics = results_by_method["ours"].metrics()
    row_by_triple = {tuple(triple): row_index for row_index, triple in enumerate(test_triples.tolist())}
    sample_rows = [row_by_triple[tuple(triple)] for triple in sample_triples.tolist()]
    rank_differences = {
        task: float(
            np.abs(results_by_method["loop"][task] - results_by_method["ours"].filtered[task][sample_rows]).max()
        )
        for task in TASKS
    }
    pykeen_mean_ranks = {
        task: results_by_method["pykeen"].get_metric(f"{task}.realistic.arithmetic_mean_rank")
        for task in ("head", "tail")
    }
    loop_seconds = seconds["loop"] * len(test_triples) / len(sample_triples)
    return {
        "pykeen_head_and_tail_s": seconds["pykeen"],
        "ours_head_and_tail_s": seconds["two"],
        "ours_all_tasks_s": seconds["ours"],
        "per_sample_loop_all_tasks_s": loop_seconds,
        "pykeen_over_ours": seconds["pykeen"] / seconds["two"],
        "per_sample_loop_over_ours": loop_seconds / seconds["ours"],
        "largest_rank_difference_to_loop": rank_differences,
        "mean_rank": {
            task: {"pykeen": pykeen_mean_ranks[task], "ours": metrics[task].mr} for task in pykeen_mean_ranks
        },
    }


def main() -> int:
    """Time every model and store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--export", type=Path, help="an export (`kgp export`), instead of the graph in Neo4j")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    split = splits.paper(link_prediction.read_graph(arguments.export))
    true_triples = TrueTriples(split.triples.ids, split.triples.num_entities, split.triples.num_relations)
    model_results = {}
    for model_name in arguments.models.split(","):
        run_ours, model, scorer = our_epochs(model_name, split)
        seconds = alternate({"pykeen": their_epochs(model_name, split), "ours": run_ours}, arguments.rounds)
        training_result = {
            f"{framework}_s_per_epoch": round_seconds / EPOCHS for framework, round_seconds in seconds.items()
        }
        training_result["pykeen_over_ours"] = seconds["pykeen"] / seconds["ours"]
        model_results[model_name] = {
            "training": training_result,
            "ranking": ranking(model, scorer, split, true_triples, arguments.rounds),
        }
        ranking_result = model_results[model_name]["ranking"]
        note(
            f"{model_name}: training {training_result['pykeen_over_ours']:.1f}x PyKEEN's loop, ranking "
            f"{ranking_result['pykeen_over_ours']:.1f}x its evaluator, "
            f"{ranking_result['per_sample_loop_over_ours']:.0f}x a per-sample loop"
        )
    document = {
        **record.context(42),
        "threads": torch.get_num_threads(),
        "settings": {"epochs_a_round": EPOCHS, "rounds": arguments.rounds, "sample": SAMPLE, "batch_size": 2048},
        "models": model_results,
    }
    note(f"stored in {record.store(link_prediction.RESULTS / 'link_prediction_speed.json', document)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
