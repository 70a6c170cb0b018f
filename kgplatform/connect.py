"""Opens the graph that the settings name, or that of the local server."""

from __future__ import annotations

from typing import TypeVar

from kgplatform.graph import Graph
from kgplatform.settings import Settings

G = TypeVar("G", bound=Graph)


def open_graph(settings: Settings | None = None) -> Graph:
    """Connect to ``NEO4J_URI``, or to the local server that `kgp db start` runs; a context manager.

    Raises `ConnectionFailed` where no server answers, and `LoginFailed` where it refuses the login.
    """
    return open_as(Graph, settings)


def open_as(kind: type[G], settings: Settings | None = None) -> G:
    """The same as a `Graph` of that class.

    Raises `ConnectionFailed` where no server answers, and `LoginFailed` where it refuses the login.
    """
    settings = settings or Settings.from_env()
    if settings.uri is not None:
        graph = kind(settings.uri, settings.username, settings.password or "", settings.database)
    else:
        from kgplatform.server import connection

        graph = kind(*connection(settings))
    try:
        graph.verify()
    except BaseException:
        graph.close()
        raise
    return graph
