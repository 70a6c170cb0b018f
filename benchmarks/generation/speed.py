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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.generation.speed_table import speed_markdown
from benchmarks.generation.step import POSITIONS, QWEN, measure_step
from benchmarks.generation.token_rates import measure_token_rates
from benchmarks.harness import record
from benchmarks.harness.own_graph import own_graph
from kgp_loaders.phantom import study_set
from kgp_models.generator.checkpoint import SHIPPED
from kgp_models.generator.settings import ProjectorSettings
from kgplatform.cli.output import note
from kgplatform.errors import UsageError

PARTS: Final = ("rate", "whole", "step")
RESULTS: Final = Path(__file__).parent / "results"


def _measure_command(model: Path, data: Path, count: int, beams: int) -> dict[str, Any]:
    """`kgp generate` on a fresh server, which writes to an empty graph; again, which skips all; and then on the server
    that is warm by now, as runs of their own: their longest reply is another, which no reply is as long as.
    """
    with tempfile.TemporaryDirectory(prefix="kgp-benchmark-") as scratch_folder:
        home = Path(scratch_folder) / "home"
        with own_graph(home):
            command = ["generate", "--images", data, "--model", model, "--limit", count, "--beams", beams, "--json"]
            fresh_run, repeated_run = (_kgp(command, home) for _ in range(2))
            warm_outcomes, dry_outcomes = [], []
            for max_reply_tokens in (511, 510, 509):
                limited_command = [*command, "--max-new-tokens", max_reply_tokens]
                dry_outcomes.append(_kgp([*limited_command, "--dry-run"], home)["outcome"])
                warm_outcomes.append(_kgp(limited_command, home)["outcome"])
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
        results = measure_token_rates(arguments.model, data, arguments.images, arguments.repeats, arguments.beams)
    elif name == "whole":
        results = _measure_command(arguments.model, data, arguments.images, arguments.beams)
    else:
        results = measure_step(QWEN, ProjectorSettings(), POSITIONS)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_mib": round(peak_kib / 1024), **results}


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
        result_path.with_suffix(".md").write_text(speed_markdown(document), encoding="utf-8")
    print(speed_markdown(document))


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a trained generator")
    parser.add_argument("--data", type=Path, help="a folder of studies [default: synthetic ones]")
    parser.add_argument("--images", type=int, default=200, help="how many synthetic studies")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--dry-run", action="store_true", help="print the results, do not store them")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    return record.exit_code(lambda: _run_benchmark(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
