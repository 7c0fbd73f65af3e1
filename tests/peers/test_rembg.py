"""Beside the package rembg, on the same network and photos: `make test-rembg`.

rembg stretches every mask to the full range, which invents objects where nothing is. Its session is run as it is, with
that step taken back by the range of its network's answer.
"""

from pathlib import Path

import numpy as np
import pytest

rembg = pytest.importorskip("rembg")

import onnxruntime  # noqa: E402
from PIL import Image  # noqa: E402
from rembg.sessions.u2net_custom import U2netCustomSession  # noqa: E402

from tensorhop.models.sources import ModelChoice, ModelSource  # noqa: E402
from tensorhop.services.segment.onnx import OnnxSegmenter  # noqa: E402
from tensorhop.values.geometry import Box  # noqa: E402

ROOT = Path(__file__).parents[2]
NETWORK = ROOT / "services" / "embedded" / "weights" / "u2netp.onnx"
PHOTOS = sorted((ROOT / "examples" / "photos").glob("*.jpg"))


class Watched:
    """rembg's session of ONNX Runtime, which remembers the range of the last answer."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.low = self.high = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    def run(self, *arguments: object) -> list[np.ndarray]:
        answers = self._session.run(*arguments)
        self.low, self.high = float(answers[0].min()), float(answers[0].max())
        return answers


@pytest.fixture(scope="module")
def theirs() -> U2netCustomSession:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("U2NET_HOME", str(NETWORK.parent))  # it reads models from its own folders only
        session = U2netCustomSession("u2net_custom", onnxruntime.SessionOptions(), model_path=str(NETWORK))
    session.inner_session = Watched(session.inner_session)
    return session


@pytest.fixture(scope="module")
def ours() -> OnnxSegmenter:
    return OnnxSegmenter(ModelSource(ModelChoice(str(NETWORK)), "onnx", NETWORK))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_whole_photo_agrees_to_a_255th(path: Path, theirs: U2netCustomSession, ours: OnnxSegmenter) -> None:
    picture = Image.open(path).convert("RGB")
    (stretched,) = theirs.predict(picture)
    watched = theirs.inner_session
    unstretched = watched.low * 255 + np.asarray(stretched, np.float64) * (watched.high - watched.low)
    photo = np.asarray(picture)
    (mask,) = ours.predict([photo], [Box(0, 0, picture.width, picture.height)])
    found = np.zeros(photo.shape[:2])
    found[mask.region.slices] = mask.alpha
    difference = np.abs(found - unstretched).mean()
    print(f"{path.stem}: mean difference {difference:.2f} of 255; answers {watched.low:.4f} to {watched.high:.4f}")
    assert difference < 1
