"""The worker of mosec's server: imported by name in the process that mosec starts for it."""

import pickle
from typing import Any

from mosec import Worker


class EchoWorker(Worker):
    """Takes and gives the bytes of a pickle."""

    def deserialize(self, data: bytes) -> Any:
        return pickle.loads(data)

    def forward(self, data: Any) -> Any:
        return data

    def serialize(self, data: Any) -> bytes:
        return pickle.dumps(data, protocol=5)
