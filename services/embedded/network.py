"""An embedded network, whose answers the steps of one process share."""

import numpy as np

from tensorhop.models.answers import answer_of
from tensorhop.services.embedded import weights


class Network:
    """An embedded network with one input, by its name in weights.DIGESTS.

    Raises:
        DamagedWeights: as `weights.session` does.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._session = weights.session(name)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """The network's first output for a float32 tensor. Others may share it: it must not be written to."""
        return answer_of(self._name, np.ascontiguousarray(tensor), self._run)

    def _run(self, tensor: np.ndarray) -> np.ndarray:
        return self._session.run([self._output], {self._input: tensor})[0]
