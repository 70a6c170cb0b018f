"""The small VQA model that comes with the package: small, whole, and not tied to a folder of its maker's."""

from __future__ import annotations

import json

from kgp_models.vqa.checkpoint import ABOUT, SHIPPED, load_vqa_model


def test_it_is_small_and_reads_without_other_files() -> None:
    assert sum(file_path.stat().st_size for file_path in SHIPPED.rglob("*") if file_path.is_file()) < 4 << 20
    model = load_vqa_model(SHIPPED)
    assert not model.method.training
    assert model.mean_image.isfinite().all()
    assert json.loads((SHIPPED / ABOUT).read_text())["backbone"] == "small"
