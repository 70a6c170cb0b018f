"""`kgp query`."""


def query() -> None:
    """Stand-in."""
