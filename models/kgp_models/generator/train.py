"""Both stages of a generator's training (VLM-KG §2.1-2.2, §3.2), and before them that of our own vision encoder.

    FOLDER/vision/     our own encoder, where the settings ask for it
    FOLDER/llm-kg/     stage 1: the language model learns to write triplets of reports
    FOLDER/vlm-kg/     stage 2: projector and language model learn from image and report
    FOLDER/*/work      where a training that is not finished goes on

A finished part is not trained again. The data of a folder cannot change, nor can the settings of a part that has begun;
those of a part that has not begun can. Under `accelerate launch` each GPU
has a process: what is done once is done by the main one, while the others wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import PartialState

from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.classifier import TripletClassifier
from kgp_models.generator.encoded import encoded, encoded_validation, studies_with_image
from kgp_models.generator.finished_stage import finish_stage, is_stage_trained, stage_description
from kgp_models.generator.language import answer, open_language, prompt, silence_transformers
from kgp_models.generator.lora import with_lora, without_lora
from kgp_models.generator.model import VLMKG, answer_loss, answer_positions
from kgp_models.generator.projector import Projector
from kgp_models.generator.read_studies import read_studies
from kgp_models.generator.records import Study, data_sha256, image_targets, shared_studies
from kgp_models.generator.rows import Buckets, Collator, VisualRows, report_rows, tokenize_record, warn_cut_reports
from kgp_models.generator.settings import SMALL, DataSettings, GeneratorSettings
from kgp_models.generator.train_vision import STATE, train_vision
from kgp_models.generator.trainers import (
    arguments,
    run_trainer,
    step_reporter,
    training_attention,
    visual_trainer_class,
)
from kgp_models.towers import vision as vision_of
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.vision import Vision
from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.memory import keep_freed_memory
from kgp_models.training.precision import has_fast_bfloat16, is_bfloat16_faster
from kgp_models.training.reference_vectors import ReferenceVectors
from kgp_models.training.training_state import claim
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.lexicon_source import lexicon_source
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.triplets.linking import Linker
from kgplatform.triplets.text import entity, serialise

logger = logging.getLogger(__name__)
LLM_KG, VLM_KG = "LLM-KG", "VLM-KG"
STAGES: Final = {"vision": "vision", "1": "llm-kg", "2": "vlm-kg"}


@dataclass(frozen=True)
class Work:
    """A training: what from, how, and where to. `same` maps an entity to what it means."""

    settings: GeneratorSettings
    folder: Path
    base: Path  # what paths of the settings are relative to
    same: Callable[[str], str] = entity
    progress: SubjectProgress = silent_progress

    @property
    def device(self) -> str:
        """Where it is trained."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def bfloat16(self) -> bool:
        """Whether the language model is trained in mixed precision. Our own is too small to gain by it on a CPU."""
        if self.settings.dtype != "auto":
            return self.settings.dtype == "bfloat16"
        is_large = self.device == "cuda" or self.settings.language_model != SMALL
        return is_large and is_bfloat16_faster(self.device)

    def stage_folder(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.folder / STAGES[stage]

    def studies(self) -> list[Study]:
        """The training's studies."""
        return read_studies(self.settings.data, self.settings.data.train, self.base)

    def validation(self, training_studies: Sequence[Study]) -> list[Study]:
        """The studies that the model card's figures are of, none of which is in the training; none where the data have
        no such part.
        """
        try:
            validation_studies = read_studies(self.settings.data, self.settings.data.validation, self.base)
        except InputError as error:
            logger.warning(f"no validation: {error.message}")
            return []
        shared_ids = {study.id for study in shared_studies(training_studies, validation_studies)}
        if shared_ids:
            logger.warning(f"{len(shared_ids):,} studies of the validation part are also in training, and are ignored")
        return [study for study in validation_studies if study.id not in shared_ids]


def meaning(data: DataSettings, base: Path) -> Callable[[str], str]:
    """What an entity means, to compare entities by: its concept in the data's lexicon, else its words."""
    lexicon_paths = [base / data.path / lexicon_name for lexicon_name in data.lexicon]
    if not lexicon_paths:
        return entity
    lexicon_rows = (
        lexicon_row for lexicon_path in lexicon_paths for lexicon_row in lexicon_source(lexicon_path).concepts()
    )
    lexicon = Lexicon(lexicon_row for lexicon_row in lexicon_rows if isinstance(lexicon_row, Concept))
    linker = Linker(DictionaryTagger(lexicon))

    def same(entity_text: str) -> str:
        link = linker.link(entity_text)
        return entity(entity_text) if link is None else link.cui

    return same


def train_stages(work: Work, stages: Sequence[str]) -> Path:
    """Train these stages in order, and the vision encoder before stage 2 where it is missing; returns the last one's
    folder. Raises `InputError` for data that are missing, and for a folder of another training.
    """
    silence_transformers()
    keep_freed_memory()
    processes = PartialState(cpu=work.device == "cpu", timeout=timedelta(days=2))
    with ExitStack() as silences:
        if not processes.is_main_process:
            work = replace(work, progress=silent_progress)
            silences.enter_context(_silent_loggers())
        training_studies = work.studies()
        data_hash = data_sha256(training_studies)
        with processes.main_process_first():
            _same_training(work, data_hash, stages)
        _check_before_steps(work, training_studies, data_hash, stages)
        for stage in stages:
            if stage == "vision" or (stage == "2" and work.settings.vision == SMALL):
                with processes.main_process_first():
                    _vision(work, training_studies)
            if stage == "1":
                _language(work, training_studies, data_hash)
            if stage == "2":
                _visual(work, training_studies, data_hash)
    return work.stage_folder(stages[-1])


@contextmanager
def _silent_loggers() -> Iterator[None]:
    """Of several processes that train one model the main one alone logs: the others would say the same."""
    loggers = [logging.getLogger(package) for package in ("kgplatform", "kgp_loaders", "kgp_models")]
    levels = [package_logger.level for package_logger in loggers]
    for package_logger in loggers:
        package_logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for package_logger, level in zip(loggers, levels, strict=True):
            package_logger.setLevel(level)


def _same_training(work: Work, data_hash: str, stages: Sequence[str]) -> None:
    """Note what is trained here, and how each of these parts is. Raises `InputError` where that is something else."""
    description: dict[str, Any] = {"data_sha256": data_hash}
    if (process_count := PartialState().num_processes) > 1:  # a step is of as many batches
        description["processes"] = process_count
    hint = "Choose another folder with --out; with several GPUs, go on with as many."
    claim(work.folder, description, hint)
    parts = {*stages, "vision"} if "2" in stages and work.settings.vision == SMALL else {*stages}
    for part in sorted(parts):
        claim(work.stage_folder(part), {"settings": _own_settings(work.settings, part)}, hint)


def _own_settings(settings: GeneratorSettings, part: str) -> dict[str, Any]:
    """The settings that decide what a part of the training gives."""
    entries = settings.as_dict()
    small = entries["small"]
    if part == "vision":
        own = {"small": {name: entry for name, entry in small.items() if name.startswith("vision_")}}
    elif part == "1":
        own = {"small": {name: entry for name, entry in small.items() if not name.startswith("vision_")}}
        own |= {name: entries[name] for name in ("language", "language_model", "instruction", "max_length", "dtype")}
    else:
        own = {name: entries[name] for name in ("vision", "projector", "visual", "instruction", "max_length", "dtype")}
    return {**own, "seed": settings.seed}


def _check_before_steps(work: Work, training_studies: Sequence[Study], data_hash: str, stages: Sequence[str]) -> None:
    """Raise `InputError`, before hours of training, where stage 2 has no images or no such encoder, or its stage 1
    other data.
    """
    if work.bfloat16 and work.device == "cpu" and not has_fast_bfloat16():
        logger.warning("this processor has no instructions for bfloat16: dtype float32 is up to 15 times faster")
    if "2" not in stages:
        return
    if not studies_with_image(training_studies):
        raise InputError("no study of the training has an image file", "Check data.images.", path=work.base)
    if work.settings.vision != SMALL:
        _open_vision(work)
    stage_1 = work.stage_folder("1")
    if checkpoint.FORMAT.is_in(stage_1) and checkpoint.FORMAT.read(stage_1)["data_sha256"] != data_hash:
        hint = "Train stage 1 on these data, too, or give the data of stage 1."
        raise InputError("stage 1 was trained on other data", hint, path=stage_1)


def _vision(work: Work, training_studies: Sequence[Study]) -> None:
    stage_folder = work.stage_folder("vision")
    if (stage_folder / checkpoint.VISION).is_file():
        (stage_folder / STATE).unlink(missing_ok=True)  # where a kill came between the two
        logger.info("vision encoder: trained already")
        return
    start_time = time.monotonic()
    image_studies = studies_with_image(training_studies)
    small_settings = work.settings.small
    report_progress = work.progress("vision, steps")
    trained_vision = train_vision(
        image_studies, small_settings, stage_folder, work.settings.seed, work.device, report_progress
    )
    checkpoint.save_vision(replace(trained_vision, module=trained_vision.module.cpu()), stage_folder)
    (stage_folder / STATE).unlink(missing_ok=True)
    logger.info(f"vision encoder: {len(image_studies):,} images, {time.monotonic() - start_time:.0f} s")


def _open_vision(work: Work) -> Vision:
    if work.settings.vision == SMALL:
        return vision_of.open_vision(f"small:{work.stage_folder('vision')}")
    return vision_of.open_vision(str(TowerSpec.parse(work.settings.vision).below(work.base)))


def _vision_from(stage_folder: Path, work: Work) -> str:
    """Where the encoder is, as the generator in `stage_folder` names it: a path that was relative to the YAML file
    stays relative, to `stage_folder`.
    """
    vision_spec = TowerSpec.parse(work.settings.vision)
    if vision_spec.kind == SMALL or vision_spec.folder is None or Path(vision_spec.folder).is_absolute():
        return work.settings.vision
    return str(vision_spec.below(work.base).relative_to(stage_folder))


def _language(work: Work, training_studies: Sequence[Study], data_hash: str) -> None:
    """Stage 1, LLM-KG: instruction tuning on reports, by TRL's `SFTTrainer`."""
    stage_folder = work.stage_folder("1")
    if is_stage_trained(work, training_studies, stage_folder, LLM_KG):
        return
    from datasets import Dataset as Table
    from datasets import disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()

    records = report_rows(training_studies, work.settings)
    training_texts = (
        training_text
        for record in records
        for training_text in (prompt(work.settings.instruction, record.report), answer(serialise(record.triplets)))
    )
    language_model, tokenizer = open_language(work.settings, work.base, training_texts)
    if work.settings.language.tune == "lora":
        language_model = with_lora(language_model, work.settings.language.lora_rank)
    examples = [tokenize_record(tokenizer, work.settings, record) for record in records]
    warn_cut_reports(tokenizer, work.settings, training_studies)
    token_rows = [
        {"input_ids": [*prompt_ids, *answer_ids], "completion_mask": [0] * len(prompt_ids) + [1] * len(answer_ids)}
        for prompt_ids, answer_ids in examples
    ]
    stage_settings = work.settings.language
    trainer_config = SFTConfig(
        **arguments(work, stage_settings, stage_folder),
        max_length=work.settings.max_length,
        completion_only_loss=True,
        packing=False,
    )

    step_progress = LossProgress(work.progress(f"{LLM_KG}, steps"))

    class LanguageTrainer(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Buckets:
            return Buckets(
                [len(token_row["input_ids"]) for token_row in token_rows], stage_settings.batch, work.settings.seed
            )

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs["labels"]
            output = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs.get("attention_mask"),
                use_cache=False,
                logits_to_keep=answer_positions(labels),
            )
            loss = answer_loss(output.logits, labels, num_items_in_batch)
            if num_items_in_batch is not None:  # the tokens of all processes, whose gradients are averaged
                loss = loss * self.accelerator.num_processes
            return (loss, output) if return_outputs else loss

        def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
            batch_loss: torch.Tensor = super().training_step(*arguments, **options)  # type: ignore[no-untyped-call]
            step_progress.add(batch_loss)
            return batch_loss

    trainer = LanguageTrainer(
        model=language_model,
        args=trainer_config,
        train_dataset=Table.from_list(token_rows),
        processing_class=tokenizer,
        callbacks=[step_reporter(step_progress)],
    )
    with training_attention(language_model, work.device):
        figures = run_trainer(trainer, stage_folder)
    model = VLMKG(without_lora(trainer.accelerator.unwrap_model(trainer.model)), None)
    stage_checkpoint = GeneratorCheckpoint(
        stage_folder,
        model,
        tokenizer,
        None,
        work.settings,
        LLM_KG,
        "",
        stage_description(work, training_studies, data_hash),
    )
    finish_stage(work, training_studies, stage_checkpoint, figures, f"{len(token_rows):,} reports")


def _visual(work: Work, training_studies: Sequence[Study], data_hash: str) -> None:
    """Stage 2, VLM-KG: visual instruction tuning, by `transformers.Trainer`."""
    stage_folder = work.stage_folder("2")
    if is_stage_trained(work, training_studies, stage_folder, VLM_KG):
        return
    from transformers import TrainingArguments

    visual_settings = work.settings.visual
    language_checkpoint = checkpoint.load_generator(work.stage_folder("1"))
    vision = _open_vision(work)
    with PartialState().main_process_first():
        image_studies, image_vectors = encoded(
            vision, studies_with_image(training_studies), stage_folder / "work", work
        )
    language_model = language_checkpoint.model.language
    torch.manual_seed(work.settings.seed)
    projector = Projector(vision.width, language_model.config.hidden_size, work.settings.projector)
    projector.standardise(image_vectors)
    if visual_settings.tune == "lora":
        language_model = with_lora(language_model, visual_settings.lora_rank)
    model = VLMKG(language_model, projector).train()
    if visual_settings.tune == "projector":
        model.language.requires_grad_(False)
    visual_rows = VisualRows(image_studies, image_vectors, work.settings, work.same)
    step_progress = LossProgress(work.progress(f"{VLM_KG}, steps"))
    trainer = visual_trainer_class(step_progress, visual_settings.projector_rate)(
        model=model,
        args=TrainingArguments(**arguments(work, visual_settings, stage_folder)),
        train_dataset=visual_rows,
        data_collator=Collator(language_checkpoint.tokenizer, work.settings),
        callbacks=[step_reporter(step_progress)],
    )
    with training_attention(model.language, work.device):
        figures = run_trainer(trainer, stage_folder)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.language = without_lora(model.language)
    stage_label = {"language": VLM_KG, "projector": f"{VLM_KG}*", "lora": f"{VLM_KG} LoRA"}[visual_settings.tune]
    saved_settings = replace(work.settings, vision=_vision_from(stage_folder, work))
    data_description = stage_description(work, training_studies, data_hash, vision.trained_on)
    held_out_studies, held_out_vectors = encoded_validation(vision, training_studies, stage_folder / "work", work)
    stage_checkpoint = GeneratorCheckpoint(
        stage_folder,
        model,
        language_checkpoint.tokenizer,
        vision,
        saved_settings,
        stage_label,
        "",
        data_description,
        ReferenceVectors.from_training(image_vectors, held_out_vectors, work.settings.seed),
        TripletClassifier.from_training(
            image_vectors,
            image_targets(image_studies, work.same),
            held_out_vectors,
            image_targets(held_out_studies, work.same),
            work.settings.seed,
        ),
    )
    finish_stage(work, training_studies, stage_checkpoint, figures, f"{len(visual_rows):,} records")
