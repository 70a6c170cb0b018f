"""Whether a processor computes in bfloat16 at least as fast as in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CPU_FLAGS: Final = Path("/proc/cpuinfo")
INSTRUCTIONS: Final = ("amx_bf16", "avx512_bf16", "bf16")  # of x86 and of ARM


def has_fast_bfloat16(cpu_flags: Path = CPU_FLAGS) -> bool:
    """Whether the processor states instructions for bfloat16; also where nothing is stated (other systems)."""
    if not cpu_flags.is_file():
        return True
    return not set(INSTRUCTIONS).isdisjoint(cpu_flags.read_text(encoding="utf-8", errors="replace").split())
