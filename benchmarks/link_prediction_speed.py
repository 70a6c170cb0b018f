"""Times training and ranking beside stock PyKEEN and a per-sample loop, in the same run.

    python benchmarks/link_prediction_speed.py [--models transe,rotate,…] [--export DIR] [--rounds 3]

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import link_prediction
import numpy as np
import record
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.losses import MarginRankingLoss
from pykeen.sampling import BasicNegativeSampler
from pykeen.training import SLCWATrainingLoop
from pykeen.triples import CoreTriplesFactory

from kgp_models.link_prediction import zoo
from kgp_models.link_prediction.evaluate import TASKS, Known, evaluate
from kgp_models.link_prediction.objectives import objective
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.train import optimizer, step
from kgplatform.cli.output import note
from kgplatform.export import splits
from kgplatform.export.splits import Split

MODELS = ("transe", "transh", "transr", "transd", "rotate", "mure", "rescal", "distmult", "complex", "simple")
EPOCHS = 3  # a round
SAMPLE = 30  # test triples that the per-sample loop ranks


class AdamW(torch.optim.AdamW):
    """torch's, accepting what PyKEEN hands on of its defaults (1.11.1 fails on torch 2.15 otherwise)."""

    def __init__(self, params: Any, decoupled_weight_decay: bool = True, **rest: Any) -> None:
        super().__init__(params, **rest)


def build(name: str, split: Split) -> tuple[TrainingSettings, Any, Any]:
    """A model by the paper's settings, but trained with sampled negatives, whatever they say."""
    path = link_prediction.SETTINGS / "paper" / f"{name}.yaml"
    arguments = TrainingSettings.read(path).arguments
    settings = TrainingSettings.of({"model": name, "arguments": arguments})
    return settings, *zoo.build(settings, split.triples.num_entities, split.triples.num_relations, seed=42)


def our_epochs(name: str, split: Split) -> tuple[Callable[[], None], Any, Any]:
    """What trains `EPOCHS` epochs by our loop, with the model and its scorer."""
    settings, model, scorer = build(name, split)
    steps = optimizer(settings, model)
    goal = objective(settings, split.train, split.triples.num_entities, split.triples.num_relations)

    def run() -> None:
        model.train()
        for _ in range(EPOCHS):
            for batch in goal.batches():
                step(model, scorer, steps, goal, batch)

    return run, model, scorer


def their_epochs(name: str, split: Split) -> Callable[[], None]:
    """What trains `EPOCHS` epochs by PyKEEN's loop."""
    settings, model, _ = build(name, split)
    model.loss = MarginRankingLoss(margin=1.0)
    triples = split.triples
    factory = CoreTriplesFactory(
        torch.from_numpy(split.train.copy()), triples.num_entities, triples.num_relations, create_inverse_triples=False
    )
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay),
        negative_sampler=BasicNegativeSampler,
        negative_sampler_kwargs={"num_negs_per_pos": 1, "corruption_scheme": ("head", "relation", "tail")},
    )

    def run() -> None:
        loop.train(
            factory, num_epochs=EPOCHS, batch_size=settings.batch_size, use_tqdm=False, use_tqdm_batch=False
        )  # fmt: skip

    return run


def alternate(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each, timed in turns after one untimed turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def one_by_one(model: Any, triples: np.ndarray, known: Known, sizes: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Filtered realistic ranks, a triple and a task at a time: score all candidates, leave out the known, count."""
    ranks = {task: np.empty(len(triples)) for task in TASKS}
    for row, triple in enumerate(triples):
        for place, task in enumerate(TASKS):
            candidates = torch.from_numpy(np.tile(triple, (sizes[place], 1)))
            candidates[:, place] = torch.arange(sizes[place])
            with torch.inference_mode():
                scores = model.score_hrt(candidates)[:, 0].numpy().copy()
            true = scores[triple[place]]
            scores[known.answers(task, triple[None])[1]] = -np.inf
            ranks[task][row] = 1 + (scores > true).sum() + (scores == true).sum() / 2
    return ranks


def ranking(model: Any, scorer: Any, split: Split, known: Known, rounds: int) -> dict[str, Any]:
    """Seconds to rank the test part by each way, and how far their ranks are from ours."""
    model.eval()
    test = split.test
    rest = [torch.from_numpy(part.copy()) for part in (split.train, split.valid)]
    sizes = (split.triples.num_entities, split.triples.num_relations, split.triples.num_entities)
    sample = test[np.random.default_rng(0).permutation(len(test))[:SAMPLE]]
    found: dict[str, Any] = {}

    def theirs() -> None:
        found["pykeen"] = RankBasedEvaluator().evaluate(
            model, torch.from_numpy(test.copy()), additional_filter_triples=rest, use_tqdm=False, batch_size=256
        )

    def loop() -> None:
        found["loop"] = one_by_one(model, sample, known, sizes)

    def ours() -> None:
        found["ours"] = evaluate(scorer, test, known)

    runs = {
        "pykeen": theirs,
        "loop": loop,
        "two": lambda: evaluate(scorer, test, known, tasks=("head", "tail")),
        "ours": ours,
    }
    seconds = alternate(runs, rounds)
    metrics = found["ours"].metrics()
    place = {tuple(row): i for i, row in enumerate(test.tolist())}
    rows = [place[tuple(row)] for row in sample.tolist()]
    apart = {task: float(np.abs(found["loop"][task] - found["ours"].filtered[task][rows]).max()) for task in TASKS}
    mr = {task: found["pykeen"].get_metric(f"{task}.realistic.arithmetic_mean_rank") for task in ("head", "tail")}
    per_sample = seconds["loop"] * len(test) / len(sample)
    return {
        "pykeen_head_and_tail_s": seconds["pykeen"],
        "ours_head_and_tail_s": seconds["two"],
        "ours_all_tasks_s": seconds["ours"],
        "per_sample_loop_all_tasks_s": per_sample,
        "pykeen_over_ours": seconds["pykeen"] / seconds["two"],
        "per_sample_loop_over_ours": per_sample / seconds["ours"],
        "largest_rank_difference_to_loop": apart,
        "mean_rank": {task: {"pykeen": mr[task], "ours": metrics[task].mr} for task in mr},
    }


def main() -> int:
    """Time every model and store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--export", type=Path, help="an export (`kgp export`), instead of the graph in Neo4j")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    split = splits.paper(link_prediction.read_graph(arguments.export))
    known = Known(split.triples.ids, split.triples.num_entities, split.triples.num_relations)
    models = {}
    for name in arguments.models.split(","):
        ours, model, scorer = our_epochs(name, split)
        seconds = alternate({"pykeen": their_epochs(name, split), "ours": ours}, arguments.rounds)
        training = {f"{whose}_s_per_epoch": value / EPOCHS for whose, value in seconds.items()}
        training["pykeen_over_ours"] = seconds["pykeen"] / seconds["ours"]
        models[name] = {"training": training, "ranking": ranking(model, scorer, split, known, arguments.rounds)}
        rank = models[name]["ranking"]
        note(
            f"{name}: training {training['pykeen_over_ours']:.1f}x PyKEEN's loop, ranking "
            f"{rank['pykeen_over_ours']:.1f}x its evaluator, {rank['per_sample_loop_over_ours']:.0f}x a per-sample loop"
        )
    document = {
        **record.context(42),
        "threads": torch.get_num_threads(),
        "settings": {"epochs_a_round": EPOCHS, "rounds": arguments.rounds, "sample": SAMPLE, "batch_size": 2048},
        "models": models,
    }
    note(f"stored in {record.store('link_prediction_speed', document)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
