"""Triplets of OpenI's indexers from the report and from the radiograph: rivals that need no generator, and generators.

    python -m benchmarks.generation.openi --data $KGP_DATA_DIR [--trained NAME=FOLDER …] [--encoder FOLDER] [--limit N]

Targets are the triplets of the indexers' codes (`kgplatform.triplets.codes`). Training and choices are on R2Gen's
training and validation parts; figures are of validation and of the studies of `openi_xray` that R2Gen does not use,
with a frontal radiograph. NAME=FOLDER is a folder of `kgp train generator` with LLM-KG, VLM-KG or both; `--encoder` one
of `kgp train images`. Rows, by what they read:

    nothing            the most frequent triplets
    report             the triplets of the nearest training report (TF-IDF); TF-IDF and logistic regression; LLM-KG
    image              those of the nearest radiograph; the generator's classifier on the encoder's vectors; the codes
                       that the encoder was trained on (`benchmarks.images.run --code-parts`); VLM-KG
    report and image   VLM-KG; with half of the sentences; blind (a grey image)

F1 is exact and micro, of triplets and of entities, with 95 % bootstrap intervals over studies; on all studies, and on
those whose report is not one of the training's word for word. `--decodings` compares searches on validation.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from benchmarks.generation.baselines import most_frequent
from benchmarks.generation.openi_rivals import image_rivals, link_triplets, report_rivals
from benchmarks.generation.openi_studies import OpenIStudies, micro_f1, read_parts, study_targets
from benchmarks.generation.scores import Triplets, score_case
from benchmarks.harness import record
from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import ABOUT
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator, generator_device
from kgp_models.generator.records import Record, Study, thinned
from kgplatform.cli.output import note, progress
from kgplatform.errors import UsageError
from kgplatform.files import read_json
from kgplatform.generate.backend import GenerationRequest, GeneratorReply
from kgplatform.triplets.metrics import bootstrap_difference, exact_key

RESULTS: Final = Path(__file__).parent / "results" / "openi.json"
GAPS: Final = 0.5  # share of the sentences that a report with gaps lacks
SEARCHES: Final = {
    "greedy": Decoding(1, length_penalty=0.0, token_reward=0.0),
    "4 beams": Decoding(4, length_penalty=0.0, token_reward=0.0),
    "4 beams, length penalty 1": Decoding(4, length_penalty=1.0, token_reward=0.0),
    "4 beams, token reward 0.15": Decoding(4, length_penalty=0.0, token_reward=0.15),
    "greedy, constrained": Decoding(1, constrained=True, length_penalty=0.0, token_reward=0.0),
}


def gaps(study: Study, share: float = GAPS) -> Record:
    """The record with that share of its sentences left out, always the same ones; the codes are of the whole study."""
    rng = random.Random(f"kgp benchmark {study.id}")
    return study.record(thinned(study, share, rng))


def generator_records(studies: Sequence[Study], has_vision: bool, grey: Path) -> dict[str, list[Record]]:
    """What a generator reads in each row."""
    if not has_vision:
        return {
            "LLM-KG, report": [study.record() for study in studies],
            "LLM-KG, report with gaps": [gaps(study) for study in studies],
        }
    return {
        "VLM-KG, report and image": [study.record() for study in studies],
        "VLM-KG, report with gaps and image": [gaps(study) for study in studies],
        "VLM-KG, image": [study.record(set()) for study in studies],
        "VLM-KG, report, blind": [study.record()._replace(image=grey) for study in studies],
        "VLM-KG, blind": [study.record(set())._replace(image=grey) for study in studies],
    }


def write_replies(generator: Generator, records: Sequence[Record], name: str) -> dict[str, Any]:
    """The triplets written of each record, in their order; tokens a reply, and seconds."""
    start_time, step_progress = time.monotonic(), progress(name)
    replies: dict[int, GeneratorReply] = {}
    requests = (GenerationRequest(str(number), row.image, row.report) for number, row in enumerate(records))
    for batch in generator.replies(requests):
        replies |= {int(reply.request.id): reply for reply in batch}
        step_progress(len(replies), len(records))
    ordered = [replies[number] for number in range(len(records))]
    return {
        "triplets": [tuple(scored.triplet for scored in reply.triplets) for reply in ordered],
        "tokens a reply": round(sum(reply.tokens for reply in ordered) / len(ordered), 1),
        "unreadable images": sum(reply.problem is not None for reply in ordered),
        "seconds": round(time.monotonic() - start_time, 1),
    }


def _stages(folder: Path) -> list[Path]:
    stages = [folder / name for name in ("llm-kg", "vlm-kg") if (folder / name / ABOUT).is_file()]
    if not stages:
        raise UsageError(f"{folder} has no trained generator", "Give a folder of `kgp train generator`.")
    return stages


class Table:
    """The rows of a part, with what each is compared with, stored after each row; rows of an earlier call stay."""

    def __init__(self, path: Path, studies: OpenIStudies, seed: int) -> None:
        self.path, self.studies, self.seed = path, studies, seed
        self.rows: dict[str, dict[str, Any]] = {name: {} for name in studies.parts}
        self.counts: dict[tuple[str, str], Any] = {}
        self.searches: dict[str, Any] = {}
        earlier = read_json(path) if path.is_file() else {}
        if earlier and earlier.get("studies") != self._sizes():
            raise UsageError(f"results of other studies are in {path}", "Give another file with --results.")
        if earlier:
            self.rows, self.searches = earlier["rows"], earlier["searches"]

    def has(self, part: str, name: str, model: str) -> bool:
        """Whether this row of this model is there from an earlier call."""
        return bool(self.rows[part].get(name, {}).get("model") == model)

    def add(self, part: str, name: str, predicted: Sequence[Triplets], **more: Any) -> None:
        """Score a row against the indexers' triplets."""
        studies = self.studies.parts[part]
        references = study_targets(studies)
        scored = score_case(predicted, references, exact_key, self.seed)
        new = [number for number, study in enumerate(studies) if study.id not in self.studies.repeated[part]]
        self.counts[part, name] = scored.counts
        self.rows[part][name] = {
            **scored.document,
            "triplets a study": round(sum(map(len, predicted)) / len(predicted), 2),
            "reports not in training": {
                "studies": len(new),
                "F1": round(micro_f1([predicted[number] for number in new], [references[number] for number in new]), 4),
            },
            "minus the most frequent": self._difference(part, name, "most frequent"),
            **more,
        }
        interval = scored.document["interval"]
        note(f"{part}, {name}: F1 {interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]")
        self.store()

    def _difference(self, part: str, name: str, baseline: str) -> dict[str, Any] | None:
        if name == baseline:
            return None
        return bootstrap_difference(self.counts[part, name], self.counts[part, baseline], self.seed).as_dict()

    def _sizes(self) -> dict[str, int]:
        return {
            "training": len(self.studies.training),
            **{name: len(part) for name, part in self.studies.parts.items()},
            **{f"{name}, report in training": len(ids) for name, ids in self.studies.repeated.items()},
        }

    def store(self) -> None:
        """Write what there is."""
        document = {"studies": self._sizes(), "rows": self.rows, "searches": self.searches}
        record.store(self.path, {**document, "context": record.context(self.seed)}, indent=1)


def run_most_frequent(table: Table) -> None:
    """The triplets that most training studies have, for every study."""
    studies = table.studies
    frequent = most_frequent(study_targets(studies.training), study_targets(studies.parts["validation"]), exact_key)
    for part, part_studies in studies.parts.items():
        table.add(part, "most frequent", [frequent] * len(part_studies))


def run_rivals(table: Table, encoder: Path | None, folder: Path) -> None:
    """The other rows that need no generator."""
    studies = table.studies
    rivals = {} if all("nearest report" in rows for rows in table.rows.values()) else report_rivals(studies)
    for spec in ["offline", *([] if encoder is None else [f"images:{encoder}"])]:
        rivals |= image_rivals(studies, spec, folder)
    if encoder is not None and (linked := link_triplets(studies, encoder, folder)):
        rivals["image encoder's codes"] = linked
    for name, predicted_by_part in rivals.items():
        for part, predicted in predicted_by_part.items():
            table.add(part, name, predicted)


def run_generator(table: Table, name: str, stage: Path, folder: Path) -> None:
    """The rows of a generator."""
    grey = folder / "grey.png"
    Image.new("L", (256, 256), 128).save(grey)
    trained = checkpoint.load_generator(stage, generator_device())
    generator = Generator(trained, Decoding())
    records_by_part = {
        part: generator_records(studies, trained.vision is not None, grey)
        for part, studies in table.studies.parts.items()
    }
    for row_name in records_by_part["validation"]:
        title = f"{name}: {row_name}"
        for part, records in records_by_part.items():
            if not table.has(part, title, trained.sha256):
                written = write_replies(generator, records[row_name], f"{title}, {part}")
                table.add(part, title, written.pop("triplets"), model=trained.sha256, **written)


def run_searches(table: Table, name: str, stage: Path) -> None:
    """Greedy, beams and constrained decoding once, on the validation part."""
    trained = checkpoint.load_generator(stage, generator_device())
    studies = table.studies.parts["validation"]
    for search, decoding in SEARCHES.items():
        written = write_replies(Generator(trained, decoding), [study.record() for study in studies], search)
        scored = score_case(written.pop("triplets"), study_targets(studies), exact_key, table.seed)
        table.searches[f"{name}, {search}"] = {
            **scored.document["triplets"]["exact"],
            "interval": scored.document["interval"],
            **written,
        }
        table.store()
        note(f"{name}, {search}: F1 {scored.document['interval']['value']:.3f}")


def run(arguments: Sequence[str] | None = None) -> None:
    """Measure all rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trained", action="append", default=[], help="NAME=FOLDER; may be repeated")
    parser.add_argument("--encoder", type=Path, help="a folder of `kgp train images`")
    parser.add_argument("--rivals", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--decodings", action="store_true", help="compare searches, with the first --trained")
    parser.add_argument("--limit", type=int, help="at most this many studies of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=record.ROOT / "build" / "generation" / "openi")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    trained = [pair.partition("=") for pair in options.trained]
    stages = [(name, stage) for name, _, folder in trained for stage in _stages(Path(folder))]
    table = Table(options.results, read_parts(options.data, options.limit), options.seed)
    run_most_frequent(table)
    if options.rivals:
        run_rivals(table, options.encoder, options.out)
    for name, stage in stages:
        run_generator(table, name, stage, options.out)
    if options.decodings and stages:
        run_searches(table, *stages[0])


if __name__ == "__main__":
    sys.exit(record.exit_code(run))
