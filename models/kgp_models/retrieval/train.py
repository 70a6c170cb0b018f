"""Training: a backbone on pairs, alone or with FashionKLIP's alignment; KnowledgeCLIP's pre-training on the graph."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from kgp_models.retrieval.backbone import Backbone, quick
from kgp_models.retrieval.fashionklip import Alignment
from kgp_models.retrieval.inputs import Examples, vectors_of_images, vectors_of_texts
from kgp_models.retrieval.knowledgeclip import KnowledgeLosses, KnowledgeSettings, batches
from kgp_models.retrieval.losses import distillation, image_text
from kgp_models.retrieval.settings import FineTuning
from kgp_models.retrieval.tokens import Tokens
from kgp_models.training_state import TrainingState
from kgp_models.varied import varied
from kgplatform.retrieval import metrics
from kgplatform.retrieval.knowledge import Knowledge

Progress = Callable[[int, int | None], None]
SETTLED: Final = 1024  # pictures that statistics of batch norms are computed from
SETTLED_BATCH: Final = 128
STATE: Final = "training.state"
CHECKED: Final = "recall"  # of the validation part: see `recall`


@dataclass(frozen=True)
class Trained:
    """What came out of a training: `history` has, by epoch, the losses and the validation's figure."""

    epochs: int
    best_epoch: int
    best: float
    history: list[dict[str, float]]
    seconds: float


def evaluated(backbone: Backbone, examples: Examples) -> dict[str, metrics.Scores]:
    """Precision and recall of examples, both ways."""
    images = vectors_of_images(backbone, examples.images)
    groups = examples.groups.numpy()
    first = {int(group): place for place, group in reversed(list(enumerate(groups)))}
    places = [first[group] for group in range(len(first))]
    texts = [examples.texts[place] for place in places]
    vectors = vectors_of_texts(backbone, texts if examples.text_features is None else examples.text_features[places])
    return metrics.both(images.numpy(), vectors.numpy(), groups)


def recall(scores: Mapping[str, metrics.Scores]) -> float:
    """What epochs are compared by: the mean of Recall@1, 5 and 10 of both directions (a sixth of retrieval's "rsum"),
    which swings less from epoch to epoch than one of them.
    """
    means = [of.means() for of in scores.values()]
    return sum(of[f"R@{k}"] for of in means for k in (1, 5, 10)) / (3 * len(means))


def fine_tune(
    backbone: Backbone,
    train: Examples,
    valid: Examples,
    settings: FineTuning,
    folder: Path,
    seed: int,
    alignment: Alignment | None = None,
    weight: float = 0.0,
    progress: Progress = lambda done, total: None,
) -> Trained:
    """Train on pairs by ITC, with `alignment` also by `weight` times CVA; stopped when the validation's `recall` has
    not risen for `patience` epochs, and with the weights of the best epoch. `folder` keeps where it is, by epoch.
    """
    torch.manual_seed(seed)
    device = next(backbone.parameters()).device
    steps = math.ceil(len(train) / settings.batch)
    decay = settings.weight_decay
    optimizer = torch.optim.AdamW(_trained(backbone), settings.learning_rate, weight_decay=decay, fused=True)
    warm = round(settings.warmup * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step, warm, steps * settings.epochs, settings.schedule)
    )
    state = TrainingState(folder / STATE, {"backbone": backbone, "optimizer": optimizer, "schedule": schedule})
    history, seconds = state.resume()
    best_weights = state.best or copy.deepcopy(backbone.state_dict())
    while len(history) < settings.epochs and not _is_over(history, settings.patience):
        started, epoch = time.monotonic(), len(history)
        rng = torch.Generator().manual_seed(seed * 1_000 + epoch)  # so that an epoch is the same after a kill
        if alignment is not None:
            alignment.begin_epoch(backbone)
        backbone.train()
        sums: dict[str, float] = {}
        for step, rows in enumerate(torch.split(torch.randperm(len(train), generator=rng), settings.batch)):
            images, texts = _embedded(backbone, train, rows, settings.varied, rng, device)
            losses = {"itc": image_text(images, texts, backbone.scale, train.groups[rows].to(device))}
            if alignment is not None:
                losses["cva"] = weight * alignment.loss(backbone, rows, images, rng)
            _step(backbone, optimizer, sum(losses.values(), images.new_zeros(())), settings.clip)
            schedule.step()
            _add(sums, losses)
            progress(epoch * steps + step + 1, settings.epochs * steps)
        settle(backbone, train.images)
        figure = recall(evaluated(backbone, valid))
        if not history or figure > max(row[CHECKED] for row in history):
            best_weights = copy.deepcopy(backbone.state_dict())
        seconds += time.monotonic() - started
        history.append({**{name: total / steps for name, total in sums.items()}, CHECKED: figure})
        state.keep(history, seconds, best_weights)
    backbone.load_state_dict(best_weights)
    backbone.eval()
    figures = [row[CHECKED] for row in history]
    best = max(figures)
    return Trained(len(history), figures.index(best) + 1, best, history, seconds)


def pretrain(
    backbone: Backbone,
    knowledge: Knowledge,
    pictures: Tensor,
    pairs: Examples,
    settings: KnowledgeSettings,
    tuning: FineTuning,
    folder: Path,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> Trained:
    """KnowledgeCLIP's pre-training on the graph: `pictures` are those of its images, in its order; `pairs` are the
    training pairs on which the backbone's similarities are kept (KD).

    A graph without edges changes nothing. `folder` keeps where the training is after each epoch.
    """
    if not len(knowledge.stances) and not len(knowledge.relations):
        return Trained(0, 0, 0.0, [], 0.0)
    torch.manual_seed(seed)
    device = next(backbone.parameters()).device
    heads = KnowledgeLosses(knowledge, settings).to(device)
    names = [settings.prompt.format(name) for name in knowledge.concepts]
    teacher = _teacher(backbone, pairs) if settings.kd else None
    trained = [*_trained(backbone), *heads.parameters()]
    optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=tuning.weight_decay, fused=True)
    total = settings.epochs * math.ceil(len({*knowledge.stances[:, 0].tolist()}) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step, total // 10, total, "cosine")
    )
    parts = {"backbone": backbone, "heads": heads, "optimizer": optimizer, "schedule": schedule}
    state = TrainingState(folder / STATE, parts)
    history, seconds = state.resume()
    done = total // settings.epochs * len(history)
    for epoch in range(len(history), settings.epochs):
        started, sums, count = time.monotonic(), dict[str, float](), 0
        rng = torch.Generator().manual_seed(seed * 1_000 + epoch)
        backbone.train()
        for batch in batches(knowledge, settings, seed * 1_000 + epoch):
            seen = _images(backbone, pictures[batch.images], tuning.varied, rng, device)
            named = _texts(backbone, [names[place] for place in batch.concepts.tolist()], device)
            with quick(device):
                losses = heads(backbone, batch, seen, named)
            losses = {name: getattr(settings, name) * value for name, value in losses.items()}
            if teacher is not None:
                rows = torch.randperm(len(pairs), generator=rng)[: settings.pairs]
                mine = _embedded(backbone, pairs, rows, tuning.varied, rng, device)
                known = teacher(rows).to(device)
                losses["kd"] = settings.kd * distillation(*mine, backbone.scale, known)
            _step(backbone, optimizer, sum(losses.values(), seen.new_zeros(())), tuning.clip)
            schedule.step()
            _add(sums, losses)
            count += 1
            done += 1
            progress(done, total)
        settle(backbone, pairs.images)
        seconds += time.monotonic() - started
        history.append({name: value / count for name, value in sums.items()})
        state.keep(history, seconds, {})
    backbone.eval()
    return Trained(len(history), len(history), 0.0, history, seconds)


@torch.no_grad()
def settle(backbone: Backbone, pictures: Tensor) -> None:
    """Compute anew the statistics by which batch norms of an image tower go in evaluation, as it is now, from pictures
    as they are (precise batch norm, Wu & Johnson 2021). In training they trail behind the weights, and mix batches of
    pairs with those of prototypes or of the graph.
    """
    norms = [part for part in backbone.image_tower.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms or backbone.frozen:
        return
    was, momenta = backbone.training, [norm.momentum for norm in norms]
    device = next(backbone.parameters()).device
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
    backbone.train()
    rows = torch.linspace(0, len(pictures) - 1, min(SETTLED, len(pictures))).long()
    for block in torch.split(rows, SETTLED_BATCH):
        with quick(device):
            backbone.image_features(pictures[block].to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.train(was)


def _teacher(backbone: Backbone, pairs: Examples) -> Callable[[Tensor], Tensor]:
    """The logits of pairs by the backbone as it is now."""
    images = vectors_of_images(backbone, pairs.images)
    texts = vectors_of_texts(backbone, pairs.texts if pairs.text_features is None else pairs.text_features)
    scale = float(backbone.scale.detach())
    return lambda rows: scale * images[rows] @ texts[rows].T


def _share_of_rate(step: int, warm: int, total: int, schedule: str) -> float:
    """Of the learning rate in a step: it rises through `warm` steps, then stays or falls to 0 as a cosine does."""
    if step < warm:
        return (step + 1) / warm
    if schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


def _trained(backbone: Backbone) -> Iterator[nn.Parameter]:
    return (parameter for parameter in backbone.parameters() if parameter.requires_grad)


def _step(backbone: Backbone, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    backbone.limit_scale()


def _embedded(
    backbone: Backbone, given: Examples, rows: Tensor, change: bool, rng: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The vectors of pairs, (B, 512) each."""
    images = _images(backbone, given.images[rows], change, rng, device)
    texts = given.text_inputs(rows, backbone)
    with quick(device):
        if isinstance(texts, Tensor):
            return images, backbone.embed_texts(texts.to(device)).float()
        return images, backbone.embed_texts(_to(texts, device)).float()


def _images(backbone: Backbone, values: Tensor, change: bool, rng: torch.Generator, device: torch.device) -> Tensor:
    if values.dim() == 4 and change:
        values = ((varied(values, rng) + 1.0) * 127.5).clamp(0.0, 255.0)
    with quick(device):
        return backbone.embed_images(values.to(device)).float()


def _texts(backbone: Backbone, texts: list[str], device: torch.device) -> Tensor:
    with quick(device):
        return backbone.embed_texts(_to(backbone.tokens(texts), device)).float()


def _to(tokens: Tokens, device: torch.device) -> Tokens:
    return {name: value.to(device) for name, value in tokens.items()}


def _add(sums: dict[str, float], losses: dict[str, Tensor]) -> None:
    for name, value in losses.items():
        sums[name] = sums.get(name, 0.0) + float(value.detach())


def _is_over(history: list[dict[str, float]], patience: int) -> bool:
    """Whether the figure has not risen over its best for that many epochs."""
    figures = [row[CHECKED] for row in history]
    return bool(figures) and len(figures) - 1 - figures.index(max(figures)) >= patience
