"""`kgp browser_setup`."""


def browser_setup() -> None:
    """Stand-in."""
