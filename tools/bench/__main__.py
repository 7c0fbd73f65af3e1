"""Benches of the chain under load, of large messages and of other people's systems.

python tools/bench COMMAND [--help]; `make help` lists a target for each command.
"""

from bench_commands import bench

if __name__ == "__main__":  # the processes that a bench starts may import this file, too
    bench()
