"""Every method of the benchmarks brings the same bytes back, and the rows have the shape that was promised."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench_peers.methods import peer_methods
from bench_wire import mixed, soak
from tensorhop.orchestrator.bench import chain, hop
from tensorhop.orchestrator.bench.cli import bench
from tensorhop.orchestrator.bench.method import Method, client
from tensorhop.orchestrator.bench.payload import PAYLOADS, Payload
from tensorhop.orchestrator.bench.process import Process, processes
from tensorhop.orchestrator.bench.table import rows_of, show

TINY = Payload("tiny", "uint8", (160, 160, 3))  # large enough for shared memory
FLOATS = Payload("floats", "float32", (80, 80, 3))
OTHERS = peer_methods(lambda text: None)


def test_an_answer_that_differs_is_noticed() -> None:
    with client(Method("wrong", wrong_echo)) as turn, pytest.raises(ValueError, match="wrong did not bring"):
        turn(TINY, True)


def test_every_method_brings_the_same_bytes_back_and_has_a_row() -> None:
    rows = hop.hop([TINY, FLOATS], 1, OTHERS)  # it compares what comes back while it warms up
    names = [method.name for method in (*hop.METHODS, *OTHERS)]
    assert [row["method"] for row in rows if row["payload"] == "tiny"] == names
    for row in rows:
        assert list(row) == ["payload", "method", "median_ms", "to_memcpy", "to_stock"]
        assert row["median_ms"] > 0
    assert rows[0]["to_memcpy"] == rows[1]["to_stock"] == 1


def test_rows_of_a_chain(cat: np.ndarray) -> None:
    rows = chain.chain([TINY], 1, cat[:64, :64])  # a piece of plain fur: nothing to cut out, and so soon done
    assert [row["method"] for row in rows] == ["stock", "tcp", "shm", "shm-read", "empty", "memcpy"]
    assert rows[4]["less_empty_to_memcpy"] == 0
    for row in rows[:4]:
        assert list(row)[:5] == ["payload", "method", "median_ms", "to_stock", "less_empty_to_memcpy"]
        assert list(row)[5:] == ["pipeline_ms", "of_pipeline"]
        assert 0 < row["of_pipeline"] < 1


def test_rows_of_mixed_calls() -> None:
    rows = mixed.mixed(TINY, 1, seconds=0.1)
    assert [row["connections"] for row in rows] == ["shared", "two"]
    assert list(rows[0]) == ["payload", "connections", "calls", "p50_ms", "p99_ms", "to_shared"]
    assert rows[0]["to_shared"] == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("method", ["tcp", "shm"])
def test_a_soak_tells_the_memory(method: str) -> None:
    said: list[dict] = []
    row = soak.soak(TINY, 1, 2, method, said.append)
    assert row["calls"] > 0
    assert 0 < row["first_mib"] <= row["max_mib"]
    assert said


def test_nothing_is_left_in_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORHOP_SHM_DIR", str(tmp_path))  # for the processes that it starts
    hop.measure([method for method in hop.METHODS if method.name == "shm"], [TINY], 1)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named() -> None:
    said: list[str] = []
    peer_methods(said.append)
    assert ("flask" in " ".join(said)) == (find_spec("flask") is None)


def test_a_process_ends_with_its_pipe_and_tells_of_faults() -> None:
    process = Process(client, Method("wrong", wrong_echo))
    assert process.answer() is None
    with pytest.raises(RuntimeError, match="ValueError: wrong did not bring"):
        process.ask(TINY, True)
    process.close()
    with pytest.raises(RuntimeError, match="cannot listen"), processes() as start:
        start(hop.product.serve, "127.0.0.1:1:1").answer()


def test_rows_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of({"tiny": {"stock": [0.002, 0.001, 0.004], "tcp": [0.001]}}, ("stock", "memcpy"))
    show(rows, "title", as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"payload": "tiny", "method": "stock", "median_ms": 2, "to_stock": 1, "to_memcpy": None},
        {"payload": "tiny", "method": "tcp", "median_ms": 1, "to_stock": 0.5, "to_memcpy": None},
    ]
    show(rows, "title", as_json=False)
    assert "median_ms" in capsys.readouterr().out


def test_payloads_have_the_sizes_in_their_names() -> None:
    assert [round(payload.nbytes / 1e6, 2) for payload in PAYLOADS.values()] == [0.15, 3, 12.58, 36]
    for payload in (TINY, FLOATS):
        array = payload.make()
        assert (array.dtype, array.shape, array.nbytes) == (payload.dtype, payload.shape, payload.nbytes)


def test_an_unknown_payload_is_refused() -> None:
    answer = CliRunner().invoke(bench, ["hop", "--payload", "1GB"])
    assert answer.exit_code == 2
    assert "150KB, 3MB, 12.6MB, 36MB" in answer.output


def wrong_echo():
    from contextlib import nullcontext

    return nullcontext(lambda array: array + 1)
