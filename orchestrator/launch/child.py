"""`python -m tensorhop.orchestrator.launch.child READY WORD...`: the command line, in a process that ends when its
parent does.

Its standard input is a pipe whose other end the parent alone holds. However the parent ends, by SIGKILL too, the pipe
then ends, and this process drains as at SIGTERM. Into the pipe whose number is READY it writes once it serves: whatever
else answers at its address proves nothing.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any


def watch() -> None:
    """Wait for the end of standard input; then ask this process to end, and end it if it does not."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    from tensorhop.rpc.server import GRACE_SECONDS

    time.sleep(GRACE_SECONDS + 2)
    os.kill(os.getpid(), signal.SIGKILL)


def serve(words: list[str]) -> int:
    """Run the command line; the exit code.

    What is refused is said in one line, by the service's name. Usage would name a command that nobody typed.
    """
    import typer

    from tensorhop.errors import InvalidInput
    from tensorhop.orchestrator.cli import app

    refusals: Any = typer.BadParameter.__base__  # of click, which typer brings along under a private name
    try:
        return int(app(words, standalone_mode=False) or 0)
    except refusals as error:
        message = error.format_message().removeprefix("Invalid value: ")
    except InvalidInput as error:  # of the settings, which a command may read anywhere
        message = str(error)
    print(f"{words[1]}: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    # Before the command line is imported, which takes seconds.
    threading.Thread(target=watch, name="parent", daemon=True).start()
    pipe = int(sys.argv.pop(1))
    os.set_inheritable(pipe, False)
    from tensorhop.serving import shutdown
    from tensorhop.settings import warn_no_more

    def tell() -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            os.write(pipe, b"1")
        os.close(pipe)

    shutdown.when_ready(tell)
    warn_no_more()
    sys.exit(serve(sys.argv[1:]))
