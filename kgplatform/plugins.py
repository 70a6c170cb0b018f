"""Plug-ins: what this and other packages register by entry point, looked up by name.

Groups, each ``kgplatform.`` and its name, and what is registered there:

    loaders     a callable (path) that gives a `kgplatform.batches.Source`: `kgp ingest with NAME`
    reports     a callable (path, views=…) that gives a `kgplatform.construct.report.ReportSource`
    questions   a callable (folder, images) that gives a `kgplatform.datasets.questions.QuestionSource`
    lexicons    a callable (path) whose result has `concepts()`, and `relations(among)` where it knows relations
    taggers     a callable (lexicon, allowed, argument) that gives a `kgplatform.construct.tagger.Tagger`
    backbones   a callable (folder) that gives a `kgp_models.towers.backbone.Backbone`
    encoders    a callable (argument) that gives an encoder of texts for `kgp construct select`
    functions   what `import kgplatform` offers of models: `kgplatform.ask`, `kgplatform.train_links` …
    models      a `kgp_models.link_prediction.zoo.Entry`: a link-prediction model
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from kgplatform.errors import UsageError
from kgplatform.suggest import did_you_mean


def registered_names(group: str) -> list[str]:
    """The names that are registered in ``kgplatform.<group>``, sorted."""
    return sorted(entry_points(group=f"kgplatform.{group}").names)


def load_plugin(group: str, name: str, noun: str) -> Any:
    """What is registered under that name in ``kgplatform.<group>``; `noun` is the kind of thing, for the error.

    Raises `UsageError`, which suggests names, for an unknown one.
    """
    registered = entry_points(group=f"kgplatform.{group}")
    if name not in registered.names:
        plugin_names = registered_names(group)
        hint = did_you_mean(name, plugin_names, f"{group.capitalize()}: {', '.join(plugin_names)}.")
        raise UsageError(f"there is no {noun} called {name}", hint)
    return registered[name].load()
