"""How fast a generator writes, beside a plain loop, and what a training step of the full-size model costs.

    python benchmarks/generation_speed.py [--model FOLDER] [--data STUDIES] [--parts rate,whole,step]

    rate    tokens a second of our `replies` (images read, sorted by length, parsed, each triplet scored) and `write`,
            beside a loop of transformers' `generate` over the same prompts in batches as large, in alternating rounds:
            with the same search, and with the stop that it comes with, which misses probable replies; and batches of 16
            beside one by one
    whole   `kgp generate` as a user types it, on a fresh server and on the same, warm; images a second, the time that
            is lost to writing to the graph, also beside a dry run; memory
    step    stage 2 on a model of Qwen1.5-0.5B's shape with random weights, batch 2, 512 positions: on a processor one
            step in float32; on a GPU several in bfloat16, with model FLOPs utilisation

Each part runs in a process of its own, so that its peak of memory is its own. Without --data, studies are invented.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import generation_table
import record
import torch
from generation_step import POSITIONS, QWEN, step
from torch import Tensor

from kgp_loaders.phantom import study_set
from kgp_models.generator.checkpoint import SHIPPED, load
from kgp_models.generator.generate import Decoding, Generator, device
from kgp_models.generator.settings import ProjectorSettings
from kgplatform.cli.output import note
from kgplatform.errors import UsageError
from kgplatform.generate.backend import Asked, Reply
from kgplatform.generate.inputs import inputs
from kgplatform.settings import Settings
from kgplatform.triplets.text import report_text

PARTS: Final = ("rate", "whole", "step")
PAGE: Final = record.RESULTS.parents[1] / "docs" / "generate.md"
MARKS: Final = ("<!-- speed -->", "<!-- /speed -->")
BATCH: Final = 16


def asked(data: Path, count: int) -> list[Asked]:
    """Images with their reports, as `kgp generate` asks of them."""
    rows = [row for row in inputs(data, known={}).rows if row.path is not None and row.path.is_file()]
    return [Asked(row.id, row.path, report_text(row.sections.values())) for row in rows[:count]]


def batches(rows: Sequence[Asked], size: int) -> list[Sequence[Asked]]:
    """The rows in the order in which they come."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


MOST_PROBABLE: Final = {"early_stopping": "never", "length_penalty": 0.0}  # our search, as transformers has it


class Plain:
    """What a user writes first: for each batch, the prompts' embeddings, `generate`, decode. No scores."""

    def __init__(self, generator: Generator, vectors: Tensor | None, rows: Sequence[Asked]) -> None:
        self._generator = generator
        self._vectors = vectors
        self._rows = rows
        self._search = {
            "num_beams": generator.decoding.beams,
            "do_sample": False,
            "max_new_tokens": generator.decoding.max_new_tokens,
            "pad_token_id": generator.trained.tokenizer.pad_token_id,
            "eos_token_id": generator.trained.tokenizer.eos_token_id,
        }

    @torch.inference_mode()
    def __call__(self, size: int, **search: Any) -> int:
        """Answer all; returns how many tokens were written."""
        ours, tokens, start = self._generator, 0, 0
        tokenizer, model = ours.trained.tokenizer, ours.trained.model
        for batch in batches(self._rows, size):
            given = ours._prompts(batch)  # the same prompts
            image = None if self._vectors is None else self._vectors[start : start + len(batch)]
            embeddings, mask = model.embedded(given["input_ids"], given["attention_mask"], image)
            out = model.language.generate(inputs_embeds=embeddings, attention_mask=mask, **self._search, **search)
            tokenizer.batch_decode(out, skip_special_tokens=True)
            tokens += sum(_written(row, tokenizer.eos_token_id) for row in out.tolist())
            start += len(batch)
        return tokens


def _written(row: Sequence[int], end: int) -> int:
    return row.index(end) if end in row else len(row)


def _tokens(replies: Sequence[Reply]) -> int:
    return sum(reply.tokens for reply in replies)


def rate(model: Path, data: Path, count: int, repeats: int, beams: int) -> dict[str, Any]:
    """Tokens a second of each way, in turn so that a busy machine slows all alike."""
    trained = load(model, device())
    rows = asked(data, count)
    sixteen, one = (Generator(trained, Decoding(beams=beams, batch=size)) for size in (BATCH, 1))
    pixels = None if trained.vision is None else [trained.vision.pixels(row.image) for row in rows if row.image]
    vectors = None
    if trained.vision is not None and pixels is not None:
        vectors = torch.cat([trained.vision.encode(part) for part in batches(pixels, BATCH)]).to(trained.model.device)
    plain, best = Plain(sixteen, vectors, rows), MOST_PROBABLE if beams > 1 else {}

    def write() -> int:
        parts = batches(range(len(rows)), BATCH)
        return sum(
            _tokens(sixteen.write([rows[number] for number in part], None if vectors is None else vectors[list(part)]))
            for part in parts
        )

    ways: dict[str, Callable[[], int]] = {
        "plain generate, batches of 16": lambda: plain(BATCH, **best),
        "the same, with its own stop": lambda: plain(BATCH),
        "ours, write": write,
        "ours, replies": lambda: sum(_tokens(batch) for batch in sixteen.replies(iter(rows))),
        "ours, one by one": lambda: sum(_tokens(batch) for batch in one.replies(iter(rows))),
        "plain generate, one by one": lambda: plain(1, **best),
    }
    plain(BATCH)  # caches, imports
    taken: dict[str, list[tuple[int, float]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            tokens = way()
            _wait()
            taken[name].append((tokens, time.perf_counter() - began))
    measured = {name: _measured(found, len(rows)) for name, found in taken.items()}
    rates = {name: row["tokens_per_second"] for name, row in measured.items()}
    return {
        "model": trained.name,
        "images": len(rows),
        "beams": beams,
        "rounds": repeats,
        "measured": measured,
        "plain_to_write": rates["plain generate, batches of 16"] / rates["ours, write"],
        "plain_to_replies": rates["plain generate, batches of 16"] / rates["ours, replies"],
        "batches_to_one_by_one": rates["ours, replies"] / rates["ours, one by one"],
        "batches_to_plain_one_by_one": rates["ours, replies"] / rates["plain generate, one by one"],
    }


def _measured(found: Sequence[tuple[int, float]], images: int) -> dict[str, Any]:
    seconds = statistics.median(took for _, took in found)
    return {
        "tokens": found[0][0],
        "seconds": seconds,
        "all": [took for _, took in found],
        "tokens_per_second": found[0][0] / seconds,
        "images_per_second": images / seconds,
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def whole(model: Path, data: Path, count: int, beams: int) -> dict[str, Any]:
    """`kgp generate` on a fresh server, which writes to an empty graph; again, which skips all; and then on the server
    that is warm by now, as runs of their own: their longest reply is another, which no reply is as long as.
    """
    from kgplatform import server

    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        if (shared := Settings.from_env().cache).is_dir():
            (home / "cache").symlink_to(shared)  # the server's jars
        settings = Settings(home=home)
        server.start(settings)
        try:
            command = ["generate", "--images", data, "--model", model, "--limit", count, "--beams", beams, "--json"]
            fresh, again = (_kgp(command, home) for _ in range(2))
            warm, dry = [], []
            for longest in (511, 510, 509):
                other = [*command, "--max-new-tokens", longest]
                dry.append(_kgp([*other, "--dry-run"], home)["outcome"])
                warm.append(_kgp(other, home)["outcome"])
        finally:
            server.stop(settings)
    seconds, without = (statistics.median(one["seconds"] for one in runs) for runs in (warm, dry))
    return {
        "images": fresh["outcome"]["done"],
        "edges": fresh["outcome"]["edges"],
        "tokens": fresh["outcome"]["tokens"],
        "fresh": _timed(fresh["outcome"]),
        "warm": _timed(next(one for one in warm if one["seconds"] == seconds)),
        "warm_dry_seconds": without,
        "warm_to_dry": seconds / without,
        "process_seconds": fresh["seconds"],
        "peak_mib": fresh["peak_mib"],
        "again": {"skipped": again["outcome"]["skipped"], "seconds": again["seconds"]},
    }


def _timed(outcome: dict[str, Any]) -> dict[str, float]:
    seconds = outcome["seconds"]
    return {
        "seconds": seconds,
        "images_per_second": outcome["done"] / seconds,
        "waiting_seconds": outcome["waiting"],
        "share_of_waiting": outcome["waiting"] / seconds,
    }


def _kgp(command: Sequence[object], home: Path) -> dict[str, Any]:
    """Run `kgp` with a home of its own; returns what it said, its seconds and its peak of memory."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        ran = subprocess.Popen(
            [Path(sys.executable).with_name("kgp"), *map(str, command)], stdout=said, env={**own, "KGP_HOME": str(home)}
        )
        _, status, usage = os.wait4(ran.pid, 0)
        ran.returncode = os.waitstatus_to_exitcode(status)
        if ran.returncode:
            raise UsageError("kgp generate did not work", "Its message is above.")
        said.seek(0)
        outcome = json.load(said)
    return {"outcome": outcome, "seconds": time.perf_counter() - began, "peak_mib": round(usage.ru_maxrss / 1024)}


def part(name: str, arguments: argparse.Namespace, data: Path) -> dict[str, Any]:
    """One part, in this process, with its peak of memory."""
    if name == "rate":
        found = rate(arguments.model, data, arguments.images, arguments.repeats, arguments.beams)
    elif name == "whole":
        found = whole(arguments.model, data, arguments.images, arguments.beams)
    else:
        found = step(QWEN, ProjectorSettings(), POSITIONS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_mib": round(peak / 1024), **found}


def markdown(document: dict[str, Any]) -> str:
    """The results as tables."""
    parts, lines = document["parts"], []
    if "rate" in parts:
        found = parts["rate"]
        lines += ["| | tokens | seconds | tokens/s | images/s |", "|---|---:|---:|---:|---:|"]
        for name, row in found["measured"].items():
            told = f"{row['seconds']:.2f} | {row['tokens_per_second']:,.0f} | {row['images_per_second']:.2f}"
            lines.append(f"| {name} | {row['tokens']:,} | {told} |")
        lines += [
            "",
            f"{found['model']}, {found['images']} images, {found['beams']} beams, median of {found['rounds']} rounds. "
            f"The plain loop's rate is {found['plain_to_write']:.2f} times that of `write` and "
            f"{found['plain_to_replies']:.2f} times that of `replies` (aim: at most 1.5); batches of {BATCH} are "
            f"{found['batches_to_one_by_one']:.1f} times as fast as one by one, and "
            f"{found['batches_to_plain_one_by_one']:.1f} times as fast as the plain loop one by one (aim: 4). "
            f"Peak memory {found['peak_mib']:,} MiB.",
            "",
        ]
    if "whole" in parts:
        found = parts["whole"]
        lines += [
            f"`kgp generate` on {found['images']} images, {found['edges']:,} edges: on a fresh server "
            f"{_told(found['fresh'])}, the process {found['process_seconds']:.1f} s and {found['peak_mib']:,} MiB; "
            f"again, with all skipped, {found['again']['seconds']:.1f} s. On a warm server {_told(found['warm'])}; "
            f"a dry run {found['warm_dry_seconds']:.1f} s, so that writing makes it {found['warm_to_dry'] - 1:+.1%} "
            "longer (aim: 5 %).",
            "",
        ]
    if "step" in parts:
        found = parts["step"]
        use = found.get("model_flops_utilisation")
        memory = found.get("gpu_peak_mib", found["peak_mib"])
        lines += [
            f"A step of stage 2 at full size ({found['parameters'] / 1e6:.0f} million weights, batch {found['batch']}, "
            f"{found['positions']} positions, {found['dtype']}): {found['seconds']:.3g} s, {memory:,} MiB, "
            f"{found['flops_per_second'] / 1e12:.3g} TFLOP/s{'' if use is None else f', {use:.0%} of the peak'}.",
            "",
        ]
    context = document["context"]
    machine = context["machine"]
    lines.append(
        f"{machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB; commit {context['commit'][:10]}, "
        f"{context['date'][:10]}."
    )
    return "\n".join(lines) + "\n"


def _told(run: dict[str, float]) -> str:
    return (
        f"{run['seconds']:.1f} s, {run['images_per_second']:.1f} images/s, {run['share_of_waiting']:.1%} of it waiting "
        "for the graph"
    )


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Each part in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch:
        data = arguments.data
        if data is None:
            data = Path(scratch) / "studies"
            study_set.build(data, arguments.images, 11)
        for name in arguments.parts.split(","):
            note(f"{name} …")
            options = ["--model", arguments.model, "--images", arguments.images, "--repeats", arguments.repeats]
            options += ["--beams", arguments.beams, "--data", data, "--one", name]
            ran = subprocess.run(
                [sys.executable, __file__, *map(str, options)], stdout=subprocess.PIPE, text=True, check=False
            )
            if ran.returncode:
                raise UsageError(f"the part {name} did not work", "Its message is above.")
            found[name] = json.loads(ran.stdout)
    return found


def show() -> None:
    """Put the results, of a processor and of a GPU, into the docs page."""
    paths = [record.RESULTS / f"{name}.md" for name in ("generation_speed", "generation_speed_gpu")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(generation_table.between(page, text, MARKS), encoding="utf-8")


def work(arguments: argparse.Namespace) -> None:
    """Measure, store and print; parts that were not asked for stay as they were stored."""
    if arguments.one is not None:
        return print(json.dumps(part(arguments.one, arguments, arguments.data)))
    if wrong := set(arguments.parts.split(",")) - set(PARTS):
        raise UsageError(f"there is no part {sorted(wrong)[0]}", f"Parts: {', '.join(PARTS)}.")
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    document = {"context": record.context(device=card), "parts": measure(arguments)}
    name = "generation_speed" if card == "cpu" else "generation_speed_gpu"
    path = record.RESULTS / f"{name}.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        document["parts"] = {**before["parts"], **document["parts"]}
    if not arguments.dry_run:
        record.store(name, document)
        path.with_suffix(".md").write_text(markdown(document), encoding="utf-8")
        show()
    print(markdown(document))


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a trained generator")
    parser.add_argument("--data", type=Path, help="a folder of studies [default: invented ones]")
    parser.add_argument("--images", type=int, default=200, help="studies that are invented")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="print, store nothing")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    return record.exit_code(lambda: work(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
