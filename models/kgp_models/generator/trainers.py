"""What both stages share of training by `transformers.Trainer`: arguments, resuming, progress; stage 2's trainer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from accelerate import PartialState
from safetensors.torch import load_model, save_model
from torch import nn

from kgp_models.generator.rows import Buckets
from kgp_models.generator.settings import StageSettings
from kgp_models.model_files import require_uncompressed
from kgplatform.errors import InputError
from kgplatform.files import read_json, require_plain_folder
from kgplatform.interrupt import Checkpoints, Stopped, checkpoints

if TYPE_CHECKING:
    from kgp_models.generator.train import Work

STEPS: Final = "steps"  # of a row of the trainer's history: how many steps its loss is the mean of ...
SECONDS: Final = "seconds"  # ... and how long the training has taken


def arguments(work: Work, stage: StageSettings, place: Path) -> dict[str, Any]:
    """What both trainers are told."""
    return {
        "output_dir": str(place / "work"),
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


def run(trainer: Any, place: Path, told: Callable[[str], None]) -> dict[str, Any]:
    """Train, from where an earlier training was stopped, which is told; returns seconds, steps and the mean loss of all
    sessions together.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # it prints to stdout, where results stand
    with PartialState().main_process_first():
        last = _last(place / "work")
    with checkpoints() as when:
        trainer.add_callback(
            saving(when, lambda step, steps: told(f"{place.name} goes on at step {step:,} of {steps:,}"))
        )
        out = trainer.train(resume_from_checkpoint=last)
        if when.stopping and out.global_step < trainer.state.max_steps:
            steps = f"step {out.global_step:,} of {trainer.state.max_steps:,}"
            raise Stopped(f"stopped {place.name} after {steps}, saved in {place / 'work'}")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"steps": out.global_step, **_totals(trainer.state.log_history), "device": device}


def _totals(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean loss of all steps, and the seconds, from what `saving` notes with each checkpoint."""
    rows = [row for row in history if STEPS in row]
    steps = sum(row[STEPS] for row in rows)
    loss = sum(row["loss"] * row[STEPS] for row in rows) / max(1, steps)
    return {"loss": round(loss, 4), "seconds": round(rows[-1][SECONDS], 1) if rows else 0.0}


def _last(work: Path) -> str | None:
    """The checkpoint of the trainer's that is furthest on. One that a kill cut short is thrown away: the trainer writes
    ``trainer_state.json`` last. Raises `InputError` where it is damaged otherwise.
    """
    for path in sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            read_json(path / "trainer_state.json")
        except InputError:
            shutil.rmtree(path)
            continue
        try:
            for state in require_plain_folder(path).glob("*.pt*"):
                require_uncompressed(state)
        except InputError:
            hint = "Delete this folder; the training then goes on from an earlier checkpoint, or begins anew."
            raise InputError("the checkpoint is damaged", hint, path=path) from None
        return str(path)
    return None


def saving(when: Checkpoints, resumes: Callable[[int, int], None]) -> Any:
    """A callback that saves by the clock, beside the trainer's own saving by steps, and stops where that is asked.

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
            earlier = [row[SECONDS] for row in state.log_history if SECONDS in row]
            self._began = time.monotonic() - (earlier[-1] if earlier else 0.0)
            if 0 < state.global_step < state.max_steps:
                resumes(state.global_step + 1, state.max_steps)

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            due, stop = when.due(), when.stopping
            if args.world_size > 1:  # all processes save, or none: the main one decides
                due, stop = broadcast(torch.tensor([due, stop], device=args.device)).tolist()
            control.should_save |= due
            control.should_log |= control.should_save
            control.should_training_stop |= stop
            when.stopping |= stop

        def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            row = state.log_history[-1]
            if "loss" in row:
                row |= {STEPS: state.global_step - self._step, SECONDS: time.monotonic() - self._began}
                self._step = state.global_step

        def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            when.saved()

    return Saving()


def told_steps(work: Work, what: str) -> Any:
    """A callback that tells of each step."""
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    tell = work.progress(f"{what}, steps")

    class Steps(TrainerCallback):
        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            tell(state.global_step, state.max_steps)

    return Steps()


def visual_trainer_class() -> Any:
    """`transformers.Trainer` for a model that is not transformers': weights that are tied are saved once."""
    from transformers import Trainer

    class VisualTrainer(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Buckets:
            rows: Any = train_dataset or self.train_dataset
            return Buckets(rows.lengths, self.args.per_device_train_batch_size, self.args.seed)

        def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Any] | None = None) -> None:
            folder = Path(output_dir or self.args.output_dir or ".")
            folder.mkdir(parents=True, exist_ok=True)
            save_model(self.accelerator.unwrap_model(self.model), str(folder / "model.safetensors"))

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
            target: Any = self.model if model is None else model
            load_model(target, Path(resume_from_checkpoint) / "model.safetensors")

    return VisualTrainer
