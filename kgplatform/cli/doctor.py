"""`kgp doctor`."""


def doctor() -> None:
    """Stand-in."""
