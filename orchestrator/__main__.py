"""`tensorhop`, and `python -m tensorhop.orchestrator`: the command line."""

import sys

from tensorhop.orchestrator.version import version_line
from tensorhop.rpc.registry import RegistryError


def main() -> None:
    """Run the command line. Ends the process."""
    if sys.argv[1:] == ["--version"]:  # without the commands, whose import takes half a second
        print(version_line())
        return
    try:
        from tensorhop.orchestrator.cli import app
    except RegistryError as error:  # its commands are made from the registry
        sys.exit(_refused(error))
    from tensorhop.errors import InvalidInput

    try:
        app()
    except InvalidInput as error:  # of the settings, which a command may read anywhere
        sys.exit(_refused(error))


def _refused(error: Exception) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
