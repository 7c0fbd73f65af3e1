"""`tensorhop --version`."""

from importlib.metadata import version


def version_line() -> str:
    """The command's name and the version of the package that is installed."""
    return f"tensorhop {version('tensorhop')}"
