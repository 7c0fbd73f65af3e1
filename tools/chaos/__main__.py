"""Break things under load, and print what became of the requests. docs/chaos.md has a run.

python tools/chaos [--only WORD] [--embedded] [--overload-seconds 600]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))  # the checkout, wherever it is started
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

import job_rows
import replicas
import rows
import strain

GROUPS: dict[str, Callable[[argparse.Namespace], Iterator[rows.Row]]] = {
    "replicas": replicas.two,
    "rolling": replicas.rolling,
    "single": replicas.one,
    "parent": replicas.parent,
    "deadline": strain.deadline,
    "overload": strain.overload,
    "crowd": strain.crowd,
    "callers": strain.callers,
    "sizes": strain.sizes,
    "jobs": job_rows.jobs,
    "webhooks": job_rows.webhooks,
    "many-jobs": job_rows.many_jobs,
    "long-job": job_rows.long_job,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="run only this group; repeatable")
    parser.add_argument(
        "--embedded", action="store_true", help="the embedded models with the replicas, not instant ones"
    )
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--reader-seconds", type=float, default=8.0, help="between two events that a slow caller reads")
    parser.add_argument("--restarts", type=int, default=20, help="rolling restarts")
    parser.add_argument("--crowd", type=int, default=10_000, help="requests at once")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs that are queued")
    parser.add_argument("--job-seconds", type=float, default=60.0, help="of the long job")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    started, failed = time.monotonic(), 0
    print(rows.HEADER, flush=True)
    for name, group in GROUPS.items():
        if not arguments.only or name in arguments.only:
            for row in group(arguments):
                failed += not row.good
                print(row.line(), flush=True)
    print(
        f"\n{time.monotonic() - started:.0f} s; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print("all as it should be" if not failed else f"{failed} rows are not as they should be")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
