"""When what was started is ready: every chain among it finds all its steps."""

import threading
import time
from collections.abc import Callable, Mapping

import grpc

from tensorhop.address import reachable
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.health import why_not_ready
from tensorhop.rpc.registry import services

PAUSE_SECONDS = 0.2  # between two looks
PATIENCE_SECONDS = 3.0  # after which is said what is waited for
ASK_SECONDS = 2.0


def say_when_ready(addresses: Mapping[str, str], say: Callable[[str], object]) -> None:
    """Look in the background until every chain that was started is ready; say so, or what it waits for.

    Args:
        addresses: where each service listens that was started and serves, by name.
    """
    chains = {name: reachable(addresses[name]) for name in addresses if name in services() and services()[name].calls}
    threading.Thread(target=_look, args=(chains, say), name="ready", daemon=True).start()


def _look(chains: Mapping[str, str], say: Callable[[str], object]) -> None:
    started, said = time.monotonic(), ""
    channels = {name: open_channel(address) for name, address in chains.items()}
    while reasons := _reasons(channels):
        if reasons != said and time.monotonic() - started > PATIENCE_SECONDS:
            say(f"waiting for {reasons}")
            said = reasons
        time.sleep(PAUSE_SECONDS)
    for channel in channels.values():
        channel.close()
    say("ready; Ctrl-C stops")


def _reasons(channels: Mapping[str, grpc.Channel]) -> str:
    found = ((name, why_not_ready(channel, ASK_SECONDS)) for name, channel in channels.items())
    return "; ".join(f"{name}, which is not ready: {reason}" for name, reason in found if reason)
