"""The command line as a user types it, against a real server: outputs, JSON interfaces, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kgplatform.graph import Graph
from kgplatform.settings import Settings
from tests.conftest import Kgp, own_home
from tests.integration.sources import small_rows, write_medmkg

pytestmark = pytest.mark.server

STATS = (
    *("edges", "concepts", "images", "relations", "cross_edges", "intra_edges", "positive", "negative", "uncertain"),
    *("conflicts", "image_concept_ratio", "edges_per_image", "edges_per_concept"),
)


@pytest.mark.data
def test_the_released_graph_from_loading_to_filtering(graph: Graph, kgp: Kgp, data_dir: Path, tmp_path: Path) -> None:
    loaded = kgp("ingest", "medmkg", data_dir / "medmkg", "--json")
    assert (loaded.code, loaded.err) == (0, "")
    assert {k: loaded.json[k] for k in ("read", "written", "existing", "rejected")} == {
        "read": 35_387,
        "written": 35_387,
        "existing": 0,
        "rejected": 0,
    }
    digest = kgp("stats", "--json", "--digest").json["digest"]
    again = kgp("ingest", "medmkg", data_dir / "medmkg", "--json").json
    assert (again["written"], again["existing"], again["run"]) == (0, 35_387, loaded.json["run"])
    found = kgp("stats", "--json", "--digest").json
    assert found["digest"] == digest
    expected = (35_387, 3_149, 4_868, 262, 20_705, 14_682, 12_509, 2_089, 6_107, 68, 1.55, 4.25, 11.24)
    assert tuple(found[name] for name in STATS) == expected
    scored = kgp("naf", "score", "--json", "--top", "3").json
    assert scored["images"] == 4_868
    assert [(t["id"], round(t["naf"], 3), t["rank"]) for t in scored["top"]] == [
        ("I50978146", 145.402, 1),
        ("I58123117", 85.129, 2),
        ("I50870612", 83.093, 3),
    ]
    kept = kgp("naf", "filter", "--json", "--export", tmp_path / "kept").json
    assert (kept["kept"], kept["images"], kept["concepts"]) == (4_641, 4_868, 3_149)
    assert (tmp_path / "kept" / "image_mapping.csv").exists()
    listed = kgp("query", "--json", "MATCH (i:Image {id: $id}) RETURN i.naf_rank AS rank", "--param", "id=I50978146")
    assert listed.json == [{"rank": 1}]
    undone = kgp("runs", "undo", loaded.json["run"], "--json").json
    assert (undone["edges"], undone["nodes"]) == (35_387, 8_017)


def test_the_phantom_graph_goes_all_the_way_in_words(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    assert kgp("phantom", "build", tmp_path / "p", "--images", "60", "--seed", "7").code == 0
    loaded = kgp("ingest", "medmkg", tmp_path / "p")
    assert loaded.code == 0
    read, written, existing, rejected = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", loaded.out)[:4])
    assert read == written + existing + rejected
    assert written > 0
    assert "60 images scored" in kgp("naf", "score").out
    assert "images are kept" in kgp("naf", "filter").out
    assert "Cross-modality edges" in kgp("stats").out
    assert "medmkg-" in kgp("runs", "list").out
    assert kgp("doctor").code == 0


def test_dry_run_and_bad_rows(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    rows = small_rows(4, 5)
    rows[2] = "I1,MAYBE,C9900001,x,secret patient text"
    folder = write_medmkg(tmp_path / "d", rows)
    stopped = kgp("ingest", "medmkg", folder)
    assert stopped.code == 1
    assert "MedMKG.csv, row 4" in stopped.err
    assert "Traceback" not in stopped.err
    assert "secret" not in stopped.err + stopped.out
    told = kgp("ingest", "medmkg", folder, "--on-error", "skip", "--dry-run", "--json", cwd=tmp_path).json
    done = kgp("ingest", "medmkg", folder, "--on-error", "skip", "--json", cwd=tmp_path).json
    assert (told["written"], told["rejected"]) == (done["written"], done["rejected"]) == (len(rows) - 1, 1)
    assert (tmp_path / "MedMKG.csv.rejects.tsv").read_text(encoding="utf-8").count("\n") == 2


def test_files_that_cannot_be_written_are_one_line(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    folder = write_medmkg(tmp_path / "d", small_rows(4, 5))
    nowhere = tmp_path / "not" / "there.tsv"
    lost = kgp("ingest", "medmkg", folder, "--on-error", "skip", "--rejects", nowhere)
    assert (lost.code, lost.err.count("\n")) == (1, 2)
    assert "there.tsv" in lost.err
    assert kgp("runs", "list", "--json").json == []
    (tmp_path / "file").write_text("x", encoding="utf-8")
    kgp("ingest", "medmkg", folder)
    kgp("naf", "score")
    assert kgp("naf", "filter", "--export", tmp_path / "file").code == 2


def test_a_loader_registered_by_any_package_loads_by_its_name(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    folder = write_medmkg(tmp_path / "d", small_rows(4, 5))
    assert kgp("ingest", "with", "medmkg", folder, "--json").json["rejected"] == 0
    unknown = kgp("ingest", "with", "nothing", folder)
    assert unknown.code == 2
    assert "medmkg, radgraph, triples" in unknown.err


def test_errors_are_json_under_json(graph: Graph, kgp: Kgp) -> None:
    missing = kgp("runs", "show", "nothing", "--json")
    assert missing.code == 1
    assert set(missing.json["error"]) == {"kind", "message", "hint"}
    wrong = kgp("naf", "score", "--top", "many", "--json")
    assert wrong.code == 2
    assert wrong.json["error"]["kind"] == "usage"


def test_the_server_of_neo4j_uri_is_used_where_it_is_set(
    graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path
) -> None:
    from kgplatform.server import connection

    uri, user, password = connection(settings)
    env = {"KGP_HOME": str(tmp_path), "NEO4J_URI": uri, "NEO4J_USERNAME": user, "NEO4J_PASSWORD": password}
    assert kgp("stats", "--json", env=env).json["edges"] == 0
    refused = kgp("stats", "--json", env={**env, "NEO4J_PASSWORD": "wrong-password-canary"})
    assert refused.code == 1
    assert refused.json["error"]["kind"] == "login"
    assert "canary" not in refused.out + refused.err
    assert kgp("stats", env={**env, "NEO4J_PASSWORD": ""}).code == 1


def test_bulk_import_gives_the_graph_of_the_bolt_path(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    rows = small_rows(30, 20)
    mapping = ["I10000001,files/p10/p10000032/s10000001/a.jpg"]
    folder = write_medmkg(tmp_path / "d", rows, mapping)
    (tmp_path / "home").mkdir()
    env = {"KGP_HOME": str(own_home(tmp_path / "home").home)}
    kgp("ingest", "medmkg", folder)
    wanted = kgp("stats", "--json", "--digest").json
    try:
        imported = kgp("db", "import", "medmkg", folder, "--json", env=env)
        assert imported.code == 0, imported.err
        assert imported.json["written"] == len(rows)
        assert imported.json["mapping"]["written"] == 1
        found = kgp("stats", "--json", "--digest", env=env).json
        assert found == wanted
        assert kgp("ingest", "medmkg", folder, "--json", env=env).json["existing"] == len(rows)
        twice = kgp("db", "import", "medmkg", folder, "--json", env=env)
        assert (twice.code, twice.json["error"]["kind"]) == (2, "usage")
        assert kgp("stats", "--json", "--digest", env=env).json == wanted
        undone = kgp("runs", "undo", imported.json["run"], "--json", env=env).json
        assert undone["edges"] == len(rows)
    finally:
        kgp("db", "stop", env=env)
