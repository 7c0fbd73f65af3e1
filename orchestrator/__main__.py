"""`tensorhop`, and `python -m tensorhop.orchestrator`: the command line."""

import atexit
import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line. Ends the process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell has it for its background jobs
        signal.signal(signal.SIGINT, _interrupted)
    from tensorhop.orchestrator.version import version_line
    from tensorhop.rpc.registry import RegistryError

    if sys.argv[1:] == ["--version"]:  # without the commands, whose import takes half a second
        print(version_line())
        return
    gc.disable()  # until all commands are imported, of which nothing is garbage
    try:
        from tensorhop.orchestrator.cli import app
    except RegistryError as error:  # its commands are made from the registry
        sys.exit(_refused(error))
    from tensorhop.errors import InvalidInput

    gc.freeze()  # what is imported is not looked through again; nor is anything when the process ends
    gc.enable()
    atexit.register(gc.freeze)
    try:
        app()
    except InvalidInput as error:  # of the settings, which a command may read anywhere
        sys.exit(_refused(error))


def _interrupted(number: int, frame: object) -> None:
    """End the process at once, until a command has a handler of its own.

    An exception would be raised within an import, where some packages swallow it and others print it.
    """
    os.write(2, b"interrupted\n")
    os._exit(130)


def _refused(error: Exception) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
