"""What frozen towers make of texts and images, in files: the same for every method, seed and fold, and slow to make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from kgp_models.towers.backbone import Backbone
from kgp_models.training.model_files import read_cached_tensors
from kgplatform.files import atomic_file


@lru_cache(maxsize=4)
def identity(backbone: Backbone) -> str:
    """A hash of a backbone's towers, computed once: they are frozen. Heads are not read and may be new each time."""
    digest = hashlib.sha256((backbone.kind + getattr(backbone.text_tower, "reading", "")).encode())
    for tower in (backbone.image_tower, backbone.text_tower):
        for weight_name, weight in sorted(tower.state_dict().items()):
            digest.update(weight_name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def file_keys(paths: Sequence[Path]) -> list[str]:
    """Files, distinguished by place, size and time of change."""
    file_stats = [(file_path, file_path.stat() if file_path.is_file() else None) for file_path in paths]
    return [
        f"{file_path} {file_stat and (file_stat.st_size, file_stat.st_mtime_ns)}" for file_path, file_stat in file_stats
    ]


def load_or_compute(
    cache: Path | None, backbone: Backbone, identifiers: Sequence[str], make: Callable[[], Mapping[str, Tensor]]
) -> Mapping[str, Tensor]:
    """What `make` gives, from the cache where it is there for this backbone and what was `identifiers`. A file that is
    damaged is made again.
    """
    if cache is None:
        return make()
    cache_key = hashlib.sha256(json.dumps([identity(backbone), *identifiers]).encode()).hexdigest()[:32]
    cache_path = cache / f"{cache_key}.safetensors"
    if (cached_tensors := read_cached_tensors(cache_path)) is not None:
        return cached_tensors
    tensors = {tensor_name: tensor.contiguous() for tensor_name, tensor in make().items()}
    with atomic_file(cache_path) as partial_path:
        save_file(tensors, partial_path)
    return tensors
