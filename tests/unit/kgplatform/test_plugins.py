"""A package of somebody else, installed next to this one, adds data sets, lexicons and models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgplatform import plugins
from kgplatform.errors import UsageError

PACKAGE = '''
from pathlib import Path

from kgplatform.construct.lexicon import Concept
from kgplatform.datasets.questions import Question


class Quiz:
    """A data set of questions with one file, quiz.txt: a question and its answer in a row."""

    dataset = "Quiz"

    def __init__(self, folder, images=None):
        self.folder = folder

    def questions(self):
        for number, line in enumerate((self.folder / "quiz.txt").read_text().splitlines()):
            text, _, answer = line.partition("|")
            yield Question(str(number), text, answer, "a.png", self.folder / "a.png", ("train", "test")[number % 2], "")


class Obo:
    """An ontology in the OBO form: names of its terms whose cross-reference is a CUI."""

    def __init__(self, path):
        self.path = path

    @staticmethod
    def reads(path):
        return path.suffix == ".obo"

    def concepts(self):
        for term in self.path.read_text().split("[Term]")[1:]:
            fields = dict(line.split(": ", 1) for line in term.strip().splitlines())
            yield Concept(fields["xref"].removeprefix("UMLS:"), fields["name"])


def __getattr__(name):
    """The model, made when it is asked for: its library takes seconds to load."""
    if name == "MODEL":
        import pykeen.models
        from kgp_models.link_prediction import bilinear
        from kgp_models.link_prediction.zoo import Entry

        return Entry(pykeen.models.DistMult, bilinear.DistMult)
    raise AttributeError(name)
'''
ENTRY_POINTS = """
[kgplatform.questions]
quiz = hospital_plugin:Quiz

[kgplatform.lexicons]
obo = hospital_plugin:Obo

[kgplatform.models]
hospital-distmult = hospital_plugin:MODEL
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that has the plug-in, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "hospital_plugin.py").write_text(PACKAGE, encoding="utf-8")
    information = folder / "hospital_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: hospital-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def _run_kgp(site: Path, *arguments: str | Path, code: str = "from kgplatform.cli import main; main()") -> str:
    python_path = os.pathsep.join([str(site), *sys.path])
    completed = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": python_path, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.mark.parametrize(
    ("command", "name"),
    [(("train", "vqa"), "quiz"), (("audit",), "quiz"), (("train", "links"), "hospital-distmult")],
)
def test_help_lists_what_is_plugged_in(site: Path, command: tuple[str, ...], name: str) -> None:
    assert name in _run_kgp(site, *command, "--help")


def test_questions_of_a_plugin_are_read(site: Path, tmp_path: Path) -> None:
    (tmp_path / "quiz.txt").write_text("Is there a mass?|yes\nIs there an effusion?|no\n")
    (tmp_path / "a.png").write_bytes(b"")
    code = "import sys; from pathlib import Path; from kgplatform.datasets import questions\n"
    code += "print([q.yes for q in questions.read_questions('quiz', Path(sys.argv[1]))[0]])"
    assert _run_kgp(site, tmp_path, code=code) == "[True, False]\n"


def test_a_lexicon_of_a_plugin_is_chosen_by_the_form_of_the_file(site: Path, tmp_path: Path) -> None:
    (tmp_path / "terms.obo").write_text("format-version: 1.2\n\n[Term]\nname: effusion\nxref: UMLS:C0032227\n")
    (tmp_path / "terms.csv").write_text("cui,name\nC0032285,pneumonia\n")
    code = "import sys; from pathlib import Path; from kgplatform.construct.lexicon_source import lexicon_source\n"
    code += "print([c.name for path in sys.argv[1:] for c in lexicon_source(Path(path)).concepts()])"
    assert _run_kgp(site, tmp_path / "terms.obo", tmp_path / "terms.csv", code=code) == "['effusion', 'pneumonia']\n"


@pytest.mark.slow
def test_a_link_prediction_model_of_a_plugin_is_built(site: Path) -> None:
    code = (
        "from kgp_models.link_prediction import zoo; from kgp_models.link_prediction.settings import TrainingSettings\n"
    )
    code += (
        "settings = TrainingSettings.from_document({'model': 'hospital-distmult', 'arguments': {'embedding_dim': 4}})\n"
    )
    code += "print(type(zoo.build_link_model(settings, 5, 2, seed=0)[0]).__name__)"
    assert _run_kgp(site, code=code) == "DistMult\n"


def test_an_unknown_plugin_is_an_error_that_suggests_names() -> None:
    with pytest.raises(UsageError, match="there is no loader of reports called opnei") as raised:
        plugins.load_plugin("reports", "opnei", "loader of reports")
    assert "Did you mean openi?" in raised.value.hint
