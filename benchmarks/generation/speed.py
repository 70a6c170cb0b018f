"""How fast a generator writes, compared with a plain loop, and what a training step of the full-size model costs.

    python -m benchmarks.generation.speed [--model FOLDER] [--data STUDIES] [--parts rate,whole,step]

    rate    tokens a second of our `replies` (images read, sorted by length, parsed, each triplet scored) and `write`,
            compared with a loop of transformers' `generate` over the same prompts in batches as large, in
            alternating rounds: with the same search, and with the stop that it comes with, which misses probable
            replies; and batches of 16 compared with one at a time
    whole   `kgp generate` as a user types it, on a fresh server and on the same, warm; images a second, the time that
            is lost to writing to the graph, also compared with a dry run; memory
    step    stage 2 on a model of Qwen1.5-0.5B's shape with random weights, batch 2, 512 positions: on a processor one
            step in float32; on a GPU several in bfloat16, with model FLOPs utilisation

Each part runs in a separate process, so that its peak of memory is its own. Without --data, studies are synthetic.
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

import torch
from torch import Tensor

from benchmarks.generation import table as generation_table
from benchmarks.generation.step import POSITIONS, QWEN, measure_step
from benchmarks.harness import record
from kgp_loaders.phantom import study_set
from kgp_models.generator.checkpoint import SHIPPED, load_generator
from kgp_models.generator.generate import Decoding, Generator, generator_device
from kgp_models.generator.settings import ProjectorSettings
from kgplatform.cli.output import note
from kgplatform.errors import UsageError
from kgplatform.generate.backend import Asked, GeneratorReply
from kgplatform.generate.inputs import inputs
from kgplatform.settings import Settings
from kgplatform.triplets.text import report_text

PARTS: Final = ("rate", "whole", "step")
RESULTS: Final = Path(__file__).parent / "results"
PAGE: Final = record.ROOT / "docs" / "generate.md"
MARKS: Final = ("<!-- speed -->", "<!-- /speed -->")
BATCH: Final = 16


def _image_requests(data: Path, count: int) -> list[Asked]:
    """Images with their reports, as `kgp generate` asks of them."""
    input_rows = [
        input_row
        for input_row in inputs(data, known={}).rows
        if input_row.path is not None and input_row.path.is_file()
    ]
    return [
        Asked(input_row.id, input_row.path, report_text(input_row.sections.values()))
        for input_row in input_rows[:count]
    ]


def _batches(rows: Sequence[Asked], size: int) -> list[Sequence[Asked]]:
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
        generator, token_count, start = self._generator, 0, 0
        tokenizer, model = generator.trained.tokenizer, generator.trained.model
        for batch in _batches(self._rows, size):
            prompt_inputs = generator._prompts(batch)  # the same prompts
            image_vectors = None if self._vectors is None else self._vectors[start : start + len(batch)]
            embeddings, mask = model.embedded(
                prompt_inputs["input_ids"], prompt_inputs["attention_mask"], image_vectors
            )
            output_ids = model.language.generate(
                inputs_embeds=embeddings, attention_mask=mask, **self._search, **search
            )
            tokenizer.batch_decode(output_ids, skip_special_tokens=True)
            token_count += sum(_written(reply_ids, tokenizer.eos_token_id) for reply_ids in output_ids.tolist())
            start += len(batch)
        return token_count


def _written(reply_ids: Sequence[int], end_token_id: int) -> int:
    return reply_ids.index(end_token_id) if end_token_id in reply_ids else len(reply_ids)


def _tokens(replies: Sequence[GeneratorReply]) -> int:
    return sum(reply.tokens for reply in replies)


def _measure_token_rates(model: Path, data: Path, count: int, repeats: int, beams: int) -> dict[str, Any]:
    """Tokens a second of each way, in turn so that a busy machine slows all alike."""
    trained_generator = load_generator(model, generator_device())
    requests = _image_requests(data, count)
    batch_generator, single_generator = (
        Generator(trained_generator, Decoding(beams=beams, batch=batch_size)) for batch_size in (BATCH, 1)
    )
    pixels = (
        None
        if trained_generator.vision is None
        else [trained_generator.vision.pixels(request.image) for request in requests if request.image]
    )
    vectors = None
    if trained_generator.vision is not None and pixels is not None:
        vectors = torch.cat(
            [trained_generator.vision.encode(pixel_batch) for pixel_batch in _batches(pixels, BATCH)]
        ).to(trained_generator.model.device)
    plain_loop, search_options = Plain(batch_generator, vectors, requests), MOST_PROBABLE if beams > 1 else {}

    def write() -> int:
        index_batches = _batches(range(len(requests)), BATCH)
        return sum(
            _tokens(
                batch_generator.write(
                    [requests[row_index] for row_index in row_indices],
                    None if vectors is None else vectors[list(row_indices)],
                )
            )
            for row_indices in index_batches
        )

    methods: dict[str, Callable[[], int]] = {
        "plain generate, batches of 16": lambda: plain_loop(BATCH, **search_options),
        "the same, with its own stop": lambda: plain_loop(BATCH),
        "ours, write": write,
        "ours, replies": lambda: sum(_tokens(batch) for batch in batch_generator.replies(iter(requests))),
        "ours, one by one": lambda: sum(_tokens(batch) for batch in single_generator.replies(iter(requests))),
        "plain generate, one by one": lambda: plain_loop(1, **search_options),
    }
    plain_loop(BATCH)  # caches, imports
    timings: dict[str, list[tuple[int, float]]] = {method_name: [] for method_name in methods}
    for _ in range(repeats):
        for method_name, method in methods.items():
            start_time = time.perf_counter()
            token_count = method()
            _wait()
            timings[method_name].append((token_count, time.perf_counter() - start_time))
    measurements = {
        method_name: _measured(method_timings, len(requests)) for method_name, method_timings in timings.items()
    }
    rates = {method_name: measurement["tokens_per_second"] for method_name, measurement in measurements.items()}
    return {
        "model": trained_generator.name,
        "images": len(requests),
        "beams": beams,
        "rounds": repeats,
        "measured": measurements,
        "plain_to_write": rates["plain generate, batches of 16"] / rates["ours, write"],
        "plain_to_replies": rates["plain generate, batches of 16"] / rates["ours, replies"],
        "batches_to_one_by_one": rates["ours, replies"] / rates["ours, one by one"],
        "batches_to_plain_one_by_one": rates["ours, replies"] / rates["plain generate, one by one"],
    }


def _measured(timings: Sequence[tuple[int, float]], image_count: int) -> dict[str, Any]:
    seconds = statistics.median(run_seconds for _, run_seconds in timings)
    return {
        "tokens": timings[0][0],
        "seconds": seconds,
        "all": [run_seconds for _, run_seconds in timings],
        "tokens_per_second": timings[0][0] / seconds,
        "images_per_second": image_count / seconds,
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _measure_command(model: Path, data: Path, count: int, beams: int) -> dict[str, Any]:
    """`kgp generate` on a fresh server, which writes to an empty graph; again, which skips all; and then on the server
    that is warm by now, as runs of their own: their longest reply is another, which no reply is as long as.
    """
    from kgplatform import server

    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch_folder:
        home = Path(scratch_folder) / "home"
        home.mkdir()
        if (shared_cache := Settings.from_env().cache).is_dir():
            (home / "cache").symlink_to(shared_cache)  # the server's jars
        settings = Settings(home=home)
        server.start(settings)
        try:
            command = ["generate", "--images", data, "--model", model, "--limit", count, "--beams", beams, "--json"]
            fresh_run, repeated_run = (_kgp(command, home) for _ in range(2))
            warm_outcomes, dry_outcomes = [], []
            for max_reply_tokens in (511, 510, 509):
                limited_command = [*command, "--max-new-tokens", max_reply_tokens]
                dry_outcomes.append(_kgp([*limited_command, "--dry-run"], home)["outcome"])
                warm_outcomes.append(_kgp(limited_command, home)["outcome"])
        finally:
            server.stop(settings)
    seconds, dry_seconds = (
        statistics.median(outcome["seconds"] for outcome in outcomes) for outcomes in (warm_outcomes, dry_outcomes)
    )
    return {
        "images": fresh_run["outcome"]["done"],
        "edges": fresh_run["outcome"]["edges"],
        "tokens": fresh_run["outcome"]["tokens"],
        "fresh": _timed(fresh_run["outcome"]),
        "warm": _timed(next(outcome for outcome in warm_outcomes if outcome["seconds"] == seconds)),
        "warm_dry_seconds": dry_seconds,
        "warm_to_dry": seconds / dry_seconds,
        "process_seconds": fresh_run["seconds"],
        "peak_mib": fresh_run["peak_mib"],
        "again": {"skipped": repeated_run["outcome"]["skipped"], "seconds": repeated_run["seconds"]},
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
    """Run `kgp` with its own home; returns what it said, its seconds and its peak of memory."""
    environment = {
        variable_name: value for variable_name, value in os.environ.items() if not variable_name.startswith("NEO4J_")
    }
    start_time = time.perf_counter()
    with tempfile.TemporaryFile("w+") as stdout_file:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("kgp"), *map(str, command)],
            stdout=stdout_file,
            env={**environment, "KGP_HOME": str(home)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise UsageError("kgp generate did not work", "Its message is above.")
        stdout_file.seek(0)
        outcome = json.load(stdout_file)
    return {"outcome": outcome, "seconds": time.perf_counter() - start_time, "peak_mib": round(usage.ru_maxrss / 1024)}


def part(name: str, arguments: argparse.Namespace, data: Path) -> dict[str, Any]:
    """One part, in this process, with its peak of memory."""
    if name == "rate":
        results = _measure_token_rates(arguments.model, data, arguments.images, arguments.repeats, arguments.beams)
    elif name == "whole":
        results = _measure_command(arguments.model, data, arguments.images, arguments.beams)
    else:
        results = measure_step(QWEN, ProjectorSettings(), POSITIONS)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_mib": round(peak_kib / 1024), **results}


def _markdown(document: dict[str, Any]) -> str:
    """The results as tables."""
    parts, markdown_lines = document["parts"], []
    if "rate" in parts:
        part_results = parts["rate"]
        markdown_lines += ["| | tokens | seconds | tokens/s | images/s |", "|---|---:|---:|---:|---:|"]
        for method_name, measurement in part_results["measured"].items():
            row_cells = (
                f"{measurement['seconds']:.2f} | {measurement['tokens_per_second']:,.0f} | "
                f"{measurement['images_per_second']:.2f}"
            )
            markdown_lines.append(f"| {method_name} | {measurement['tokens']:,} | {row_cells} |")
        markdown_lines += [
            "",
            f"{part_results['model']}, {part_results['images']} images, {part_results['beams']} beams, median of "
            f"{part_results['rounds']} rounds. "
            f"The plain loop's rate is {part_results['plain_to_write']:.2f} times that of `write` and "
            f"{part_results['plain_to_replies']:.2f} times that of `replies` (aim: at most 1.5); batches of {BATCH} "
            "are "
            f"{part_results['batches_to_one_by_one']:.1f} times as fast as one by one, and "
            f"{part_results['batches_to_plain_one_by_one']:.1f} times as fast as the plain loop one by one (aim: 4). "
            f"Peak memory {part_results['peak_mib']:,} MiB.",
            "",
        ]
    if "whole" in parts:
        part_results = parts["whole"]
        markdown_lines += [
            f"`kgp generate` on {part_results['images']} images, {part_results['edges']:,} edges: on a fresh server "
            f"{_told(part_results['fresh'])}, the process {part_results['process_seconds']:.1f} s and "
            f"{part_results['peak_mib']:,} MiB; "
            f"again, with all skipped, {part_results['again']['seconds']:.1f} s. On a warm server "
            f"{_told(part_results['warm'])}; "
            f"a dry run {part_results['warm_dry_seconds']:.1f} s, so that writing makes it "
            f"{part_results['warm_to_dry'] - 1:+.1%} "
            "longer (aim: 5 %).",
            "",
        ]
    if "step" in parts:
        part_results = parts["step"]
        utilisation = part_results.get("model_flops_utilisation")
        memory_mib = part_results.get("gpu_peak_mib", part_results["peak_mib"])
        markdown_lines += [
            f"A step of stage 2 at full size ({part_results['parameters'] / 1e6:.0f} million weights, batch "
            f"{part_results['batch']}, "
            f"{part_results['positions']} positions, {part_results['dtype']}): {part_results['seconds']:.3g} s, "
            f"{memory_mib:,} MiB, "
            f"{part_results['flops_per_second'] / 1e12:.3g} "
            f"TFLOP/s{'' if utilisation is None else f', {utilisation:.0%} of the peak'}.",
            "",
        ]
    context = document["context"]
    machine = context["machine"]
    markdown_lines.append(
        f"{machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB; commit {context['commit'][:10]}, "
        f"{context['date'][:10]}."
    )
    return "\n".join(markdown_lines) + "\n"


def _told(run: dict[str, float]) -> str:
    return (
        f"{run['seconds']:.1f} s, {run['images_per_second']:.1f} images/s, {run['share_of_waiting']:.1%} of it waiting "
        "for the graph"
    )


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Each part in a separate process."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch_folder:
        studies_folder = arguments.data
        if studies_folder is None:
            studies_folder = Path(scratch_folder) / "studies"
            study_set.build_study_set(studies_folder, arguments.images, 11)
        for part_name in arguments.parts.split(","):
            note(f"{part_name} …")
            options = ["--model", arguments.model, "--images", arguments.images, "--repeats", arguments.repeats]
            options += ["--beams", arguments.beams, "--data", studies_folder, "--one", part_name]
            completed_run = subprocess.run(
                [sys.executable, "-m", "benchmarks.generation.speed", *map(str, options)],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if completed_run.returncode:
                raise UsageError(f"the part {part_name} did not work", "Its message is above.")
            results[part_name] = json.loads(completed_run.stdout)
    return results


def _update_page() -> None:
    """Put the results, of a processor and of a GPU, into the docs page."""
    table_paths = [RESULTS / f"{result_name}.md" for result_name in ("generation_speed", "generation_speed_gpu")]
    tables_text = "\n".join(
        table_path.read_text(encoding="utf-8") for table_path in table_paths if table_path.is_file()
    )
    page_text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(generation_table.replace_between_marks(page_text, tables_text, MARKS), encoding="utf-8")


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Measure, store and print; parts that were not asked for stay as they were stored."""
    if arguments.one is not None:
        return print(json.dumps(part(arguments.one, arguments, arguments.data)))
    if unknown_parts := set(arguments.parts.split(",")) - set(PARTS):
        raise UsageError(f"there is no part {sorted(unknown_parts)[0]}", f"Parts: {', '.join(PARTS)}.")
    device_name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    document = {"context": record.context(device=device_name), "parts": _measure(arguments)}
    result_name = "generation_speed" if device_name == "cpu" else "generation_speed_gpu"
    result_path = RESULTS / f"{result_name}.json"
    if result_path.is_file():
        previous_document = json.loads(result_path.read_text(encoding="utf-8"))
        document["parts"] = {**previous_document["parts"], **document["parts"]}
    if not arguments.dry_run:
        record.store(result_path, document)
        result_path.with_suffix(".md").write_text(_markdown(document), encoding="utf-8")
        _update_page()
    print(_markdown(document))


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a trained generator")
    parser.add_argument("--data", type=Path, help="a folder of studies [default: synthetic ones]")
    parser.add_argument("--images", type=int, default=200, help="how many synthetic studies")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="print, store nothing")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    return record.exit_code(lambda: _run_benchmark(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
