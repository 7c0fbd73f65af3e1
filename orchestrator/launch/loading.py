"""Loading of services in threads, while the rest of a command is imported and checked."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tensorhop.models.sources import EMBEDDED, ModelChoice
from tensorhop.rpc.registry import services

Loading = Mapping[str, Future[Any]]  # by service, its servicer


def begin_loading(names: Iterable[str], choices: Mapping[str, ModelChoice]) -> Loading:
    """Begin to load, each in a thread of its own, those of the services that run the embedded model, or none.

    They are not run before the first request: a process that works on a few photos would spend half its time on that.
    Other models take long to load, and may fail to. They are not begun here, so that wrong options are told first.

    Args:
        names: of services.
        choices: by service, which model it runs; the embedded one if it says nothing.
    """
    quick = [name for name in names if name not in choices or choices[name].model == EMBEDDED]
    if not quick:
        return {}
    threads = ThreadPoolExecutor(len(quick), thread_name_prefix="load")
    loading = {name: threads.submit(services()[name].load, choices.get(name), warm=False) for name in quick}
    threads.shutdown(wait=False)  # they end when they have loaded
    return loading
