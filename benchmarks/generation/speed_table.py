"""The generator's speed as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.generation.token_rates import BATCH


def speed_markdown(document: dict[str, Any]) -> str:
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
            f"{_describe_run(part_results['fresh'])}, the process {part_results['process_seconds']:.1f} s and "
            f"{part_results['peak_mib']:,} MiB; "
            f"again, with all skipped, {part_results['again']['seconds']:.1f} s. On a warm server "
            f"{_describe_run(part_results['warm'])}; "
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


def _describe_run(run: dict[str, float]) -> str:
    return (
        f"{run['seconds']:.1f} s, {run['images_per_second']:.1f} images/s, {run['share_of_waiting']:.1%} of it waiting "
        "for the graph"
    )
