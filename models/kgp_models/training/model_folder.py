"""The folder of a trained model: its files, a description with their hashes, and a model card.

The description is a JSON file that is written last, so a folder that has it holds a whole model. Each task states in a
`ModelFormat` how its models are described; writing, checking and the card are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from kgp_models.training.model_files import check_files, regular_file_sha256
from kgplatform.errors import InputError
from kgplatform.files import read_json, write_json
from kgplatform.trained_on import describe_trained_on, read_trained_on

Description: TypeAlias = Mapping[str, Any]

CARD: Final = "README.md"
TRAIN_AGAIN: Final = "Train it again."
_SYNTHETIC: Final = "A model that was trained on synthetic studies is valid for synthetic studies only."


class CardText(NamedTuple):
    """What a model card says of one task's models: a title, what the model does, facts about its training, and what its
    results are.
    """

    title: str
    introduction: str
    facts: tuple[str, ...]
    results: str


@dataclass(frozen=True, kw_only=True)
class ModelFormat:
    """How the trained models of a task are stored.

    `model` is what they are called in messages; `description_name`, the JSON file's name; `version`, the form of the
    description, of which no other is read; `entry_types`, the entries that every description has; `card_text`, what the
    model card says; `is_complete`, a further check of a description, which may raise `KeyError` or `TypeError`.
    """

    model: str
    trainer: str
    description_name: str
    version: int
    entry_types: Mapping[str, type | tuple[type, ...]]
    card_text: Callable[[Description], CardText]
    is_complete: Callable[[Description], bool] = lambda description: True

    def write(self, folder: Path, description: Description, model_files: Iterable[Path]) -> None:
        """Write the description and the card of a model whose files are in the folder already."""
        file_hashes = {
            file_path.relative_to(folder).as_posix(): regular_file_sha256(file_path) for file_path in model_files
        }
        self.rewrite(folder, {"form": self.version, **description, "files": file_hashes})

    def rewrite(self, folder: Path, description: Description) -> None:
        """Replace the description, whose hashes are known, and the card."""
        (folder / CARD).write_text(self.card(description), encoding="utf-8")
        write_json(folder / self.description_name, description)

    def is_in(self, folder: Path) -> bool:
        """Whether a finished model is in the folder."""
        return (folder / self.description_name).is_file()

    def read(self, folder: Path, *, check_hashes: bool = True) -> dict[str, Any]:
        """The description of the model in a folder; unless `check_hashes` is false, its files are those that were
        written.

        Raises `InputError` for a folder without a model, a model of another version, and changed files.
        """
        description_path = folder / self.description_name
        try:
            description = read_json(description_path)
            is_outdated = description.get("form", 1) != self.version  # the first link-prediction models have none
            if not is_outdated and not self._is_valid(description):
                raise TypeError
        except (InputError, AttributeError, KeyError, TypeError):
            article = "an" if self.model[0] in "aeiouAEIOU" else "a"
            hint = f"Give the folder of {article} {self.model} of `{self.trainer}`."
            message = f"there is no {self.model} here, or its description is damaged"
            raise InputError(message, hint, path=folder) from None
        if is_outdated:
            raise InputError(f"the {self.model} is of another version", TRAIN_AGAIN, path=description_path)
        if check_hashes:
            check_files(folder, description.get("files", {}))
        return dict(description)

    def card(self, description: Description) -> str:
        """The model card: what the model is, what it was trained on, what it reaches, and what it is not for."""
        title, introduction, facts, results = self.card_text(description)
        if "trained_on" in description:
            facts = (*facts, f"trained on: {describe_trained_on(read_trained_on(description))}")
        figures = description.get("figures", {})
        figure_rows = [f"| {figure_name} | {figure} |" for figure_name, figure in figures.items()]
        parts = [f"# {title}", introduction, "\n".join(f"- {fact}" for fact in facts)]
        if figure_rows:
            parts.append("\n".join(["| figure | |", "|---|---|", *figure_rows]))
        return "\n\n".join([*parts, f"Not for clinical use. {results}\n{_SYNTHETIC}"]) + "\n"

    def _is_valid(self, description: Description) -> bool:
        has_entries = all(isinstance(description[name], kind) for name, kind in self.entry_types.items())
        return has_entries and isinstance(description.get("files", {}), dict) and self.is_complete(description)
