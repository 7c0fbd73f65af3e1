"""The embedded weights are the ones that NOTICE names, and are checked when loaded."""

import hashlib
from pathlib import Path

import pytest

from tensorhop.services.embedded import weights


@pytest.mark.parametrize("name", weights.DIGESTS)
def test_the_files_are_those_of_the_table_and_of_notice(name: str) -> None:
    (path,) = weights.FOLDER.glob(f"{name}.*")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.DIGESTS[name]
    assert weights.DIGESTS[name] in (weights.FOLDER / "NOTICE").read_text(encoding="utf-8")


def test_together_below_25_mb() -> None:
    assert sum(path.stat().st_size for path in weights.FOLDER.glob("*.onnx")) < 25_000_000


def test_those_of_upscale_and_quality_are_below_700_kb() -> None:
    names = ("upscaler-x2.onnx", "brisque-live.npz")
    assert sum((weights.FOLDER / name).stat().st_size for name in names) < 700_000


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    content = bytearray((weights.FOLDER / "u2netp.onnx").read_bytes())
    content[1_000_000] ^= 1
    damaged = tmp_path / "u2netp.onnx"
    damaged.write_bytes(content)
    with pytest.raises(weights.DamagedWeights, match="has SHA-256"):
        weights.read(damaged, weights.DIGESTS[weights.U2NETP])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(weights.DamagedWeights, match=r"gone\.onnx cannot be read"):
        weights.read(tmp_path / "gone.onnx", "")


def test_loading_goes_through_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "u2netp.onnx").write_bytes(b"something else")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(weights.DamagedWeights):
        weights._session.__wrapped__(weights.U2NETP)


def test_one_session_a_process() -> None:
    assert weights.session(weights.U2NETP) is weights.session(weights.U2NETP)


def test_digest_of_one_is_the_file_and_of_several_their_own() -> None:
    one, other = weights.DIGESTS[weights.U2NETP], weights.DIGESTS[weights.EFFICIENTNET_LITE0]
    assert weights.digest(weights.U2NETP) == one
    both = weights.digest(weights.U2NETP, weights.EFFICIENTNET_LITE0)
    assert both == hashlib.sha256((one + other).encode()).hexdigest()
