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

import generation_baselines as baselines
import generation_rows
from PIL import Image

from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import ABOUT
from kgp_models.generator.generate import Decoding, Generator, device
from kgp_models.generator.records import Record, Study, data_sha256, require_apart, studies, thinned
from kgp_models.generator.settings import (
    SMALL,
    DataSettings,
    GeneratorSettings,
    ProjectorSettings,
    SmallSettings,
    VisualSettings,
)
from kgp_models.generator.train import STAGES, Work, meaning, train
from kgp_models.generator.validate import with_degrees
from kgplatform.cli.output import note, progress
from kgplatform.errors import UsageError
from kgplatform.generate.backend import Asked
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

    at_most: int | None = None
    image: Path | None = None

    def studies(self) -> list[Study]:
        """The training's studies."""
        chosen = super().studies()[: self.at_most]
        return chosen if self.image is None else [replace(study, image=self.image) for study in chosen]


class Bench:
    """Data, rows and replies of one run of the benchmark."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.out: Path = arguments.out
        self.files = generation_rows.rows()
        self.base: Path = arguments.base or generation_rows.SETTINGS / "small.yaml"
        self.seed: int = arguments.seed
        self.data = self.row("vlm-kg").settings.data
        self.same = meaning(self.data, self.base.parent)
        self.key = with_degrees(self.same)  # what triplets are compared by
        self.training = studies(self.data, self.data.train, self.base.parent)
        test = studies(self.data, arguments.test, self.base.parent)
        require_apart(self.training, test)
        self.test = [study for study in test if study.image is not None and study.image.is_file()][: arguments.limit]
        if not self.test:
            raise UsageError("no test study has its image", "Check --data and --limit.")
        self._frequent: dict[float, Triplets] = {}
        self.sha256 = {"training": data_sha256(self.training), "test": data_sha256(self.test)}

    def row(self, key: str) -> generation_rows.Row:
        """The row of that key, on this data with this seed."""
        found = generation_rows.read(self.files[key], self.arguments.base)
        data = replace(found.settings.data, path=str(self.arguments.data.absolute()))
        return replace(found, settings=replace(found.settings, data=data, seed=self.seed))

    def knows(self, case: Case) -> bool:
        """Whether the case was asked for, and can be done."""
        chosen = self.arguments.models
        if case.system == DICTIONARY and not self.data.lexicon:
            return False
        return chosen == "all" or case.system in chosen.split(",")

    # What is asked, and what is right

    def asked(self, study: Study, share: float) -> Record:
        """The record with that share of its sentences left out: always the same ones. Its triplets are those that the
        rest of the report says, then what the image shows.
        """
        rng = random.Random(f"kgp benchmark {self.seed} {share} {study.id}")
        return study.record(thinned(study, share, rng) if share else None, self.same)

    def references(self, case: Case) -> dict[str, list[Triplets]]:
        """What the replies are compared with: what stays in the report and the image shows; and the whole report."""
        found = {"reference": [self.asked(study, case.share).triplets for study in self.test]}
        if case.share:
            found["whole report"] = [study.record().triplets for study in self.test]
        return found

    # Replies

    def predicted(self, case: Case) -> dict[str, Any]:
        """What the system says of each test study, in their order, as `triplets`; with tokens and seconds."""
        records = [self.asked(study, case.share) for study in self.test]
        if case.system == DICTIONARY:
            return {"triplets": [self.dictionary.triplets(one.report) for one in records]}
        if case.system == FREQUENT:
            return {"triplets": [self.frequent(case.share)] * len(records)}
        return self.replies(self.row(case.system), records, f"{case.system}-{round(100 * case.share)}")

    @cached_property
    def dictionary(self) -> baselines.Dictionary:
        """The baseline that knows the data's lexicon."""
        return baselines.Dictionary(self.data, self.base.parent)

    @cached_property
    def _validation(self) -> list[Study]:
        return studies(self.data, self.data.validation, self.base.parent)

    def frequent(self, share: float) -> Triplets:
        """The most frequent triplets of training records with as many sentences left out."""
        if share not in self._frequent:
            parts = [[self.asked(one, share).triplets for one in part] for part in (self.training, self._validation)]
            self._frequent[share] = baselines.most_frequent(parts[0], parts[1], self.key)
        return self._frequent[share]

    def replies(self, row: generation_rows.Row, records: Sequence[Record], name: str) -> dict[str, Any]:
        """A trained row's replies; kept in a file by what was asked."""
        trained = checkpoint.load(self.trained(row), device())
        if row.blind:
            records = [record._replace(image=self._blank) for record in records]
        generator = Generator(trained, Decoding(self.arguments.beams, row.max_new_tokens))
        identity = [trained.sha256, dict(generator.parameters), [[one.id, one.report] for one in records]]
        path = self.out / "replies" / f"{name}-{_digest(identity)}.json"
        if path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
        else:
            document = self._written(generator, records)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(document) + "\n", encoding="utf-8")
            part.replace(path)
        return document | {"triplets": [_read(rows) for rows in document["triplets"]]}

    def _written(self, generator: Generator, records: Sequence[Record]) -> dict[str, Any]:
        """Ask the generator. One that cannot read an image says nothing of it."""
        asked = (Asked(str(number), one.image, one.report) for number, one in enumerate(records))
        told, done, began = progress("replies"), 0, time.monotonic()
        found: dict[int, Any] = {}
        for batch in generator.replies(asked):
            found |= {int(reply.asked.id): reply for reply in batch}
            done += len(batch)
            told(done, len(records))
        seconds = time.monotonic() - began
        rows = [found[number] for number in range(len(records))]
        return {
            "triplets": [[list(one.triplet) for one in reply.triplets] for reply in rows],
            "tokens": sum(reply.tokens for reply in rows),
            "longest": max(reply.tokens for reply in rows),
            "cut": sum(reply.tokens >= generator.decoding.max_new_tokens for reply in rows),
            "left_out": sum(reply.left_out for reply in rows),
            "problems": sum(reply.problem is not None for reply in rows),
            "seconds": round(seconds, 1),
        }

    # Training

    def trained(self, row: generation_rows.Row) -> Path:
        """The folder of the row's generator; trains what is not there."""
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
        name = ABOUT if stage != "vision" else checkpoint.VISION
        if (folder / STAGES[stage] / name).is_file():
            return
        if not self._taken(row, settings, folder, stage):
            note(f"{row.name}: training of {STAGES[stage]}")
            image = self._blank if row.blind and stage == "2" else None
            train(Limited(settings, folder, self.base.parent, self.same, note, progress, row.studies, image), [stage])

    @cached_property
    def _blank(self) -> Path:
        """The image of those that see nothing."""
        path = self.out / "grey.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (256, 256), 128).save(path)
        return path

    def _taken(self, row: generation_rows.Row, settings: GeneratorSettings, folder: Path, stage: str) -> bool:
        """Whether a training that was done elsewhere could be taken."""
        other: Path | None = None if row.blind and stage == "2" else self.arguments.trained
        about = None if other is None else other / "training.json"
        if other is None or about is None or not about.is_file():
            return False
        document = json.loads(about.read_text(encoding="utf-8"))
        there = part_settings(GeneratorSettings.of(document["settings"]), stage)
        done = other / STAGES[stage] / (ABOUT if stage != "vision" else checkpoint.VISION)
        if (
            document["data_sha256"] != self._data(row)
            or _placeless(there) != _placeless(settings)
            or not done.is_file()
        ):
            return False
        note(f"{row.name}: {STAGES[stage]} is taken from {other}")
        _link(other / STAGES[stage], folder / STAGES[stage])
        return True

    def cost(self, row: generation_rows.Row) -> dict[str, Any]:
        """What the model card tells of a training, and how large the model is."""
        folder = self.trained(row)
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        model = checkpoint.load(folder).model
        return {**about["figures"], "parameters": sum(one.numel() for one in model.parameters())}


def part_settings(settings: GeneratorSettings, stage: str) -> GeneratorSettings:
    """The settings that decide a part, everything else being as it is by default."""
    if stage == "2":
        return settings
    of_vision = {one.name for one in fields(SmallSettings) if one.name.startswith("vision_")}
    mine = {name: value for name, value in asdict(settings.small).items() if (name in of_vision) == (stage == "vision")}
    small = SmallSettings(**mine)
    if stage == "vision":
        return GeneratorSettings(settings.data, small=small, seed=settings.seed)
    return replace(settings, small=small, vision=SMALL, projector=ProjectorSettings(), visual=VisualSettings())


def _placeless(settings: GeneratorSettings) -> GeneratorSettings:
    """The settings without where the data are: their hash is compared beside them."""
    return replace(settings, data=DataSettings())


def _digest(identity: object) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _link(source: Path, target: Path) -> None:
    """The finished part in another folder, without a copy where that can be."""
    staged = target.with_name(f"{target.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)  # what is there was not finished
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, staged, ignore=shutil.ignore_patterns("work"), copy_function=_linked)
    staged.replace(target)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _read(rows: Sequence[Sequence[str]]) -> Triplets:
    return tuple(Triplet(head, Relation(relation), tail) for head, relation, tail in rows)
