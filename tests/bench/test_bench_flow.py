"""The benchmarks of the whole chain: both sides do the same work, and the rows have the shape that was promised."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from bench_chain import batching, growth, pipeline, pipelines, throughput, versions
from bench_chain.load import Load, under_load
from bench_chain.monolith import Monolith
from bench_chain.plot import growth_svg
from bench_chain.simulated import (
    MODELS,
    SimulatedDescriber,
    SimulatedDetector,
    SimulatedSegmenter,
    cells,
    ellipse,
)
from bench_chain.turn import Want, timed
from bench_commands import bench
from bench_peers.redis_queue import server_path
from bench_traffic import traffic
from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.settings import use_settings
from tensorhop.values.geometry import Box, Region
from tensorhop.values.images.png import encode_png
from tensorhop.values.output_options import Output

SIMULATED = {
    "describe": SimulatedDescriber,
    "detect": partial(SimulatedDetector, 4),
    "segment": SimulatedSegmenter,
}


class Here:
    """A benchmark's process that is none: its job runs in this one, which is a hundred times cheaper to start."""

    pid = os.getpid()

    def __init__(self, made: object) -> None:
        self.made = made

    def answer(self) -> object:
        return self.made

    def ask(self, *question: object) -> object:
        assert callable(self.made)
        return self.made(*question)


@contextmanager
def here() -> Iterator[Callable[..., Here]]:
    with ExitStack() as stack:
        yield lambda job, *args: Here(stack.enter_context(job(*args)))


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (pipeline, pipelines, throughput, batching, growth, traffic):
        monkeypatch.setattr(module, "processes", here)
    yield
    use_settings(None)  # a job sets them


ROOT = Path(__file__).parents[2]

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def test_the_monolith_makes_the_files_that_the_pipeline_makes(client: PipelineClient, cat: np.ndarray) -> None:
    want = Want(boxes=[Box(20, 10, 420, 300)])
    (file,) = Monolith({}).process(encode_png(cat), want)
    events = list(client.process(cat, boxes=want.boxes, output=Output("png")))
    assert events[1].file == file


def test_the_monolith_goes_the_whole_way(cat: np.ndarray) -> None:
    files = list(Monolith(SIMULATED).process(encode_png(cat), Want(most=3, finish={"shadow": "none"})))
    assert len(files) == 3
    assert len(set(files)) == 3


def test_rows_of_a_pipeline(coffee: np.ndarray) -> None:
    rows = pipeline.pipeline(coffee[::4, ::4], 1, [4], embedded=False)
    assert [(row["method"], row["objects"]) for row in rows] == [("monolith", 4), ("pipeline", 4)]
    assert rows[0]["to_monolith"] == rows[0]["first_to_monolith"] == 1
    for row in rows:
        assert 0 < row["first_median_ms"] < row["median_ms"]


@pytest.mark.skipif(find_spec("flask") is None, reason="Flask comes with tools/bench/requirements.txt")
def test_rows_of_throughput(cat: np.ndarray) -> None:
    rows = throughput.throughput([cat[::4, ::4]], 1, callers=2, requests=3, models=SIMULATED)
    assert [(row["payload"], row["method"]) for row in rows] == [
        (payload, method) for payload in throughput.PAYLOADS for method in ("flask", "pipeline")
    ]
    assert rows[0]["to_flask"] == 1
    assert all(row["photos_a_second"] > 0 for row in rows)


@linux
def test_rows_of_pipelines(coffee: np.ndarray) -> None:
    rows = pipelines.pipelines(coffee, 1, callers=2, requests=4, counts=(1, 2))
    measured = [(row["payload"], row["pipelines"]) for row in rows if "from_cache" not in row]
    assert measured == [("tensor", 1), ("tensor", 2), ("png", 1), ("png", 2)]
    assert all(row["photos_a_second"] > 0 for row in rows if "from_cache" not in row)


@linux
@pytest.mark.skipif(server_path() is None, reason="there is no redis-server")
def test_traffic_counts_the_photo_in_pools_a_reference_in_a_lane_and_the_commands_of_redis(coffee: np.ndarray) -> None:
    network, redis, seconds = traffic.traffic(coffee, 1, sizes=[(300, 200)], objects=[1], idle_seconds=0.01).values()
    lane, pools = (row for row in network if row["objects"] == 1)
    assert lane["describe_to"] < 10
    assert lane["caller_to"] == pools["caller_to"] > 5
    for step in ("describe", "detect", "segment"):
        assert 180 <= pools[f"{step}_to"] < 182, "3 bytes a pixel"
    assert pools["postprocess_to"] >= 15 * 4, "a quarter of the pixels, with their mask"
    assert [(row["new"], row["again"]) for row in redis] == [(9, 3)] * 2
    assert all(15 <= row["new_to"] < 17 and 15 <= row["again_back"] < 17 for row in redis), "the mask"
    assert all(row["postprocess"] > 0 for row in seconds)


@pytest.mark.skipif(find_spec("flask") is not None, reason="Flask is there")
def test_a_missing_flask_is_named() -> None:
    answer = CliRunner().invoke(bench, ["throughput"])
    assert answer.exit_code == 2
    assert "Flask" in answer.output


def test_a_third_is_repeated_and_the_rest_is_different(cat: np.ndarray) -> None:
    crops = throughput.different([cat[:40], cat[40:80]])
    work = [next(crops) for _ in range(9)]
    assert len(set(work)) == 9
    again = throughput.repeated(list(work), 3)
    assert len(set(again)) == 6
    assert [index for index in range(9) if again[index] != work[index]] == [2, 5, 8]


def test_rows_of_batching() -> None:
    rows = batching.batching(1, callers=(1, 4), calls=2, least=2, services=["segment"])
    assert [(row["payload"], row["method"]) for row in rows] == [
        (f"segment, {count} callers", method) for count in (1, 4) for method in ("unbatched", "batched")
    ]
    assert rows[2]["throughput_to_unbatched"] == 1
    assert all(row["p50_ms"] >= 20 for row in rows)  # a launch


@linux
def test_rows_of_growth_and_their_plot(cat: np.ndarray) -> None:
    rows = list(growth.growth(cat[::4, ::4], 1, [1, 2], [0.1, 0.2], [1, 3], requests=2, models=MODELS))
    assert [(row["payload"], row["point"]) for row in rows] == [
        ("megapixels", 0.1),
        ("megapixels", 0.2),
        ("objects", 1),
        ("objects", 2),
        ("callers", 1),
        ("callers", 3),
    ]
    assert all(row["photo_ms"] > 0 and row["peak_mib"] > 50 for row in rows)
    picture = ElementTree.fromstring(growth_svg(rows))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 9


def test_all_work_is_done_once_and_a_fault_is_told() -> None:
    done: list[int] = []
    load = under_load(done.append, range(20), 4)
    assert sorted(done) == list(range(20))
    assert len(load.each) == 20
    with pytest.raises(ZeroDivisionError):
        under_load(lambda piece: 1 // piece, [1, 0, 1], 2)


def test_a_caller_begins_nothing_that_would_not_be_done_in_time() -> None:
    load = under_load(lambda piece: time.sleep(0.05), range(1000), 2, most_seconds=0.2)
    assert 2 <= len(load.each) <= 8
    assert load.rate == len(load.each) / load.seconds
    assert len(under_load(time.sleep, [0.001] * 9, 3, most_seconds=0).each) == 3  # the first of each


def test_throughput_out_of_time_counts_a_photo_of_one_caller_and_leaves_the_rest_out(cat: np.ndarray) -> None:
    pytest.importorskip("flask")
    rows = throughput.throughput([cat[::4, ::4]], 1, callers=2, requests=50, seconds=0, models=SIMULATED)
    assert [(row["payload"], row["callers"], row["photos"]) for row in rows] == [("all different", 1, 1)] * 2


def test_percentiles() -> None:
    load = Load(1.0, [float(value) for value in range(100, 0, -1)])
    assert [load.percentile(percent) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]


def test_a_photo_without_an_object_is_not_timed() -> None:
    with pytest.raises(ValueError, match="no object"):
        timed([])


def test_simulated_models_answer_what_was_asked() -> None:
    photo = np.zeros((60, 90, 3), np.uint8)
    assert cells(photo, 3) == [Box(0, 0, 45, 30), Box(45, 0, 90, 30), Box(0, 30, 45, 60)]
    ((detections, _),) = SimulatedDetector(2).predict([photo], [["cup"]])
    assert [(one.label, one.box) for one in detections] == [("cup", box) for box in cells(photo, 2)]
    mask = ellipse(Region(10, 10, 50, 40))
    assert mask.alpha[15, 20] == 255
    assert mask.alpha[0].max() == 0


def test_every_bench_has_a_make_target() -> None:
    targets = re.findall(r"^bench-([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    commands = [str(command.name) for command in bench.registered_commands]
    assert sorted([*targets, "hop"]) == sorted(commands)  # hop is `make compare-hop`


@linux
def test_the_tool_runs_as_a_folder_and_so_do_its_processes() -> None:
    command = [sys.executable, "tools/bench", "soak", "--seconds", "1", "--payload", "150KB", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60, text=True)
    assert json.loads(done.stdout)["calls"] > 0


def test_versions_take_turns_and_are_told_relative_to_the_first() -> None:
    turns: list[str] = []

    def turn(name: str, *seconds: float) -> Callable[[], dict[str, float]]:
        left = iter(seconds)

        def take() -> dict[str, float]:
            turns.append(name)
            return {"seconds": next(left)}

        return take

    first, second = versions.in_turn({"old": turn("old", 2, 4, 8), "new": turn("new", 1, 3, 4)}, rounds=3)
    assert turns == ["new", "old", "old", "new", "new", "old"]
    assert first == {"version": "old", "seconds": 4, "seconds_ratio": 1}
    assert second == {"version": "new", "seconds": 3, "seconds_ratio": 0.5}
