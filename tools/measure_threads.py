"""Measure how many threads a network should run on, alone and beside another process that runs it too.

    python tools/measure_threads.py

Runs U2-Net-p in processes of their own, two for each setting, and prints medians in milliseconds. The settings take
turns, so that a noisy machine disturbs all of them alike.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import onnxruntime

NETWORK = Path(__file__).parent.parent / "services" / "embedded" / "weights" / "u2netp.onnx"


def work(pipe: Connection, threads: int, spinning: bool) -> None:
    """Run the network as often as asked, and answer how long each run took, in seconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    session = onnxruntime.InferenceSession(NETWORK, options)
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    tensor = np.random.default_rng(0).standard_normal((1, 3, 320, 320), np.float32)
    session.run([output], {name: tensor})
    pipe.send([])
    while count := pipe.recv():
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            session.run([output], {name: tensor})
            seconds.append(time.perf_counter() - started)
        pipe.send(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each setting")
    parser.add_argument("--runs", type=int, default=3, help="of the network in a turn")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    settings = [(threads, spinning) for threads in sorted({1, cores}) for spinning in (True, False)]
    context = multiprocessing.get_context("spawn")
    workers = {}
    for setting in settings:
        for place in range(2):
            near, far = context.Pipe()
            context.Process(target=work, args=(far, *setting), daemon=True).start()
            near.recv()
            workers[setting, place] = near
    alone: dict[tuple, list] = {each: [] for each in settings}
    beside: dict[tuple, list] = {each: [] for each in settings}
    for _ in range(arguments.rounds):
        for setting in settings:
            first, second = workers[setting, 0], workers[setting, 1]
            first.send(arguments.runs)
            alone[setting] += first.recv()
            for pipe in (first, second):
                pipe.send(arguments.runs)
            for pipe in (first, second):
                beside[setting] += pipe.recv()
    print(f"U2-Net-p on {cores} cores, ONNX Runtime {onnxruntime.__version__}, milliseconds a run")
    if os.getloadavg()[0] > cores + 1:
        print(f"the machine is busy with other things: its load is {os.getloadavg()[0]:.0f}")
    print(f"{'threads':>7}  {'spinning':8}  {'alone':>7}  {'two processes at once':>21}")
    for threads, spinning in settings:
        one, two = (1000 * statistics.median(each[threads, spinning]) for each in (alone, beside))
        print(f"{threads:>7}  {'on' if spinning else 'off':8}  {one:7.0f}  {two:21.0f}")
    for pipe in workers.values():
        pipe.send(0)


if __name__ == "__main__":
    main()
