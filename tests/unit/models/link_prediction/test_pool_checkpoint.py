"""A pool comes back from disk as it was, and nothing else passes for one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Node, Triples

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import checkpoint, pool_checkpoint  # noqa: E402
from kgp_models.link_prediction.pool import Pool  # noqa: E402
from kgp_models.link_prediction.predict import predict_triples  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train_link_model  # noqa: E402


def _save_random_pool(folder: Path, seed: int, prefix: str = "C") -> tuple[Pool, Split]:
    """A pool of a distmult and the baselines on a random graph, saved in `folder`."""
    generator = np.random.default_rng(seed)
    nodes = {number: Node(f"I{number}", "Image") for number in range(12)} | {
        12 + number: Node(f"{prefix}{number}", "Concept") for number in range(9)
    }
    triples = {
        (int(image_index), "POSITIVE", 12 + int(concept_index))
        for image_index, concept_index in generator.integers((12, 9), size=(70, 2))
    }
    triples |= {
        (12 + int(head_index), "isa", 12 + int(tail_index))
        for head_index, tail_index in generator.integers(9, size=(25, 2))
    }
    split = splits.make("paper", Triples.build(sorted(triples), nodes), 0)
    settings = TrainingSettings.from_document({"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 5})
    member_folder = folder.with_name(folder.name + "-member")
    trained_model = train_link_model(settings, split, folder=member_folder)
    pool = Pool(split, {"distmult": trained_model.scorer}).fit(split)
    pool_checkpoint.save_pool(folder, pool, split, {"distmult": member_folder})
    shutil.rmtree(member_folder)  # the pool's folder needs nothing outside
    return pool, split


@pytest.fixture(scope="module")
def saved_pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pool, Split]:
    pool_folder = tmp_path_factory.mktemp("pools") / "pool"
    return pool_folder, *_save_random_pool(pool_folder, 0)


@pytest.fixture
def copied_pool_folder(saved_pool: tuple[Path, Pool, Split], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_pool[0], tmp_path / "copy"))


def test_it_scores_as_before(saved_pool: tuple[Path, Pool, Split]) -> None:
    pool_folder, pool, split = saved_pool
    loaded = pool_checkpoint.load_pool(pool_folder).scorer
    head_indices, relation_indices, tail_indices = torch.from_numpy(np.ascontiguousarray(split.test.T))
    with torch.no_grad():
        assert torch.equal(loaded.tails(head_indices, relation_indices), pool.tails(head_indices, relation_indices))
        assert torch.equal(loaded.heads(relation_indices, tail_indices), pool.heads(relation_indices, tail_indices))
        assert torch.equal(loaded.relations(head_indices, tail_indices), pool.relations(head_indices, tail_indices))


def test_it_predicts_links_that_the_graph_does_not_have(saved_pool: tuple[Path, Pool, Split]) -> None:
    pool_folder, _, split = saved_pool
    loaded = pool_checkpoint.load_any(pool_folder)
    assert loaded.name == "pool"
    predictions = predict_triples(loaded, split.triples, "POSITIVE", 7)
    assert len(predictions) == 7
    known_triples = set(split.triples.named())
    assert not {(prediction.head[1], "POSITIVE", prediction.tail[1]) for prediction in predictions} & known_triples


def test_one_folder_or_the_other(saved_pool: tuple[Path, Pool, Split]) -> None:
    pool_folder = saved_pool[0]
    assert isinstance(pool_checkpoint.load_any(pool_folder), pool_checkpoint.PoolCheckpoint)
    assert isinstance(pool_checkpoint.load_any(pool_folder / "members" / "distmult"), checkpoint.LinkCheckpoint)


NAMES = ("entities.tsv", "relations.tsv", "triples.parquet")
MEMBER_FILES = (*NAMES, "README.md", "checkpoint.json", "model.safetensors")
FILES = ["pool.json", *(f"train/{name}" for name in NAMES), *(f"members/distmult/{name}" for name in MEMBER_FILES)]


def test_these_are_all_files(saved_pool: tuple[Path, Pool, Split]) -> None:
    pool_folder = saved_pool[0]
    assert sorted(
        file_path.relative_to(pool_folder).as_posix() for file_path in pool_folder.rglob("*") if file_path.is_file()
    ) == sorted(FILES)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "changed"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_pool_file_is_an_input_error(copied_pool_folder: Path, name: str, damage: str) -> None:
    file_path = copied_pool_folder / name
    content = file_path.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file_path.write_bytes({"gone": b"", "empty": b"", "cut": content[:-9], "changed": changed}[damage])
    if damage == "gone":
        file_path.unlink()
    with pytest.raises(InputError) as error:
        pool_checkpoint.load_pool(copied_pool_folder)
    assert error.value.path == file_path
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("members/distmult/checkpoint.json", '"embedding_dim": 8', '"embedding_dim": 8, "random_seed": 1'),
        ("train/entities.tsv", "I3\tImage", "I3\tConcept"),  # labels and triples are the same
    ],
)
def test_what_no_other_hash_covers_is_covered(copied_pool_folder: Path, name: str, old: str, new: str) -> None:
    content = (copied_pool_folder / name).read_text()
    assert old in content
    (copied_pool_folder / name).write_text(content.replace(old, new))
    with pytest.raises(InputError, match=r"missing, damaged or another"):
        pool_checkpoint.load_pool(copied_pool_folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weights": {}, "files": {}}', '{"files": {}, "sha256": "0"}'])
def test_a_foreign_document_is_an_input_error(copied_pool_folder: Path, content: str) -> None:
    (copied_pool_folder / "pool.json").write_text(content)
    with pytest.raises(InputError, match=r"pool\.json: (is not|does not)"):
        pool_checkpoint.load_pool(copied_pool_folder)


def test_other_weights_than_those_that_were_saved_are_an_input_error(copied_pool_folder: Path) -> None:
    document = json.loads((copied_pool_folder / "pool.json").read_text())
    document["weights"]["tail"][0][0] += 1
    (copied_pool_folder / "pool.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="hash"):
        pool_checkpoint.load_pool(copied_pool_folder)


@pytest.mark.parametrize("part", ["train", "members/distmult"])
def test_a_part_of_another_pool_is_an_input_error(copied_pool_folder: Path, tmp_path: Path, part: str) -> None:
    _save_random_pool(tmp_path / "other", 1, "D")
    shutil.rmtree(copied_pool_folder / part)
    shutil.copytree(tmp_path / "other" / part, copied_pool_folder / part)
    with pytest.raises(InputError, match="another"):
        pool_checkpoint.load_pool(copied_pool_folder)


def test_a_pool_that_was_not_written_to_the_end_is_none(copied_pool_folder: Path) -> None:
    (copied_pool_folder / "pool.json").unlink()
    with pytest.raises(InputError, match=r"pool\.json: no such file"):
        pool_checkpoint.load_any(copied_pool_folder)


@pytest.fixture(scope="module")
def two(saved_pool: tuple[Path, Pool, Split], tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, dict[str, Path]]:
    """A pool of two models on the same split, and their checkpoints."""
    folder, split = tmp_path_factory.mktemp("two"), saved_pool[2]
    all_settings = [
        TrainingSettings.from_document({"model": model_name, "arguments": {"embedding_dim": 8}, "epochs": 5})
        for model_name in ("transe", "distmult")
    ]
    trained = {
        model_settings.model: train_link_model(model_settings, split, folder=folder / model_settings.model).scorer
        for model_settings in all_settings
    }
    return Pool(split, trained).fit(split), {member_name: folder / member_name for member_name in trained}


def test_each_member_keeps_its_weight(
    saved_pool: tuple[Path, Pool, Split], two: tuple[Pool, dict[str, Path]], tmp_path: Path
) -> None:
    (pool, members), split = two, saved_pool[2]
    pool_checkpoint.save_pool(tmp_path, pool, split, dict(reversed(members.items())))
    loaded = pool_checkpoint.load_pool(tmp_path)
    assert loaded.scorer.names == pool.names
    head_indices, relation_indices, _ = torch.from_numpy(np.ascontiguousarray(split.test.T))
    with torch.no_grad():
        assert torch.equal(
            loaded.scorer.tails(head_indices, relation_indices), pool.tails(head_indices, relation_indices)
        )
    pool_checkpoint.save_pool(
        tmp_path, loaded.scorer, split, {member_name: tmp_path / "members" / member_name for member_name in members}
    )
    assert pool_checkpoint.load_pool(tmp_path).sha256 == loaded.sha256  # saved in its own place, it is the same


def test_members_that_are_not_the_pools_are_refused_and_nothing_is_lost(
    saved_pool: tuple[Path, Pool, Split], two: tuple[Pool, dict[str, Path]], copied_pool_folder: Path, tmp_path: Path
) -> None:
    (pool, members), split = two, saved_pool[2]
    original_hash = pool_checkpoint.load_pool(copied_pool_folder).sha256
    with pytest.raises(UsageError, match="transe, distmult"):
        pool_checkpoint.save_pool(copied_pool_folder, pool, split, {"transe": members["transe"]})
    _save_random_pool(tmp_path / "other", 1, "D")
    with pytest.raises(InputError, match="another graph"):
        pool_checkpoint.save_pool(
            copied_pool_folder, pool, split, {**members, "distmult": tmp_path / "other/members/distmult"}
        )
    with pytest.raises(InputError, match="there is no link-prediction model here"):
        pool_checkpoint.save_pool(copied_pool_folder, pool, split, {**members, "distmult": tmp_path / "none"})
    longer_settings = TrainingSettings.from_document(
        {"model": "distmult", "arguments": {"embedding_dim": 8}, "epochs": 7}
    )
    train_link_model(longer_settings, split, folder=tmp_path / "longer")
    with pytest.raises(InputError, match="does not score as the pool's model"):
        pool_checkpoint.save_pool(copied_pool_folder, pool, split, {**members, "distmult": tmp_path / "longer"})
    assert pool_checkpoint.load_pool(copied_pool_folder).sha256 == original_hash
