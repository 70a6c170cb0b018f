"""What both stages share of training by `transformers.Trainer`: arguments, resuming, progress; stage 2's trainer."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from accelerate import PartialState
from safetensors.torch import load_model, save_model
from torch import nn

from kgp_models.generator.rows import Buckets
from kgp_models.generator.settings import StageSettings
from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.model_files import require_uncompressed
from kgplatform.errors import InputError
from kgplatform.files import read_json, require_plain_folder
from kgplatform.interrupt import Checkpoints, Stopped, checkpoints
from kgplatform.progress import Progress

if TYPE_CHECKING:
    from kgp_models.generator.train import Work

logger = logging.getLogger(__name__)
STEPS: Final = "steps"  # of a row of the trainer's history: how many steps its loss is the mean of ...
SECONDS: Final = "seconds"  # ... and how long the training has taken


def arguments(work: Work, stage: StageSettings, stage_folder: Path) -> dict[str, Any]:
    """What both trainers receive."""
    return {
        "output_dir": str(stage_folder / "work"),
        "num_train_epochs": stage.epochs,
        "per_device_train_batch_size": stage.batch,
        "gradient_accumulation_steps": stage.accumulation,
        "learning_rate": stage.learning_rate,
        "warmup_steps": stage.warmup_steps,
        "weight_decay": stage.weight_decay,
        "lr_scheduler_type": "linear",
        "optim": "adamw_torch",
        "bf16": work.bfloat16,
        "fp16": False,
        "use_cpu": work.device == "cpu",
        "activation_checkpointing": stage.gradient_checkpointing,
        "seed": work.settings.seed,
        "data_seed": work.settings.seed,
        "save_strategy": "steps",
        "save_steps": stage.save_every,
        "save_total_limit": 1,
        "logging_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }


def run_trainer(trainer: Any, stage_folder: Path) -> dict[str, Any]:
    """Train, from where an earlier training was stopped, which is reported; returns seconds, steps and the mean loss of
    all sessions together.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    with PartialState().main_process_first():
        last_checkpoint = _last(stage_folder / "work")
    with checkpoints() as checkpoint_clock:
        trainer.add_callback(
            saving(
                checkpoint_clock,
                lambda first_step, steps: logger.info(
                    f"{stage_folder.name} goes on at step {first_step:,} of {steps:,}"
                ),
            )
        )
        train_output = trainer.train(resume_from_checkpoint=last_checkpoint)
        if checkpoint_clock.stopping and train_output.global_step < trainer.state.max_steps:
            steps = f"step {train_output.global_step:,} of {trainer.state.max_steps:,}"
            raise Stopped(f"stopped {stage_folder.name} after {steps}, saved in {stage_folder / 'work'}")
    device_name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "steps": train_output.global_step,
        **_totals(trainer.state.log_history),
        "device": device_name,
        "precision": "bfloat16" if trainer.args.bf16 else "float32",
    }


@contextmanager
def training_attention(language_model: Any, device: str) -> Iterator[None]:
    """On a CPU, attention as plain products in a training: the backward pass of the fused kernel takes a third of a
    step there.
    """
    usual_attention = language_model.config._attn_implementation
    if device == "cpu":
        language_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        language_model.set_attn_implementation(usual_attention)


def _totals(log_history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean loss of all steps, and the seconds, from what `saving` notes with each checkpoint."""
    logged_rows = [logged_row for logged_row in log_history if STEPS in logged_row]
    step_total = sum(logged_row[STEPS] for logged_row in logged_rows)
    mean_loss = sum(logged_row["loss"] * logged_row[STEPS] for logged_row in logged_rows) / max(1, step_total)
    return {"loss": round(mean_loss, 4), "seconds": round(logged_rows[-1][SECONDS], 1) if logged_rows else 0.0}


def _last(work_folder: Path) -> str | None:
    """The checkpoint of the trainer's that is furthest on. One that a kill cut short is thrown away: the trainer writes
    ``trainer_state.json`` last. Raises `InputError` where it is damaged otherwise.
    """
    for checkpoint_path in sorted(
        work_folder.glob("checkpoint-*"),
        key=lambda checkpoint_path: int(checkpoint_path.name.rpartition("-")[2]),
        reverse=True,
    ):
        try:
            read_json(checkpoint_path / "trainer_state.json")
        except InputError:
            shutil.rmtree(checkpoint_path)
            continue
        try:
            for state_file in require_plain_folder(checkpoint_path).glob("*.pt*"):
                require_uncompressed(state_file)
        except InputError:
            hint = "Delete this folder; the training then continues from an earlier checkpoint, or from the beginning."
            raise InputError("the checkpoint is damaged", hint, path=checkpoint_path) from None
        return str(checkpoint_path)
    return None


def saving(when: Checkpoints, resumes: Callable[[int, int], None]) -> Any:
    """A callback that saves by the clock, in addition to the trainer's own saving by steps, and stops where that is
    asked.

    With each checkpoint it notes the loss of the steps since the last one and the seconds so far, of all sessions. It
    calls `resumes` with the first step of a training that goes on, and how many there are.
    """
    from accelerate.utils import broadcast
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Saving(TrainerCallback):
        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            self._step = state.global_step
            earlier_seconds = [log_row[SECONDS] for log_row in state.log_history if SECONDS in log_row]
            self._began = time.monotonic() - (earlier_seconds[-1] if earlier_seconds else 0.0)
            if 0 < state.global_step < state.max_steps:
                resumes(state.global_step + 1, state.max_steps)

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            save_due, stop_requested = when.due(), when.stopping
            if args.world_size > 1:  # all processes save, or none: the main one decides
                save_due, stop_requested = broadcast(
                    torch.tensor([save_due, stop_requested], device=args.device)
                ).tolist()
            control.should_save |= save_due
            control.should_log |= control.should_save
            control.should_training_stop |= stop_requested
            when.stopping |= stop_requested

        def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            log_row = state.log_history[-1]
            if "loss" in log_row:
                log_row |= {STEPS: state.global_step - self._step, SECONDS: time.monotonic() - self._began}
                self._step = state.global_step

        def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            when.saved()

    return Saving()


def step_reporter(progress: Progress) -> Any:
    """A callback that reports each step."""
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Steps(TrainerCallback):
        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            progress(state.global_step, state.max_steps)

    return Steps()


def visual_trainer_class(step_progress: LossProgress, projector_rate: float = 1.0) -> Any:
    """`transformers.Trainer` for a model that is not transformers': weights that are tied are saved once. Each batch's
    loss is added to `step_progress`. The projector's learning rate is `projector_rate` times that of the arguments.
    """
    from transformers import Trainer

    class VisualTrainer(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Buckets:
            train_rows: Any = train_dataset or self.train_dataset
            return Buckets(train_rows.lengths, self.args.per_device_train_batch_size, self.args.seed)

        def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
            if self.optimizer is None and projector_rate != 1.0:
                self.optimizer = torch.optim.AdamW(self._rated_groups(), self.args.learning_rate)
            optimizer: torch.optim.Optimizer = super().create_optimizer(model)
            return optimizer

        def _rated_groups(self) -> list[dict[str, Any]]:
            """The weights by learning rate, and by whether they decay, as transformers decides it."""
            trained_model: Any = self.model
            decaying_names = set(self.get_decay_parameter_names(trained_model))
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
            for name, parameter in trained_model.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault((".projector." in f".{name}", name in decaying_names), []).append(parameter)
            return [
                {
                    "params": parameters,
                    "lr": self.args.learning_rate * (projector_rate if is_projector else 1.0),
                    "weight_decay": self.args.weight_decay if decays else 0.0,
                }
                for (is_projector, decays), parameters in groups.items()
            ]

        def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
            batch_loss = super().training_step(*arguments, **options)
            step_progress.add(batch_loss)
            return batch_loss

        def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Any] | None = None) -> None:
            output_folder = Path(output_dir or self.args.output_dir or ".")
            output_folder.mkdir(parents=True, exist_ok=True)
            save_model(self.accelerator.unwrap_model(self.model), str(output_folder / "model.safetensors"))

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
            target_model: Any = self.model if model is None else model
            load_model(target_model, Path(resume_from_checkpoint) / "model.safetensors")

    return VisualTrainer
