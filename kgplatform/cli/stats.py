"""`kgp stats`."""


def stats() -> None:
    """Stand-in."""
