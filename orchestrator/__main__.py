"""python -m orchestrator: the same as `tensorhop`."""

from tensorhop.orchestrator.cli import main

if __name__ == "__main__":
    main()
