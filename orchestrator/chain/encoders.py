"""How many pictures are encoded at once."""

from tensorhop.cpu_count import cpu_count
from tensorhop.rpc.fairness.turns import FairSemaphore

# Pictures of all requests that are encoded at once: on more threads than cores it is no faster, and the thread that
# takes calls would wait for its turn until gRPC cancels what it did not take for 30 s. Callers take turns.
ENCODERS = FairSemaphore(cpu_count())
