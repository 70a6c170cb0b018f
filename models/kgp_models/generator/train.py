"""Both stages of a generator's training (VLM-KG §2.1-2.2, §3.2), and before them that of our own vision encoder.

    FOLDER/vision/     our own encoder, where the settings ask for it
    FOLDER/llm-kg/     stage 1: the language model learns to write triplets of reports
    FOLDER/vlm-kg/     stage 2: projector and language model learn from image and report
    FOLDER/*/work      where a training that is not finished goes on

A finished part is not trained again. Data and settings of a folder cannot change. Under `accelerate launch` each GPU
has a process: what is done once is done by the main one, while the others wait.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import PartialState

from kgp_models.generator import checkpoint
from kgp_models.generator import vision as vision_of
from kgp_models.generator.checkpoint import Checkpoint
from kgp_models.generator.encoded import encoded
from kgp_models.generator.generate import Generator
from kgp_models.generator.language import answer, open_language, prompt, quiet
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.records import Study, data_sha256, shared, studies
from kgp_models.generator.rows import Buckets, Collator, VisualRows, report_rows, tell_cut, tokens
from kgp_models.generator.settings import SMALL, DataSettings, GeneratorSettings
from kgp_models.generator.train_vision import STATE, train_vision
from kgp_models.generator.trainers import arguments, run, told_steps, visual_trainer_class
from kgp_models.generator.validate import validated
from kgp_models.generator.vision import Vision
from kgplatform import trained_on
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.errors import InputError
from kgplatform.files import read_json
from kgplatform.triplets.linking import Linker
from kgplatform.triplets.text import entity, serialise

LLM_KG, VLM_KG = "LLM-KG", "VLM-KG"
STAGES: Final = {"vision": "vision", "1": "llm-kg", "2": "vlm-kg"}

Progress = Callable[[str], Callable[[int, int | None], None]]
Told = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """A training: what from, how, and where to. `same` maps an entity to what it means."""

    settings: GeneratorSettings
    folder: Path
    base: Path  # what paths of the settings are relative to
    same: Callable[[str], str] = entity
    told: Told = lambda _: None
    progress: Progress = lambda what: lambda done, total: None

    @property
    def device(self) -> str:
        """Where it is trained."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def bfloat16(self) -> bool:
        """Whether the language model is trained in mixed precision."""
        return self.settings.dtype == "bfloat16" or (self.settings.dtype == "auto" and self.device == "cuda")

    def place(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.folder / STAGES[stage]

    def studies(self) -> list[Study]:
        """The training's studies."""
        return studies(self.settings.data, self.settings.data.train, self.base, self.told)

    def validation(self, of_training: Sequence[Study]) -> list[Study]:
        """The studies that the model card's figures are of, none of which is in the training; none where the data have
        no such part.
        """
        try:
            found = studies(self.settings.data, self.settings.data.validation, self.base, self.told)
        except InputError as error:
            self.told(f"no validation: {error.message}")
            return []
        both = {study.id for study in shared(of_training, found)}
        if both:
            self.told(f"{len(both):,} studies of the validation are in the training, too, and count for nothing")
        return [study for study in found if study.id not in both]


def meaning(data: DataSettings, base: Path) -> Callable[[str], str]:
    """What an entity means, to compare entities by: its concept in the data's lexicon, else its words."""
    names = [base / data.path / name for name in data.lexicon]
    if not names:
        return entity
    from kgp_loaders.lexicons import read
    from kgp_loaders.umls import UMLS

    found = (one for path in names for one in (UMLS(path).concepts() if path.is_dir() else read(path)))
    lexicon = Lexicon(one for one in found if isinstance(one, Concept))
    linker = Linker(DictionaryTagger(lexicon))

    def same(text: str) -> str:
        link = linker.link(text)
        return entity(text) if link is None else link.cui

    return same


def train(work: Work, stages: Sequence[str]) -> Path:
    """Train these stages in order, and the vision encoder before stage 2 where it is not there; returns the last one's
    folder. Raises `InputError` for data that are not there, and for a folder of another training.
    """
    quiet()
    processes = PartialState(cpu=work.device == "cpu", timeout=timedelta(days=2))
    if not processes.is_main_process:
        work = replace(work, told=lambda _: None, progress=lambda what: lambda done, total: None)
    of_training = work.studies()
    data = data_sha256(of_training)
    with processes.main_process_first():
        _same_training(work, data)
    for stage in stages:
        if stage == "vision" or (stage == "2" and work.settings.vision == SMALL):
            with processes.main_process_first():
                _vision(work, of_training)
        if stage == "1":
            _language(work, of_training, data)
        if stage == "2":
            _visual(work, of_training, data)
    return work.place(stages[-1])


def _same_training(work: Work, data: str) -> None:
    """Note what is trained here. Raises `InputError` where that is something else."""
    known: dict[str, Any] = {"data_sha256": data, "settings": work.settings.as_dict()}
    if (processes := PartialState().num_processes) > 1:  # a step is of as many batches
        known["processes"] = processes
    path = work.folder / "training.json"
    if path.exists():
        if read_json(path, hint="Choose another folder with --out.") != json.loads(json.dumps(known)):
            hint = "Choose another folder with --out; with several GPUs, go on with as many."
            raise InputError("another training, of other data or settings, is in this folder", hint, path=work.folder)
        return
    work.folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _vision(work: Work, of_training: Sequence[Study]) -> None:
    place = work.place("vision")
    if (place / checkpoint.VISION).is_file():
        (place / STATE).unlink(missing_ok=True)  # where a kill came between the two
        work.told("vision encoder: trained already")
        return
    began = time.monotonic()
    with_image = _with_image(of_training)
    small = work.settings.small
    tell = work.progress("vision, steps")
    trained = train_vision(with_image, small, place, work.settings.seed, work.device, tell, work.told)
    checkpoint.save_vision(replace(trained, module=trained.module.cpu()), place)
    (place / STATE).unlink(missing_ok=True)
    work.told(f"vision encoder: {len(with_image):,} images, {time.monotonic() - began:.0f} s")


def _open_vision(work: Work) -> Vision:
    if work.settings.vision == SMALL:
        return vision_of.open_vision(f"small:{work.place('vision')}")
    kind, _, folder = work.settings.vision.partition(":")
    return vision_of.open_vision(f"{kind}:{work.base / folder}")


def _vision_from(place: Path, work: Work) -> str:
    """Where the encoder is, as the generator in `place` names it: a path that was relative to the YAML file stays
    relative, to `place`.
    """
    kind, _, folder = work.settings.vision.partition(":")
    if kind == SMALL or Path(folder).is_absolute():
        return work.settings.vision
    return f"{kind}:{os.path.relpath(work.base / folder, place)}"


def _language(work: Work, of_training: Sequence[Study], data: str) -> None:
    """Stage 1, LLM-KG: instruction tuning on reports, by TRL's `SFTTrainer`."""
    place = work.place("1")
    if _is_trained(work, of_training, place, LLM_KG):
        return
    from datasets import Dataset as Table
    from datasets import disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()

    records = report_rows(of_training, work.settings)
    texts = (
        text
        for one in records
        for text in (prompt(work.settings.instruction, one.report), answer(serialise(one.triplets)))
    )
    language, tokenizer = open_language(work.settings, work.base, texts)
    examples = [tokens(tokenizer, work.settings, one) for one in records]
    tell_cut(tokenizer, work.settings, of_training, work.told)
    rows = [
        {"input_ids": [*before, *after], "completion_mask": [0] * len(before) + [1] * len(after)}
        for before, after in examples
    ]
    stage = work.settings.language
    given = SFTConfig(
        **arguments(work, stage, place),
        max_length=work.settings.max_length,
        completion_only_loss=True,
        packing=False,
    )

    class LanguageTrainer(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Buckets:
            return Buckets([len(row["input_ids"]) for row in rows], stage.batch, work.settings.seed)

    trainer = LanguageTrainer(
        model=language,
        args=given,
        train_dataset=Table.from_list(rows),
        processing_class=tokenizer,
        callbacks=[told_steps(work, LLM_KG)],
    )
    figures = run(trainer, place, work.told)
    model = VLMKG(trainer.accelerator.unwrap_model(trainer.model), None)
    made = Checkpoint(place, model, tokenizer, None, work.settings, LLM_KG, "", _about(work, of_training, data))
    _finish(work, of_training, made, figures, f"{len(rows):,} reports")


def _visual(work: Work, of_training: Sequence[Study], data: str) -> None:
    """Stage 2, VLM-KG: visual instruction tuning, by `transformers.Trainer`."""
    place = work.place("2")
    if _is_trained(work, of_training, place, VLM_KG):
        return
    from transformers import TrainingArguments

    settings = work.settings.visual
    before = checkpoint.load(work.place("1"))
    vision = _open_vision(work)
    with PartialState().main_process_first():
        with_image, vectors = encoded(vision, _with_image(of_training), place / "work", work)
    language = before.model.language
    torch.manual_seed(work.settings.seed)
    projector = Projector(vision.width, language.config.hidden_size, work.settings.projector)
    if settings.tune == "lora":
        from peft import LoraConfig, get_peft_model

        chosen = LoraConfig(r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules="all-linear")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers is to give up
            language = get_peft_model(language, chosen)
    model = VLMKG(language, projector).train()
    if settings.tune == "projector":
        model.language.requires_grad_(False)
    rows = VisualRows(with_image, vectors, work.settings, work.same)
    trainer = visual_trainer_class()(
        model=model,
        args=TrainingArguments(**arguments(work, settings, place)),
        train_dataset=rows,
        data_collator=Collator(before.tokenizer, work.settings),
        callbacks=[told_steps(work, VLM_KG)],
    )
    figures = run(trainer, place, work.told)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if settings.tune == "lora":
        model.language = model.language.merge_and_unload()
    name = {"language": VLM_KG, "projector": f"{VLM_KG}*", "lora": f"{VLM_KG} LoRA"}[settings.tune]
    settled = replace(work.settings, vision=_vision_from(place, work))
    about = _about(work, of_training, data)
    made = Checkpoint(place, model, before.tokenizer, vision, settled, name, "", about)
    _finish(work, of_training, made, figures, f"{len(rows):,} records")


def _finish(work: Work, of_training: Sequence[Study], made: Checkpoint, figures: dict[str, Any], of: str) -> None:
    """Save a stage, then look at what it reaches, with the weights as they were saved, and note that."""
    if PartialState().is_main_process:
        _save(made, figures)
        reached = _validate(work, of_training, made)
        told = "".join(f", {name} {value}" for name, value in reached.items())
        work.told(f"{made.stage}: {of}, {figures['seconds']:.0f} s, loss {figures['loss']}{told}")
    PartialState().wait_for_everyone()


def _is_trained(work: Work, of_training: Sequence[Study], place: Path, stage: str) -> bool:
    """Whether the stage is trained. Where it was interrupted in its validation, that is done again."""
    if not (place / checkpoint.ABOUT).is_file():
        return False
    if (place / "work").exists() and PartialState().is_main_process:
        _validate(work, of_training, checkpoint.load(place))
    PartialState().wait_for_everyone()
    work.told(f"{stage}: trained already")
    return True


def _validate(work: Work, of_training: Sequence[Study], made: Checkpoint) -> dict[str, Any]:
    """Look at what a saved stage reaches, and add it to its figures. Once its folder `work` is gone, it is done."""
    made.model.to(work.device).eval()
    if made.vision is not None:
        made.vision.module.to(work.device)
    tell = work.progress(f"{made.stage}, validation")
    reached = validated(Generator(made), work.validation(of_training), work.same, tell)
    checkpoint.add_figures(made.folder, reached)
    shutil.rmtree(made.folder / "work", ignore_errors=True)
    return reached


def _about(work: Work, of_training: Sequence[Study], data: str) -> dict[str, Any]:
    """What it was trained on; weights that were there before the training are of data that nobody states."""
    ours = work.settings.language_model == SMALL and work.settings.vision == SMALL
    stated = trained_on.of_names(study.dataset for study in of_training)
    return {
        "data_sha256": data,
        "trained_on": trained_on.document(stated if ours else trained_on.joined(stated, trained_on.UNKNOWN)),
    }


def _save(made: Checkpoint, figures: Mapping[str, Any]) -> None:
    data = made.about["data_sha256"]
    args = made.folder, made.model, made.tokenizer, made.settings, made.stage, made.vision
    checkpoint.save(*args, data=data, trained_on=made.trained_on, figures=figures)


def _with_image(of_training: Sequence[Study]) -> list[Study]:
    return [study for study in of_training if study.image is not None and study.image.is_file()]
