"""Generation on Ray Data: a model on each GPU, or one on the processor where there is none."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from kgp_models.generator.checkpoint import SHIPPED, load_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator, generator_device
from kgp_models.towers.spec import TowerSpec
from kgplatform.construct.spread import started_ray
from kgplatform.generate.backend import Backend, GenerationRequest, GeneratorReply

CHUNK: Final = 4  # batches that an actor takes at a time: sorted by length together, and lost together in a kill


class OnRay:
    """A checkpoint that writes triplets in Ray actors, one a GPU; a `kgplatform.generate.backend.Backend`.

    `actors` is how many there are where there is no GPU. Raises `SettingsError` where Ray is not installed.
    """

    def __init__(self, folder: Path, vision: str | None, decoding: Decoding, actors: int = 1) -> None:
        started_ray()  # fails before the model is read
        vision_source = vision and str(TowerSpec.parse(vision).below(Path.cwd()))  # actors may have another folder
        local_generator = Generator(load_generator(folder, "cpu", vision_source), decoding)
        self.name, self.sha256, self.parameters = (
            local_generator.name,
            local_generator.sha256,
            local_generator.parameters,
        )
        self.trained_on = local_generator.trained_on
        self._arguments = (folder.absolute(), vision_source, decoding)
        self._actors = actors

    def replies(self, requests: Iterator[GenerationRequest]) -> Iterator[list[GeneratorReply]]:
        """Batches of replies, when they are done."""
        ray = started_ray()
        chunk_size = self._arguments[2].batch * CHUNK
        chunks = [{"asked": pickle.dumps(chunk)} for chunk in iter(lambda: list(islice(requests, chunk_size)), [])]
        if not chunks:
            return
        resources = ray.cluster_resources()
        gpu_count = int(resources.get("GPU", 0))
        actor_resources = (
            {"num_gpus": 1} if gpu_count else {"num_cpus": max(1, (int(resources["CPU"]) - 1) // self._actors)}
        )
        result_dataset = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map_batches(
            _Actor,
            batch_size=1,
            fn_constructor_args=self._arguments,
            compute=ray.data.ActorPoolStrategy(size=gpu_count or self._actors),
            **actor_resources,
        )
        for result_row in result_dataset.iter_rows():
            yield from pickle.loads(result_row["replies"])  # noqa: S301  made by our own actors


def open_generator(
    folder: Path | None = None, vision: str | None = None, decoding: Decoding | None = None, *, ray: bool = False
) -> Backend:
    """The generator in a folder, on this machine's GPU or CPU, or with `ray` on a cluster; the shipped one without a
    folder. `vision` says where its vision encoder is, if it has moved. Raises `InputError` and `UsageError`.
    """
    model_folder, decoding = SHIPPED if folder is None else folder, decoding or Decoding()
    if ray:
        return OnRay(model_folder, vision, decoding)
    return Generator(load_generator(model_folder, generator_device(), vision), decoding)


class _Actor:
    """A Ray actor: a generator that answers pickled chunks of what is asked."""

    def __init__(self, folder: Path, vision: str | None, decoding: Decoding) -> None:
        self._generator = Generator(load_generator(folder, generator_device(), vision), decoding)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        chunks = [pickle.loads(chunk) for chunk in batch["asked"]]  # noqa: S301  our own
        return {"replies": [pickle.dumps(list(self._generator.replies(iter(chunk)))) for chunk in chunks]}
