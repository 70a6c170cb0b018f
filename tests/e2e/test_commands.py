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
    assert loaded.code == 0, loaded.err  # a slow machine prints progress there
    assert {count_name: loaded.json[count_name] for count_name in ("read", "written", "existing", "rejected")} == {
        "read": 35_387,
        "written": 35_387,
        "existing": 0,
        "rejected": 0,
    }
    first_digest = kgp("stats", "--json", "--digest").json["digest"]
    second_load = kgp("ingest", "medmkg", data_dir / "medmkg", "--json").json
    assert (second_load["written"], second_load["existing"], second_load["run"]) == (0, 35_387, loaded.json["run"])
    statistics = kgp("stats", "--json", "--digest").json
    assert statistics["digest"] == first_digest
    expected = (35_387, 3_149, 4_868, 262, 20_705, 14_682, 12_509, 2_089, 6_107, 68, 1.55, 4.25, 11.24)
    assert tuple(statistics[stat_name] for stat_name in STATS) == expected
    scored = kgp("naf", "score", "--json", "--top", "3").json
    assert scored["images"] == 4_868
    assert [(top_image["id"], round(top_image["naf"], 3), top_image["rank"]) for top_image in scored["top"]] == [
        ("I50978146", 145.402, 1),
        ("I58123117", 85.129, 2),
        ("I50870612", 83.093, 3),
    ]
    filtered = kgp("naf", "filter", "--json", "--export", tmp_path / "kept").json
    assert (filtered["kept"], filtered["images"], filtered["concepts"]) == (4_641, 4_868, 3_149)
    assert (tmp_path / "kept" / "image_mapping.csv").exists()
    query_result = kgp(
        "query", "--json", "MATCH (i:Image {id: $id}) RETURN i.naf_rank AS rank", "--param", "id=I50978146"
    )
    assert query_result.json == [{"rank": 1}]
    undone = kgp("runs", "undo", loaded.json["run"], "--json").json
    assert (undone["edges"], undone["nodes"]) == (35_387, 8_017)


def test_the_phantom_graph_goes_all_the_way_in_words(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    assert kgp("phantom", "build", tmp_path / "p", "--images", "60", "--seed", "7").code == 0
    loaded = kgp("ingest", "medmkg", tmp_path / "p")
    assert loaded.code == 0
    read_count, written_count, existing_count, rejected_count = (
        int(number_text.replace(",", "")) for number_text in re.findall(r"[\d,]*\d", loaded.out)[:4]
    )
    assert read_count == written_count + existing_count + rejected_count
    assert written_count > 0
    assert "60 images scored" in kgp("naf", "score").out
    assert "images are kept" in kgp("naf", "filter").out
    assert "Cross-modality edges" in kgp("stats").out
    assert "medmkg-" in kgp("runs", "list").out
    assert kgp("doctor").code == 0


def test_dry_run_and_bad_rows(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    medmkg_rows = small_rows(4, 5)
    medmkg_rows[2] = "I1,MAYBE,C9900001,x,secret patient text"
    source_folder = write_medmkg(tmp_path / "d", medmkg_rows)
    stopped = kgp("ingest", "medmkg", source_folder)
    assert stopped.code == 1
    assert "MedMKG.csv, row 4" in stopped.err
    assert "Traceback" not in stopped.err
    assert "secret" not in stopped.err + stopped.out
    dry_run = kgp("ingest", "medmkg", source_folder, "--on-error", "skip", "--dry-run", "--json", cwd=tmp_path).json
    real_run = kgp("ingest", "medmkg", source_folder, "--on-error", "skip", "--json", cwd=tmp_path).json
    assert (
        (dry_run["written"], dry_run["rejected"])
        == (real_run["written"], real_run["rejected"])
        == (len(medmkg_rows) - 1, 1)
    )
    assert (tmp_path / "MedMKG.csv.rejects.tsv").read_text(encoding="utf-8").count("\n") == 2


def test_files_that_cannot_be_written_are_one_line(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    source_folder = write_medmkg(tmp_path / "d", small_rows(4, 5))
    missing_folder_path = tmp_path / "not" / "there.tsv"
    failed_load = kgp("ingest", "medmkg", source_folder, "--on-error", "skip", "--rejects", missing_folder_path)
    assert (failed_load.code, failed_load.err.count("\n")) == (1, 2)
    assert "there.tsv" in failed_load.err
    assert kgp("runs", "list", "--json").json == []
    (tmp_path / "file").write_text("x", encoding="utf-8")
    kgp("ingest", "medmkg", source_folder)
    kgp("naf", "score")
    assert kgp("naf", "filter", "--export", tmp_path / "file").code == 2


def test_a_loader_registered_by_any_package_loads_by_its_name(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    source_folder = write_medmkg(tmp_path / "d", small_rows(4, 5))
    assert kgp("ingest", "with", "medmkg", source_folder, "--json").json["rejected"] == 0
    unknown_loader = kgp("ingest", "with", "nothing", source_folder)
    assert unknown_loader.code == 2
    assert "medmkg, radgraph, slake, triples" in unknown_loader.err


def test_errors_are_json_under_json(graph: Graph, kgp: Kgp) -> None:
    missing_run = kgp("runs", "show", "nothing", "--json")
    assert missing_run.code == 1
    assert set(missing_run.json["error"]) == {"kind", "message", "hint"}
    wrong_option = kgp("naf", "score", "--top", "many", "--json")
    assert wrong_option.code == 2
    assert wrong_option.json["error"]["kind"] == "usage"


def test_the_server_of_neo4j_uri_is_used_where_it_is_set(
    graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path
) -> None:
    from kgplatform.server import connection

    server_uri, username, password = connection(settings)
    environment = {
        "KGP_HOME": str(tmp_path),
        "NEO4J_URI": server_uri,
        "NEO4J_USERNAME": username,
        "NEO4J_PASSWORD": password,
    }
    assert kgp("stats", "--json", env=environment).json["edges"] == 0
    refused = kgp("stats", "--json", env={**environment, "NEO4J_PASSWORD": "wrong-password-canary"})
    assert refused.code == 1
    assert refused.json["error"]["kind"] == "login"
    assert "canary" not in refused.out + refused.err
    assert kgp("stats", env={**environment, "NEO4J_PASSWORD": ""}).code == 1


def test_bulk_import_gives_the_graph_of_the_bolt_path(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    medmkg_rows = small_rows(30, 20)
    image_mapping = ["I10000001,files/p10/p10000032/s10000001/a.jpg"]
    source_folder = write_medmkg(tmp_path / "d", medmkg_rows, image_mapping)
    (tmp_path / "home").mkdir()
    environment = {"KGP_HOME": str(own_home(tmp_path / "home").home)}
    kgp("ingest", "medmkg", source_folder)
    expected = kgp("stats", "--json", "--digest").json
    try:
        imported = kgp("db", "import", "medmkg", source_folder, "--json", env=environment)
        assert imported.code == 0, imported.err
        assert imported.json["written"] == len(medmkg_rows)
        assert imported.json["mapping"]["written"] == 1
        statistics = kgp("stats", "--json", "--digest", env=environment).json
        assert statistics == expected
        assert kgp("ingest", "medmkg", source_folder, "--json", env=environment).json["existing"] == len(medmkg_rows)
        second_import = kgp("db", "import", "medmkg", source_folder, "--json", env=environment)
        assert (second_import.code, second_import.json["error"]["kind"]) == (2, "usage")
        assert kgp("stats", "--json", "--digest", env=environment).json == expected
        undone = kgp("runs", "undo", imported.json["run"], "--json", env=environment).json
        assert undone["edges"] == len(medmkg_rows)
    finally:
        kgp("db", "stop", env=environment)
