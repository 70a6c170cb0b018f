"""A real local Neo4j without docker."""

from kgplatform.settings import Settings


def connection(settings: Settings) -> tuple[str, str, str]:
    """(uri, user name, password) of the running local server."""
    raise NotImplementedError
