"""What frozen towers make of texts and images, in files: the same for every method, seed and fold, and slow to make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from kgp_models.model_files import read_kept
from kgp_models.retrieval.backbone import Backbone
from kgplatform.files import caching


@lru_cache(maxsize=4)
def identity(backbone: Backbone) -> str:
    """A hash of a backbone's towers, computed once: they are frozen. Heads are not read and may be new each time."""
    digest = hashlib.sha256(backbone.kind.encode())
    for tower in (backbone.image_tower, backbone.text_tower):
        for name, value in sorted(tower.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def of_files(paths: Sequence[Path]) -> list[str]:
    """Files as they are, told apart by place, size and time of change."""
    found = [(path, path.stat() if path.is_file() else None) for path in paths]
    return [f"{path} {stat and (stat.st_size, stat.st_mtime_ns)}" for path, stat in found]


def kept(
    cache: Path | None, backbone: Backbone, given: Sequence[str], make: Callable[[], Mapping[str, Tensor]]
) -> Mapping[str, Tensor]:
    """What `make` gives, from the cache where it is there for this backbone and what was `given`. A file that is
    damaged is made again.
    """
    if cache is None:
        return make()
    key = hashlib.sha256(json.dumps([identity(backbone), *given]).encode()).hexdigest()[:32]
    place = cache / f"{key}.safetensors"
    if (found := read_kept(place)) is not None:
        return found
    made = {name: value.contiguous() for name, value in make().items()}
    with caching(place) as staged:
        save_file(made, staged)
    return made
