"""A pool comes back from disk as it was, and nothing else passes for one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kgplatform.errors import InputError
from kgplatform.export import splits
from kgplatform.export.splits import Split
from kgplatform.export.triples import Node, Triples

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint, pool_checkpoint  # noqa: E402
from kgp_models.link_prediction.pool import Pool  # noqa: E402
from kgp_models.link_prediction.predict import predict_links  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train  # noqa: E402


def make(folder: Path, seed: int, prefix: str = "C") -> tuple[Pool, Split]:
    """A pool of a distmult and the baselines on a random graph, saved in `folder`."""
    random = np.random.default_rng(seed)
    nodes = {i: Node(f"I{i}", "Image") for i in range(12)} | {12 + i: Node(f"{prefix}{i}", "Concept") for i in range(9)}
    rows = {(int(h), "POSITIVE", 12 + int(t)) for h, t in random.integers((12, 9), size=(70, 2))}
    rows |= {(12 + int(a), "isa", 12 + int(b)) for a, b in random.integers(9, size=(25, 2))}
    split = splits.make("paper", Triples.build(sorted(rows), nodes), 0)
    settings = TrainingSettings.of({"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 5})
    member = folder.with_name(folder.name + "-member")
    trained = train(settings, split, folder=member)
    pool = Pool(split, {"distmult": trained.scorer}).fit(split)
    pool_checkpoint.save(folder, pool, split, {"distmult": member})
    shutil.rmtree(member)  # the pool's folder needs nothing outside
    return pool, split


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pool, Split]:
    folder = tmp_path_factory.mktemp("pools") / "pool"
    return folder, *make(folder, 0)


@pytest.fixture
def copy(made: tuple[Path, Pool, Split], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def test_it_scores_as_before(made: tuple[Path, Pool, Split]) -> None:
    folder, pool, split = made
    loaded = pool_checkpoint.load(folder).scorer
    h, r, t = torch.from_numpy(np.ascontiguousarray(split.test.T))
    with torch.no_grad():
        assert torch.equal(loaded.tails(h, r), pool.tails(h, r))
        assert torch.equal(loaded.heads(r, t), pool.heads(r, t))
        assert torch.equal(loaded.relations(h, t), pool.relations(h, t))


def test_it_predicts_links_that_the_graph_does_not_have(made: tuple[Path, Pool, Split]) -> None:
    folder, _, split = made
    loaded = pool_checkpoint.load_any(folder)
    assert loaded.name == "pool"
    found = predict_links(loaded, split.triples, "POSITIVE", 7)
    assert len(found) == 7
    known = set(split.triples.named())
    assert not {(one.head[1], "POSITIVE", one.tail[1]) for one in found} & known


def test_one_folder_or_the_other(made: tuple[Path, Pool, Split]) -> None:
    folder = made[0]
    assert isinstance(pool_checkpoint.load_any(folder), pool_checkpoint.PoolCheckpoint)
    assert isinstance(pool_checkpoint.load_any(folder / "members" / "distmult"), checkpoint.Checkpoint)


@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
@pytest.mark.parametrize(
    "name",
    ["pool.json", "train/triples.parquet", "train/entities.tsv", "members/distmult/model.safetensors"],
)
def test_a_damaged_file_is_an_input_error(copy: Path, name: str, kept: float) -> None:
    file = copy / name
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError):
        pool_checkpoint.load(copy)


def test_other_weights_than_those_that_were_saved_are_an_input_error(copy: Path) -> None:
    document = json.loads((copy / "pool.json").read_text())
    document["weights"]["tail"][0][0] += 1
    (copy / "pool.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="hash"):
        pool_checkpoint.load(copy)


@pytest.mark.parametrize("part", ["train", "members/distmult"])
def test_a_part_of_another_pool_is_an_input_error(copy: Path, tmp_path: Path, part: str) -> None:
    make(tmp_path / "other", 1, "D")
    shutil.rmtree(copy / part)
    shutil.copytree(tmp_path / "other" / part, copy / part)
    with pytest.raises(InputError, match="another"):
        pool_checkpoint.load(copy)


def test_a_pool_that_was_not_written_to_the_end_is_none(copy: Path) -> None:
    (copy / "pool.json").unlink()
    with pytest.raises(InputError):
        pool_checkpoint.load_any(copy)
