"""The first pass over a source, before anything is written: count, check every name, list the rejected rows."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from kgplatform.batches import GraphBatch, Reject, Source
from kgplatform.errors import InputError
from kgplatform.files import require_own
from kgplatform.schema import LABEL, NODE_TYPES, UNCLAIMED, relation_problem
from kgplatform.spreadsheets import escaped
from kgplatform.staging import on_disk, remove_leftovers
from kgplatform.wording import counted, counted_or_none

MAX_BUFFERED_ROWS: Final = 100_000  # a source of at most this many rows is read once
_REJECTS: Final = "file\trow\treason\n"
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Named(Protocol):
    """What an error about a batch names."""

    @property
    def kind(self) -> str:
        """The loader's name."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read; none for a generator."""
        ...


@dataclass(frozen=True)
class Account:
    """What became of the source rows: read = written + existing + rejected, where a row is an edge.

    A row that gives any number of edges (a report) is read or rejected; written and existing are edges then.
    """

    read: int = 0
    written: int = 0
    existing: int = 0
    rejected: int = 0


@dataclass
class Survey:
    """What a first pass over the source found, before anything is written."""

    rows: Account = field(default_factory=Account)
    enriched: Account = field(default_factory=Account)
    asserted: int = 0  # edges that the rows give
    elements: int = 0  # nodes and edges that the rows give, repeated ones included
    left_out: Counter[str] = field(default_factory=Counter)  # by reason; see `GraphBatch`
    remarks: Counter[str] = field(default_factory=Counter)  # see `GraphBatch`
    first_rejects: list[Reject] = field(default_factory=list)
    batches: list[GraphBatch] | None = field(default_factory=list)  # of a small source, to save reading it again

    @property
    def total(self) -> int:
        """Source rows of all kinds."""
        return self.rows.read + self.enriched.read


def survey_source(source: Source, on_error: str, rejects: Path | None, batch_rows: int) -> Survey:
    """Read the whole source once: count, check, and write the reject file. Raises `InputError` on the first bad row
    unless `on_error` is ``"skip"``.
    """
    survey = Survey()
    with _reject_file(rejects) as write_reject:
        for batch in source.batches(batch_rows):
            validate_batch(batch, source)
            if batch.rejects and on_error != "skip":
                reject = batch.rejects[0]
                hint = "Nothing was written. Correct the row, or load the rest with --on-error skip."
                raise InputError(reject.reason, hint, path=reject.path, row=reject.row)
            for reject in batch.rejects:
                write_reject(reject)
            survey.first_rejects.extend(batch.rejects[: 5 - len(survey.first_rejects)])
            survey.left_out.update(batch.left_out)
            survey.remarks.update(batch.remarks)
            previous_account = survey.enriched if batch.enrich else survey.rows
            account = Account(previous_account.read + batch.read, 0, 0, previous_account.rejected + len(batch.rejects))
            if batch.enrich:
                survey.enriched = account
            else:
                survey.rows = account
                survey.asserted += batch.asserted
                survey.elements += len(batch.nodes) + len(batch.edges)
            if survey.batches is not None:
                survey.batches = [*survey.batches, batch] if survey.total <= MAX_BUFFERED_ROWS else None
    return survey


def refuse_nothing(survey: Survey, source: Source, rejects: Path | None) -> None:
    """Raise `InputError` where the source has nothing that could go into the graph: it says what was read, and why."""
    if survey.elements or survey.enriched.read > survey.enriched.rejected:
        return
    rejected_count = survey.rows.rejected + survey.enriched.rejected
    reasons = [counted_or_none(count, reason) for reason, count in survey.left_out.items()]
    if rejected_count:
        first_reject = survey.first_rejects[0]
        first_location = f"{first_reject.path.name}, row {first_reject.row}"
        reasons.insert(0, f"{rejected_count:,} rejected, the first of them {first_location}: {first_reject.reason}")
    row_noun = getattr(source, "rows", "rows")
    reasons = reasons or ["none of them contains a node" if survey.total else "it has no rows"]
    hint = "Nothing was written. Check that it is the right file, and the options."
    if rejects is not None and rejected_count:
        hint = f"{hint} All rejected rows: {rejects}"
    message = f"there is nothing to load: {counted(survey.total, row_noun)} read; {'; '.join(reasons)}"
    raise InputError(message, hint, path=source.files[0] if source.files else None)


def validate_batch(batch: GraphBatch, source: Named) -> GraphBatch:
    """The batch, if all names in it keep to the schema, whoever wrote the loader; raises `InputError`."""
    source_path = source.files[0] if source.files else None
    for head, relation, tail in {(head[0], relation, tail[0]) for head, relation, tail in batch.edges}:
        problem = relation_problem(relation, head, tail)
        if problem:
            raise InputError(f"the loader {source.kind} gave a bad relation: {problem}", path=source_path)
    for label, node_key in batch.nodes:
        if label not in NODE_TYPES:
            raise InputError(f"the loader {source.kind} gave a node of an unknown label", path=source_path)
        if label == "Thing" and LABEL.fullmatch(node_key.partition(":")[0]) is None:
            raise InputError(f"the loader {source.kind} gave a bad type name", path=source_path)
    property_names = {
        property_name for properties in (*batch.nodes.values(), *batch.edges.values()) for property_name in properties
    }
    if any(
        property_name in UNCLAIMED or _PROPERTY.fullmatch(property_name) is None for property_name in property_names
    ):
        raise InputError(f"the loader {source.kind} gave a bad property name", path=source_path)
    return batch


@contextmanager
def _reject_file(path: Path | None) -> Iterator[Callable[[Reject], None]]:
    """A writer of rejected rows: file, row and reason, never the row's content. No file without rejects."""
    if path is None:
        yield lambda _: None
        return
    require_own(path, lambda existing_path: existing_path.open(encoding="utf-8").readline(100) == _REJECTS)
    remove_leftovers(path)
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.partial")
    reject_count = 0
    try:
        with (
            on_disk(path),
            partial_path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as partial_file,
        ):
            writer = csv.writer(partial_file, delimiter="\t", lineterminator="\n")
            writer.writerow(_REJECTS.split())

            def note(reject: Reject) -> None:
                nonlocal reject_count
                reject_count += 1
                writer.writerow((escaped(str(reject.path)), reject.row, escaped(reject.reason)))

            yield note
    except BaseException:
        partial_path.unlink(missing_ok=True)
        raise
    if reject_count:
        partial_path.replace(path)
    else:
        partial_path.unlink()
