"""The generator's benchmark behind its tables: data, trainings that rows share, and replies, each done once."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from benchmarks.generation import baselines
from benchmarks.generation import rows as generation_rows
from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import ABOUT
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator, generator_device
from kgp_models.generator.read_studies import read_studies
from kgp_models.generator.records import Record, Study, data_sha256, require_apart, thinned
from kgp_models.generator.settings import (
    SMALL,
    DataSettings,
    GeneratorSettings,
    ProjectorSettings,
    SmallSettings,
    VisualSettings,
)
from kgp_models.generator.train import STAGES, Work, meaning, train_stages
from kgp_models.generator.validate import with_degrees
from kgplatform.cli.output import note, progress
from kgplatform.errors import UsageError
from kgplatform.files import write_json
from kgplatform.generate.backend import GenerationRequest
from kgplatform.triplets.text import Relation, Triplet

DICTIONARY, FREQUENT = "dictionary", "most-frequent"

Triplets = tuple[Triplet, ...]


class Case(NamedTuple):
    """A system that is asked, and the share of sentences that the reports lack."""

    system: str
    share: float = 0.0

    def __str__(self) -> str:
        return f"{self.system}, {self.share:.0%} left out"


@dataclass(frozen=True)
class Limited(Work):
    """A training on the first so many studies, whose images may all be one."""

    study_limit: int | None = None
    image: Path | None = None

    def studies(self) -> list[Study]:
        """The training's studies."""
        selected_studies = super().studies()[: self.study_limit]
        return (
            selected_studies if self.image is None else [replace(study, image=self.image) for study in selected_studies]
        )


class Bench:
    """Data, rows and replies of one run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.out: Path = arguments.out
        self.files = generation_rows.generation_row_paths()
        self.base: Path = arguments.base or generation_rows.SETTINGS / "small.yaml"
        self.seed: int = arguments.seed
        self.data = self.row("vlm-kg").settings.data
        self.same = meaning(self.data, self.base.parent)
        self.key = with_degrees(self.same)  # what triplets are compared by
        self.training = read_studies(self.data, self.data.train, self.base.parent)
        test_studies = read_studies(self.data, arguments.test, self.base.parent)
        require_apart(self.training, test_studies)
        self.test = [study for study in test_studies if study.image is not None and study.image.is_file()][
            : arguments.limit
        ]
        if not self.test:
            raise UsageError("no test study has its image", "Check --data and --limit.")
        self._frequent: dict[float, Triplets] = {}
        self.sha256 = {"training": data_sha256(self.training), "test": data_sha256(self.test)}

    def row(self, key: str) -> generation_rows.Row:
        """The row of that key, on this data with this seed."""
        system_row = generation_rows.read_generation_row(self.files[key], self.arguments.base)
        data = replace(system_row.settings.data, path=str(self.arguments.data.absolute()))
        return replace(system_row, settings=replace(system_row.settings, data=data, seed=self.seed))

    def knows(self, case: Case) -> bool:
        """Whether the case was asked for, and can be done."""
        requested_models = self.arguments.models
        if case.system == DICTIONARY and not self.data.lexicon:
            return False
        return requested_models == "all" or case.system in requested_models.split(",")

    # Questions and correct answers

    def record(self, study: Study, share: float) -> Record:
        """The record with that share of its sentences left out: always the same ones. Its triplets are those that the
        rest of the report says, then what the image shows.
        """
        generator = random.Random(f"kgp benchmark {self.seed} {share} {study.id}")
        return study.record(thinned(study, share, generator) if share else None, self.same)

    def references(self, case: Case) -> dict[str, list[Triplets]]:
        """What the replies are compared with: what stays in the report and the image shows; and the whole report."""
        references_by_kind = {"reference": [self.record(study, case.share).triplets for study in self.test]}
        if case.share:
            references_by_kind["whole report"] = [study.record().triplets for study in self.test]
        return references_by_kind

    # Replies

    def predicted(self, case: Case) -> dict[str, Any]:
        """What the system says of each test study, in their order, as `triplets`; with tokens and seconds."""
        records = [self.record(study, case.share) for study in self.test]
        if case.system == DICTIONARY:
            return {"triplets": [self.dictionary.triplets(record.report) for record in records]}
        if case.system == FREQUENT:
            return {"triplets": [self.frequent(case.share)] * len(records)}
        return self.replies(self.row(case.system), records, f"{case.system}-{round(100 * case.share)}")

    @cached_property
    def dictionary(self) -> baselines.Dictionary:
        """The baseline that knows the data's lexicon."""
        return baselines.Dictionary(self.data, self.base.parent)

    @cached_property
    def _validation(self) -> list[Study]:
        return read_studies(self.data, self.data.validation, self.base.parent)

    def frequent(self, share: float) -> Triplets:
        """The most frequent triplets of training records with as many sentences left out."""
        if share not in self._frequent:
            triplets_by_part = [
                [self.record(study, share).triplets for study in part_studies]
                for part_studies in (self.training, self._validation)
            ]
            self._frequent[share] = baselines.most_frequent(triplets_by_part[0], triplets_by_part[1], self.key)
        return self._frequent[share]

    def replies(self, row: generation_rows.Row, records: Sequence[Record], name: str) -> dict[str, Any]:
        """A trained row's replies; kept in a file by what was asked."""
        trained_generator = checkpoint.load_generator(self.trained(row), generator_device())
        if row.blind:
            records = [record._replace(image=self._blank) for record in records]
        generator = Generator(trained_generator, Decoding(self.arguments.beams, row.max_new_tokens))
        identity = [
            trained_generator.sha256,
            dict(generator.parameters),
            [[record.id, record.report] for record in records],
        ]
        reply_path = self.out / "replies" / f"{name}-{_digest(identity)}.json"
        if reply_path.is_file():
            document: dict[str, Any] = json.loads(reply_path.read_text(encoding="utf-8"))
        else:
            document = self._written(generator, records)
            write_json(reply_path, document, indent=None)
        return document | {"triplets": [_read(triplet_rows) for triplet_rows in document["triplets"]]}

    def _written(self, generator: Generator, records: Sequence[Record]) -> dict[str, Any]:
        """Ask the generator. One that cannot read an image says nothing of it."""
        requests = (
            GenerationRequest(str(record_index), record.image, record.report)
            for record_index, record in enumerate(records)
        )
        log_progress, reply_count, start_time = progress("replies"), 0, time.monotonic()
        reply_by_index: dict[int, Any] = {}
        for batch in generator.replies(requests):
            reply_by_index |= {int(reply.request.id): reply for reply in batch}
            reply_count += len(batch)
            log_progress(reply_count, len(records))
        seconds = time.monotonic() - start_time
        ordered_replies = [reply_by_index[record_index] for record_index in range(len(records))]
        return {
            "triplets": [[list(record.triplet) for record in reply.triplets] for reply in ordered_replies],
            "tokens": sum(reply.tokens for reply in ordered_replies),
            "longest": max(reply.tokens for reply in ordered_replies),
            "cut": sum(reply.tokens >= generator.decoding.max_new_tokens for reply in ordered_replies),
            "left_out": sum(reply.left_out for reply in ordered_replies),
            "problems": sum(reply.problem is not None for reply in ordered_replies),
            "seconds": round(seconds, 1),
        }

    # Training

    def trained(self, row: generation_rows.Row) -> Path:
        """The folder of the row's generator; trains what is missing."""
        if row.stage == "1":
            return self._part(row, "1") / STAGES["1"]
        identity = [row.settings.as_dict(), self._data(row)]
        folder = self.out / "rows" / f"{row.key}-{_digest(identity)}"
        if not (folder / STAGES["2"] / ABOUT).is_file():
            for stage in ("vision", "1") if row.settings.vision == SMALL else ("1",):
                _link(self._part(row, stage) / STAGES[stage], folder / STAGES[stage])
            self._train(row, row.settings, folder, "2")
        return folder / STAGES["2"]

    def _data(self, row: generation_rows.Row) -> str:
        """The hash of what the row is trained on."""
        if row.studies is None or row.studies >= len(self.training):
            return self.sha256["training"]
        return data_sha256(self.training[: row.studies])

    def _part(self, row: generation_rows.Row, stage: str) -> Path:
        """The folder in which a part lies that several rows share."""
        settings = part_settings(row.settings, stage)
        identity = [settings.as_dict(), self._data(row)]
        folder = self.out / "shared" / f"{STAGES[stage]}-{_digest(identity)}"
        self._train(row, settings, folder, stage)
        return folder

    def _train(self, row: generation_rows.Row, settings: GeneratorSettings, folder: Path, stage: str) -> None:
        file_name = ABOUT if stage != "vision" else checkpoint.VISION
        if (folder / STAGES[stage] / file_name).is_file():
            return
        if not self._reuse_training(row, settings, folder, stage):
            note(f"{row.name}: training of {STAGES[stage]}")
            image_path = self._blank if row.blind and stage == "2" else None
            train_stages(
                Limited(settings, folder, self.base.parent, self.same, progress, row.studies, image_path), [stage]
            )

    @cached_property
    def _blank(self) -> Path:
        """The image of those that see nothing."""
        image_path = self.out / "grey.png"
        image_path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (256, 256), 128).save(image_path)
        return image_path

    def _reuse_training(self, row: generation_rows.Row, settings: GeneratorSettings, folder: Path, stage: str) -> bool:
        """Whether a training that was done elsewhere could be taken."""
        source_folder: Path | None = None if row.blind and stage == "2" else self.arguments.trained
        description_path = None if source_folder is None else source_folder / "training.json"
        if source_folder is None or description_path is None or not description_path.is_file():
            return False
        document = json.loads(description_path.read_text(encoding="utf-8"))
        source_settings = part_settings(GeneratorSettings.from_document(document["settings"]), stage)
        finished_file = source_folder / STAGES[stage] / (ABOUT if stage != "vision" else checkpoint.VISION)
        if (
            document["data_sha256"] != self._data(row)
            or _placeless(source_settings) != _placeless(settings)
            or not finished_file.is_file()
        ):
            return False
        note(f"{row.name}: {STAGES[stage]} is taken from {source_folder}")
        _link(source_folder / STAGES[stage], folder / STAGES[stage])
        return True

    def cost(self, row: generation_rows.Row) -> dict[str, Any]:
        """What the model card states of a training, and how large the model is."""
        folder = self.trained(row)
        model_card = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        model = checkpoint.load_generator(folder).model
        return {**model_card["figures"], "parameters": sum(parameter.numel() for parameter in model.parameters())}


def part_settings(settings: GeneratorSettings, stage: str) -> GeneratorSettings:
    """The settings that decide a part, everything else by default."""
    if stage == "2":
        return settings
    vision_names = {setting.name for setting in fields(SmallSettings) if setting.name.startswith("vision_")}
    stage_values = {
        setting_name: value
        for setting_name, value in asdict(settings.small).items()
        if (setting_name in vision_names) == (stage == "vision")
    }
    small_settings = SmallSettings(**stage_values)
    if stage == "vision":
        return GeneratorSettings(settings.data, small=small_settings, seed=settings.seed)
    return replace(settings, small=small_settings, vision=SMALL, projector=ProjectorSettings(), visual=VisualSettings())


def _placeless(settings: GeneratorSettings) -> GeneratorSettings:
    """The settings without where the data are: their hash is compared separately."""
    return replace(settings, data=DataSettings())


def _digest(identity: object) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _link(source: Path, target: Path) -> None:
    """The finished part in another folder, without a copy where that can be."""
    partial_folder = target.with_name(f"{target.name}.part")
    shutil.rmtree(partial_folder, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)  # an existing one was not finished
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, partial_folder, ignore=shutil.ignore_patterns("work"), copy_function=_linked)
    partial_folder.replace(target)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _read(triplet_rows: Sequence[Sequence[str]]) -> Triplets:
    return tuple(Triplet(head, Relation(relation), tail) for head, relation, tail in triplet_rows)
