"""Training: a backbone on pairs, alone or with FashionKLIP's alignment; KnowledgeCLIP's pre-training on the graph."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from kgp_models.retrieval.fashionklip import Alignment
from kgp_models.retrieval.inputs import PairExamples, image_embeddings, text_embeddings
from kgp_models.retrieval.knowledgeclip import KnowledgeLosses, KnowledgeSettings, graph_edge_batches
from kgp_models.retrieval.losses import distillation, image_text
from kgp_models.retrieval.settings import FineTuning
from kgp_models.towers.backbone import Backbone, bfloat16_context
from kgp_models.towers.tokens import tokens_on
from kgp_models.training.augmentation import varied
from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.training_state import STATE, TrainingState
from kgplatform.datasets import pair_metrics as metrics
from kgplatform.datasets.knowledge import Knowledge
from kgplatform.datasets.pairs import gallery_groups
from kgplatform.interrupt import checkpoints
from kgplatform.progress import Progress, no_progress

STATISTICS_PICTURES: Final = 1024  # images that statistics of batch norms are computed from
STATISTICS_BATCH: Final = 128
CHECKED: Final = "recall"  # of the validation part: see `recall`


@dataclass(frozen=True)
class RetrievalTrainingResult:
    """The result of a training: `history` has, by epoch, the losses and the validation's figure."""

    epochs: int
    best_epoch: int
    best: float
    history: list[dict[str, float]]
    seconds: float


def evaluated(
    backbone: Backbone, examples: PairExamples, others: PairExamples | None = None
) -> dict[str, metrics.RetrievalScores]:
    """Precision and recall of examples, both ways. The texts look among the images of `others`, too, which have no
    texts of their own: equal reports are relevant.
    """
    image_vectors = image_embeddings(backbone, examples.images)
    groups = examples.groups.numpy()
    first_rows = {int(group_id): row_number for row_number, group_id in reversed(list(enumerate(groups)))}
    row_numbers = [first_rows[group_id] for group_id in range(len(first_rows))]
    distinct_texts = [examples.texts[row_number] for row_number in row_numbers]
    text_vectors = text_embeddings(
        backbone, distinct_texts if examples.text_features is None else examples.text_features[row_numbers]
    )
    scores = metrics.retrieval_scores(image_vectors.numpy(), text_vectors.numpy(), groups)
    if others is not None:
        gallery = torch.cat([image_vectors, image_embeddings(backbone, others.images)]).numpy()
        item_groups = gallery_groups(examples.pairs, others.pairs)
        scores["text_to_image"] = metrics.score_retrieval(
            text_vectors.numpy(), gallery, np.arange(len(text_vectors)), item_groups
        )
    return scores


def recall(scores: Mapping[str, metrics.RetrievalScores]) -> float:
    """What epochs are compared by: the mean of Recall@1, 5 and 10 of both directions (a sixth of retrieval's "rsum"),
    which swings less from epoch to epoch than one of them.
    """
    mean_scores = [metric_means.means() for metric_means in scores.values()]
    return sum(metric_means[f"R@{cutoff}"] for metric_means in mean_scores for cutoff in (1, 5, 10)) / (
        3 * len(mean_scores)
    )


def fine_tune(
    backbone: Backbone,
    train: PairExamples,
    valid: PairExamples,
    settings: FineTuning,
    folder: Path,
    seed: int,
    alignment: Alignment | None = None,
    weight: float = 0.0,
    progress: Progress = no_progress,
) -> RetrievalTrainingResult:
    """Train on pairs by ITC, with `alignment` also by `weight` times CVA; stopped when the validation's `recall` has
    not risen for `patience` epochs, and with the weights of the best epoch. `folder` keeps where it is, by the minute.
    """
    torch.manual_seed(seed)
    device = next(backbone.parameters()).device
    batches_per_epoch = math.ceil(len(train) / settings.batch)
    decay_rate = settings.weight_decay
    optimizer = torch.optim.AdamW(_trained(backbone), settings.learning_rate, weight_decay=decay_rate, fused=True)
    warmup_steps = round(settings.warmup * batches_per_epoch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step_number: _rate_share(
            step_number, warmup_steps, batches_per_epoch * settings.epochs, settings.schedule
        ),
    )
    state_parts: dict[str, Any] = {"backbone": backbone, "optimizer": optimizer, "schedule": schedule}
    if alignment is not None:
        state_parts["alignment"] = alignment
    training_state = TrainingState(folder / STATE, state_parts, batches_per_epoch, settings.epochs)
    step_progress = LossProgress(progress)
    training_state.resume()
    with checkpoints() as checkpoint_clock:
        while len(training_state.history) < settings.epochs and not _is_over(training_state.history, settings.patience):
            rng = torch.Generator().manual_seed(
                seed * 1_000 + len(training_state.history)
            )  # so that a kill changes nothing
            if alignment is not None and not training_state.step:
                alignment.begin_epoch(backbone)
            backbone.train()
            batch_order = torch.split(torch.randperm(len(train), generator=rng), settings.batch)
            for batch_rows in training_state.epoch(batch_order, checkpoint_clock, rng, step_progress):
                image_vectors, text_vectors = _embedded(backbone, train, batch_rows, settings.varied, rng, device)
                losses = {
                    "itc": image_text(image_vectors, text_vectors, backbone.scale, train.groups[batch_rows].to(device))
                }
                if alignment is not None:
                    losses["cva"] = weight * alignment.loss(backbone, batch_rows, image_vectors, rng)
                _step(backbone, optimizer, sum(losses.values(), image_vectors.new_zeros(())), settings.clip)
                schedule.step()
                training_state.add(losses)
                for loss in losses.values():
                    step_progress.add(loss)
            settle(backbone, train.images)
            figure = recall(evaluated(backbone, valid))
            if not training_state.history or figure > max(epoch_row[CHECKED] for epoch_row in training_state.history):
                training_state.best = copy.deepcopy(backbone.state_dict())
            training_state.end_epoch(checkpoint_clock, {CHECKED: figure})
    backbone.load_state_dict(training_state.best)
    backbone.eval()
    figures = [epoch_row[CHECKED] for epoch_row in training_state.history]
    best_figure = max(figures)
    return RetrievalTrainingResult(
        len(figures), figures.index(best_figure) + 1, best_figure, training_state.history, training_state.seconds
    )


def pretrain(
    backbone: Backbone,
    knowledge: Knowledge,
    pictures: Tensor,
    pairs: PairExamples,
    settings: KnowledgeSettings,
    tuning: FineTuning,
    folder: Path,
    seed: int,
    progress: Progress = no_progress,
) -> RetrievalTrainingResult:
    """KnowledgeCLIP's pre-training on the graph: `pictures` are those of its images, in its order; `pairs` are the
    training pairs on which the backbone's similarities are kept (KD).

    A graph without edges changes nothing. `folder` keeps where the training is, by the minute.
    """
    if not len(knowledge.stances) and not len(knowledge.relations):
        return RetrievalTrainingResult(0, 0, 0.0, [], 0.0)
    torch.manual_seed(seed)
    device = next(backbone.parameters()).device
    knowledge_losses = KnowledgeLosses(knowledge, settings).to(device)
    concept_names = [settings.prompt.format(concept_name) for concept_name in knowledge.concepts]
    teacher = _teacher(backbone, pairs) if settings.kd else None
    trained_parameters = [*_trained(backbone), *knowledge_losses.parameters()]
    optimizer = torch.optim.AdamW(
        trained_parameters, settings.learning_rate, weight_decay=tuning.weight_decay, fused=True
    )
    batches_per_epoch = math.ceil(len({*knowledge.stances[:, 0].tolist()}) / settings.batch)
    total_steps = settings.epochs * batches_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step_number: _rate_share(step_number, total_steps // 10, total_steps, "cosine")
    )
    state_parts = {"backbone": backbone, "heads": knowledge_losses, "optimizer": optimizer, "schedule": schedule}
    training_state = TrainingState(folder / STATE, state_parts, batches_per_epoch, settings.epochs)
    step_progress = LossProgress(progress)
    training_state.resume()
    with checkpoints() as checkpoint_clock:
        while len(training_state.history) < settings.epochs:
            epoch_seed = seed * 1_000 + len(training_state.history)
            rng = torch.Generator().manual_seed(epoch_seed)
            backbone.train()
            for batch in training_state.epoch(
                graph_edge_batches(knowledge, settings, epoch_seed), checkpoint_clock, rng, step_progress
            ):
                image_vectors = _images(backbone, pictures[batch.images], tuning.varied, rng, device)
                concept_vectors = _texts(
                    backbone, [concept_names[concept_id] for concept_id in batch.concepts.tolist()], device
                )
                with bfloat16_context(device):
                    losses = knowledge_losses(backbone, batch, image_vectors, concept_vectors)
                losses = {loss_name: getattr(settings, loss_name) * loss for loss_name, loss in losses.items()}
                if teacher is not None:
                    pair_rows = torch.randperm(len(pairs), generator=rng)[: settings.pairs]
                    pair_vectors = _embedded(backbone, pairs, pair_rows, tuning.varied, rng, device)
                    teacher_logits = teacher(pair_rows).to(device)
                    losses["kd"] = settings.kd * distillation(*pair_vectors, backbone.scale, teacher_logits)
                _step(backbone, optimizer, sum(losses.values(), image_vectors.new_zeros(())), tuning.clip)
                schedule.step()
                training_state.add(losses)
                for loss in losses.values():
                    step_progress.add(loss)
            settle(backbone, pairs.images)
            training_state.end_epoch(checkpoint_clock)
    backbone.eval()
    return RetrievalTrainingResult(
        len(training_state.history), len(training_state.history), 0.0, training_state.history, training_state.seconds
    )


@torch.no_grad()
def settle(backbone: Backbone, pictures: Tensor) -> None:
    """Compute again the statistics by which batch norms of an image tower go in evaluation, at present, from pictures
    unchanged (precise batch norm, Wu & Johnson 2021). In training they trail behind the weights, and mix batches of
    pairs with those of prototypes or of the graph.
    """
    norm_layers = [
        submodule
        for submodule in backbone.image_tower.modules()
        if isinstance(submodule, nn.modules.batchnorm._BatchNorm)
    ]
    if not norm_layers or backbone.frozen:
        return
    was_training, momenta = backbone.training, [norm_layer.momentum for norm_layer in norm_layers]
    device = next(backbone.parameters()).device
    for norm_layer in norm_layers:
        norm_layer.reset_running_stats()
        norm_layer.momentum = None  # the plain mean over the batches
    backbone.train()
    sample_rows = torch.linspace(0, len(pictures) - 1, min(STATISTICS_PICTURES, len(pictures))).long()
    for row_block in torch.split(sample_rows, STATISTICS_BATCH):
        with bfloat16_context(device):
            backbone.image_features(pictures[row_block].to(device))
    for norm_layer, momentum in zip(norm_layers, momenta, strict=True):
        norm_layer.momentum = momentum
    backbone.train(was_training)


def _teacher(backbone: Backbone, pairs: PairExamples) -> Callable[[Tensor], Tensor]:
    """The logits of pairs by the backbone at present."""
    image_vectors = image_embeddings(backbone, pairs.images)
    text_vectors = text_embeddings(backbone, pairs.texts if pairs.text_features is None else pairs.text_features)
    scale = float(backbone.scale.detach())
    return lambda batch_rows: scale * image_vectors[batch_rows] @ text_vectors[batch_rows].T


def _rate_share(step_number: int, warmup_steps: int, total_steps: int, schedule: str) -> float:
    """Of the learning rate in a step: it rises through `warmup_steps`, then stays or falls to 0 as a cosine does."""
    if step_number < warmup_steps:
        return (step_number + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step_number - warmup_steps) / max(1, total_steps - warmup_steps))))


def _trained(backbone: Backbone) -> Iterator[nn.Parameter]:
    return (parameter for parameter in backbone.parameters() if parameter.requires_grad)


def _step(backbone: Backbone, optimizer: torch.optim.Optimizer, total_loss: Tensor, clip: float) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(total_loss)
    parameters = [parameter for parameter_group in optimizer.param_groups for parameter in parameter_group["params"]]
    nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    backbone.limit_scale()


def _embedded(
    backbone: Backbone,
    examples: PairExamples,
    row_numbers: Tensor,
    is_varied: bool,
    rng: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """The vectors of pairs, (B, 512) each."""
    image_vectors = _images(backbone, examples.images[row_numbers], is_varied, rng, device)
    tower_inputs = examples.text_inputs(row_numbers, backbone)
    with bfloat16_context(device):
        if isinstance(tower_inputs, Tensor):
            return image_vectors, backbone.embed_texts(tower_inputs.to(device)).float()
        return image_vectors, backbone.embed_texts(tokens_on(tower_inputs, device)).float()


def _images(
    backbone: Backbone, pixel_values: Tensor, is_varied: bool, rng: torch.Generator, device: torch.device
) -> Tensor:
    if pixel_values.dim() == 4 and is_varied:
        pixel_values = ((varied(pixel_values, rng) + 1.0) * 127.5).clamp(0.0, 255.0)
    with bfloat16_context(device):
        return backbone.embed_images(pixel_values.to(device)).float()


def _texts(backbone: Backbone, texts: list[str], device: torch.device) -> Tensor:
    with bfloat16_context(device):
        return backbone.embed_texts(tokens_on(backbone.tokens(texts), device)).float()


def _is_over(history: list[dict[str, float]], patience: int) -> bool:
    """Whether the figure has not risen over its best for that many epochs."""
    figures = [epoch_row[CHECKED] for epoch_row in history]
    return bool(figures) and len(figures) - 1 - figures.index(max(figures)) >= patience
