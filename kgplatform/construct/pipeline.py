"""A construction from its settings: which loader, lexicon, tagger and judge."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from kgplatform import plugins, queries
from kgplatform.batches import Reject
from kgplatform.construct.default_exam import ReportsWithExam
from kgplatform.construct.graph_meanings import same_concepts
from kgplatform.construct.judgement import Judge
from kgplatform.construct.language_model.consent import check_consent
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.lexicon_source import lexicon_source
from kgplatform.construct.open_lexicon import OpenRelations, ontology_names, own_words
from kgplatform.construct.open_lexicon.terms import ANY, CHEST
from kgplatform.construct.report import ReportSource
from kgplatform.construct.select import SelectedReports
from kgplatform.construct.semantic_types import Allowed, types_by_name
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.construct.source import Construction, Ontology
from kgplatform.construct.spread import Stages
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import Tagger
from kgplatform.construct.user_rules import user_rules
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.progress import Progress, no_progress
from kgplatform.settings import Settings as Platform
from kgplatform.wording import counted

logger = logging.getLogger(__name__)
DICTIONARY: Final = "dictionary"  # the tagger that has a lexicon for each region


def construction(
    settings: ConstructionSettings,
    graph: Graph,
    progress: Progress = no_progress,
) -> Construction:
    """What `kgplatform.ingest.ingest` loads. Raises `UsageError` for an unknown loader or tagger, and `InputError`."""
    reports = open_settings_reports(settings)
    judge = build_judge(settings, reports)
    lexicons = [lexicon_source(lexicon_path) for lexicon_path in settings.lexicon if lexicon_path.exists()]
    ontologies: list[Ontology] = [lexicon for lexicon in lexicons if isinstance(lexicon, Ontology)]
    if settings.own_words:
        ontologies.append(OpenRelations())
    stages, lexicon_hash = build_stages(settings, judge, graph)
    return Construction(
        reports, stages, lexicon_hash, ontologies, workers=settings.workers, ray=settings.ray, progress=progress
    )


def build_stages(settings: ConstructionSettings, judge: Judge, graph: Graph | None) -> tuple[Stages, dict[str, str]]:
    """The stages of each report with this judge, and the hashes of their lexicons by parameter.

    With the platform's own terms there are two lexicons: for the chest, and for other regions. Names of the `graph`,
    where there is one, count as `settings` states. Raises `UsageError` for an unknown tagger, and `InputError`.
    """
    chest_lexicon = build_lexicon(settings, graph)
    chest_tagger = build_tagger(settings.tagger, chest_lexicon)
    lexicon_hash = {"lexicon": chest_lexicon.sha256()}
    if not settings.own_words or settings.tagger.partition(":")[0] != DICTIONARY:
        return Stages(chest_tagger, judge, settings.conflicts), lexicon_hash
    other_lexicon = build_lexicon(settings, graph, ANY)
    lexicon_hash["other_lexicon"] = other_lexicon.sha256()
    other_tagger = build_tagger(settings.tagger, other_lexicon)
    return Stages(chest_tagger, judge, settings.conflicts, other_tagger), lexicon_hash


def open_settings_reports(settings: ConstructionSettings) -> ReportSource:
    """The reports of the settings, without those that their selection drops. Raises `UsageError` for an unknown
    loader, and `InputError`.
    """
    reports = open_reports(settings.reports, settings.path, settings.views)
    if settings.exam.is_stated:
        reports = ReportsWithExam(reports, settings.exam)
    return reports if settings.keep is None else SelectedReports(reports, settings.keep)


def build_judge(settings: ConstructionSettings, reports: ReportSource) -> Judge:
    """The rules, or the language model that the settings name. Raises `UsageError` where it may not be asked."""
    stance_rules = rules() if settings.rules is None else user_rules(settings.rules)
    if not settings.llm:
        return stance_rules
    from kgplatform.construct.language_model.cache import Cache
    from kgplatform.construct.language_model.judge import LLMJudge
    from kgplatform.construct.language_model.settings import LLMSettings

    llm_settings = LLMSettings.from_document(settings.llm, remote_consent=settings.remote_consent)
    check_consent(llm_settings.url, credentialed=reports.credentialed, consent=llm_settings.remote_consent)
    cache = Cache(llm_settings.cache or Platform.from_env().home / "language_model.sqlite")
    return LLMJudge(llm_settings, stance_rules, cache, credentialed=reports.credentialed)


def open_reports(
    kind: str, path: Path, views: Sequence[str] | None = None, *, every_image: bool = False
) -> ReportSource:
    """The reports that the loader of that name finds at a path; loaders register in the group `kgplatform.reports`.
    With `every_image` a report comes once for each image of its study, of all views unless `views` says otherwise, as
    far as the loader knows of several.

    Raises `UsageError` for an unknown loader.
    """
    loader = plugins.load_plugin("reports", kind, "loader of reports")
    options: dict[str, Any] = {} if views is None else {"views": tuple(views)}
    if every_image and "every_image" in inspect.signature(loader).parameters:
        options = {"views": (), **options, "every_image": True}
    source: ReportSource = loader(path, **options)
    return source


def build_tagger(name: str, lexicon: Lexicon) -> Tagger:
    """The tagger of that name, or `NAME:ARGUMENT`; taggers register in the group `kgplatform.taggers` as callables
    (lexicon, allowed, argument). Raises `UsageError` for an unknown one.
    """
    kind, _, argument = name.partition(":")
    tagger: Tagger = plugins.load_plugin("taggers", kind, "tagger")(lexicon, Allowed(), argument)
    return tagger


BY_NAMES: Final = ("construct", "radgraph", "generate")  # kinds of runs that find concepts by their names


def build_lexicon(settings: ConstructionSettings, graph: Graph | None, region: str = CHEST) -> Lexicon:
    """The graph's names first (not those that were found by names), then those that the settings name, and those of the
    open ontologies. Without a graph the latter alone. For another region than the chest, the platform's own terms are
    those that mean the same everywhere. Raises `InputError` for a file without names.
    """
    has_graph = graph is not None and settings.graph_names
    names_in_graph = graph_concepts(graph, BY_NAMES) if graph is not None and has_graph else ()
    stated = same_concepts(graph) if graph is not None and has_graph else ()
    names_of_ontologies = ontology_names() if settings.own_words else ()
    named = chain(names_in_graph, settings_concepts(settings, region), names_of_ontologies)
    lexicon = Lexicon(named, stated)
    if region == CHEST:
        logger.info(f"lexicon: {counted(lexicon.names, 'names')} of {counted(len(lexicon.preferred), 'concepts')}")
    return lexicon


def graph_concepts(graph: Graph, kinds: Sequence[str]) -> Iterator[Concept]:
    """The names that the graph has, but for those that runs of these kinds brought."""
    name_rows: list[dict[str, Any]] = list(graph.read(queries.get("construct/names"), kinds=list(kinds)))
    for name_row in name_rows:
        yield Concept(
            name_row["cui"],
            name_row["name"],
            tuple(name_row["types"]) or types_by_name(name_row["name"]),
            float(name_row["weight"]),
        )


def settings_concepts(settings: ConstructionSettings, region: str = CHEST) -> Iterator[Concept]:
    """The names of the files of the settings, then the platform's own."""
    for lexicon_path in settings.lexicon:
        rejects: list[Reject] = []
        name_count = 0
        for concept in lexicon_source(lexicon_path).concepts():
            if isinstance(concept, Concept):
                name_count += 1
                yield concept
            else:
                rejects.append(concept)
        if rejects:
            first_reject = rejects[0]
            problem = (
                f"{counted(len(rejects), 'rows')} left out, "
                f"the first of them row {first_reject.row}: {first_reject.reason}"
            )
            if name_count:
                logger.warning(f"{lexicon_path}: {problem}")
        if not name_count:
            problem = problem if rejects else "no row has a CUI and a name"
            raise InputError(f"it contains no concept name: {problem}", "Check the lexicon.", path=lexicon_path)
    if settings.own_words:
        yield from own_words(region)
