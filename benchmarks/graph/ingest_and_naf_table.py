"""Times of loading and of NaF as tables."""

from __future__ import annotations

from typing import Any


def speed_ratios(scale: dict[str, Any]) -> dict[str, float]:
    """Ours against each rival; above 1 is in our favour for speed-ups, below for `naf_to_read_only`."""
    loads, seconds = scale["loads"], scale["naf"]["seconds"]
    our_loads, plain_loads = loads["kgp"], loads["plain"]
    ratio_by_name = {
        "first_load_speedup_over_plain": plain_loads["first_load_seconds"] / our_loads["first_load_seconds"],
        "first_load_to_import_tool": our_loads["first_load_seconds"] / loads["import"]["tool_alone_seconds"],
        "naf_to_read_only": seconds["kgp_warm"] / seconds["cypher_read_only_warm"],
        "naf_to_pandas": seconds["kgp_warm"] / seconds["pandas"],
        "naf_to_numpy": seconds["kgp_warm"] / seconds["numpy"],
    }
    if "warm_seconds" in our_loads:
        ratio_by_name["warm_speedup_over_plain"] = plain_loads["warm_seconds"] / our_loads["warm_seconds"]
    return ratio_by_name


def ingest_markdown(document: dict[str, Any]) -> str:
    """The result as tables."""
    table_lines = [
        "| scale | edges | way | first load, s | edges/s | warm load, s | client peak, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for scale_result in document["scales"]:
        for loader_name, load_result in scale_result["loads"].items():
            warm_seconds = f"{load_result['warm_seconds']:.2f}" if "warm_seconds" in load_result else "–"
            tool_note = (
                f" (tool alone {load_result['tool_alone_seconds']:.1f})" if "tool_alone_seconds" in load_result else ""
            )
            table_lines.append(
                f"| {scale_result['scale']}× | {scale_result['edges']:,} | {loader_name} | "
                f"{load_result['first_load_seconds']:.2f}{tool_note} | "
                f"{load_result['edges_per_second']:,.0f} | {warm_seconds} | {load_result['client_peak_mib']:.0f} |"
            )
    table_lines += [
        "",
        "| scale | NaF, written back: first / warm, s | Cypher, read only, s | pandas, s | numpy, s |",
        "|---|---|---|---|---|",
    ]
    for scale_result in document["scales"]:
        naf_seconds = scale_result["naf"]["seconds"]
        table_lines.append(
            f"| {scale_result['scale']}× | {naf_seconds['kgp_first']:.2f} / {naf_seconds['kgp_warm']:.3f} | "
            f"{naf_seconds['cypher_read_only_warm']:.3f} | "
            f"{naf_seconds['pandas']:.3f} | {naf_seconds['numpy']:.3f} |"
        )
    table_lines += [
        "",
        "| scale | " + " | ".join(document["scales"][0]["ratios"]) + " |",
        "|---" * (1 + len(document["scales"][0]["ratios"])) + "|",
    ]
    for scale_result in document["scales"]:
        scale_ratios = (scale_result["ratios"].get(loader_name) for loader_name in document["scales"][0]["ratios"])
        cells = " | ".join("–" if ratio is None else f"{ratio:.2f}" for ratio in scale_ratios)
        table_lines.append(f"| {scale_result['scale']}× | {cells} |")
    context = document["context"]
    machine = context["machine"]
    table_lines += [
        "",
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB; commit "
        f"{context['commit'][:10]}, {context['date'][:10]}, driver {context['versions'].get('neo4j')}.",
    ]
    return "\n".join(table_lines) + "\n"
