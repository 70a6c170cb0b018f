"""Whether a processor computes in bfloat16: by the flags that Linux states."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_models.training.precision import has_fast_bfloat16


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx2", False), ("fpu avx512_bf16 avx2", True), ("amx_bf16", True)]
)
def test_the_processors_flags_decide(tmp_path: Path, flags: str, expected: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor: 0\nflags: {flags}\n", encoding="utf-8")
    assert has_fast_bfloat16(path) is expected


def test_where_nothing_is_stated_nobody_is_warned(tmp_path: Path) -> None:
    assert has_fast_bfloat16(tmp_path / "none")
