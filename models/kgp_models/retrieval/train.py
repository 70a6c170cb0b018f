"""Training: a backbone on pairs, alone or with FashionKLIP's alignment; KnowledgeCLIP's pre-training on the graph."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from kgp_models.retrieval.backbone import Backbone, quick
from kgp_models.retrieval.fashionklip import Alignment
from kgp_models.retrieval.inputs import Examples, Told, vectors_of_images, vectors_of_texts
from kgp_models.retrieval.knowledgeclip import KnowledgeLosses, KnowledgeSettings, batches
from kgp_models.retrieval.losses import distillation, image_text
from kgp_models.retrieval.settings import FineTuning
from kgp_models.retrieval.tokens import Tokens
from kgp_models.training_state import TrainingState
from kgp_models.varied import varied
from kgplatform.interrupt import checkpoints
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
    told: Told = lambda _: None,
) -> Trained:
    """Train on pairs by ITC, with `alignment` also by `weight` times CVA; stopped when the validation's `recall` has
    not risen for `patience` epochs, and with the weights of the best epoch. `folder` keeps where it is, by the minute.
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
    parts: dict[str, Any] = {"backbone": backbone, "optimizer": optimizer, "schedule": schedule}
    if alignment is not None:
        parts["alignment"] = alignment
    state = TrainingState(folder / STATE, parts, steps, settings.epochs, told=told)
    state.resume()
    with checkpoints() as when:
        while len(state.history) < settings.epochs and not _is_over(state.history, settings.patience):
            rng = torch.Generator().manual_seed(seed * 1_000 + len(state.history))  # so that a kill changes nothing
            if alignment is not None and not state.step:
                alignment.begin_epoch(backbone)
            backbone.train()
            order = torch.split(torch.randperm(len(train), generator=rng), settings.batch)
            for rows in state.epoch(order, when, rng, progress):
                images, texts = _embedded(backbone, train, rows, settings.varied, rng, device)
                losses = {"itc": image_text(images, texts, backbone.scale, train.groups[rows].to(device))}
                if alignment is not None:
                    losses["cva"] = weight * alignment.loss(backbone, rows, images, rng)
                _step(backbone, optimizer, sum(losses.values(), images.new_zeros(())), settings.clip)
                schedule.step()
                state.add(losses)
            settle(backbone, train.images)
            figure = recall(evaluated(backbone, valid))
            if not state.history or figure > max(row[CHECKED] for row in state.history):
                state.best = copy.deepcopy(backbone.state_dict())
            state.end_epoch(when, **{CHECKED: figure})
    backbone.load_state_dict(state.best)
    backbone.eval()
    figures = [row[CHECKED] for row in state.history]
    best = max(figures)
    return Trained(len(figures), figures.index(best) + 1, best, state.history, state.seconds)


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
    told: Told = lambda _: None,
) -> Trained:
    """KnowledgeCLIP's pre-training on the graph: `pictures` are those of its images, in its order; `pairs` are the
    training pairs on which the backbone's similarities are kept (KD).

    A graph without edges changes nothing. `folder` keeps where the training is, by the minute.
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
    steps = math.ceil(len({*knowledge.stances[:, 0].tolist()}) / settings.batch)
    total = settings.epochs * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step, total // 10, total, "cosine")
    )
    parts = {"backbone": backbone, "heads": heads, "optimizer": optimizer, "schedule": schedule}
    state = TrainingState(folder / STATE, parts, steps, settings.epochs, told=told)
    state.resume()
    with checkpoints() as when:
        while len(state.history) < settings.epochs:
            number = seed * 1_000 + len(state.history)
            rng = torch.Generator().manual_seed(number)
            backbone.train()
            for batch in state.epoch(batches(knowledge, settings, number), when, rng, progress):
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
                state.add(losses)
            settle(backbone, pairs.images)
            state.end_epoch(when)
    backbone.eval()
    return Trained(len(state.history), len(state.history), 0.0, state.history, state.seconds)


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


def _is_over(history: list[dict[str, float]], patience: int) -> bool:
    """Whether the figure has not risen over its best for that many epochs."""
    figures = [row[CHECKED] for row in history]
    return bool(figures) and len(figures) - 1 - figures.index(max(figures)) >= patience
