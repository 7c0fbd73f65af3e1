"""A service is one proto and one folder, or an installed package: each is served, found, asked, batched and refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_tools import protoc
from waiting import GUARD

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROTO = """syntax = "proto3";

package {package};

// Counts letters.
service ToyService {{
  // The length of a word.
  rpc Measure(MeasureRequest) returns (MeasureResponse);
  // The letters of a word, one by one.
  rpc Spell(SpellRequest) returns (stream SpellResponse);
}}

message MeasureRequest {{
  string word = 1;
}}

message MeasureResponse {{
  int32 letters = 1;
  // How many words went to the model together.
  int32 together = 2;
}}

message SpellRequest {{
  string word = 1;
}}

message SpellResponse {{
  string letter = 1;
}}
"""
SERVICE = """from tensorhop.rpc.service import Service

SERVICE = Service(
    name="toy",
    port=50999,
    summary="Count letters.",
    contract="{stubs}.toy_pb2:ToyService",
    servicer="{home}.servicer:ToyServicer",
    models={{"embedded": "{home}.embedded:EmbeddedToy"}},
)
"""
SERVICER = """from tensorhop import Batcher, InvalidInput, Packet, Payloads
from {stubs} import toy_pb2 as pb


class ToyServicer:
    def __init__(self, model):
        self.model = model
        self.batcher = Batcher("toy", lambda words, key: model.predict(words), model.largest_batch)

    def Measure(self, packet, context):
        if not packet.message.word:
            raise InvalidInput("word", "is empty; give a word")
        letters, together = self.batcher.one(packet.message.word, None, context.add_callback)
        return Packet(pb.MeasureResponse(letters=letters, together=together), Payloads())

    def Spell(self, packet, context):
        for letter in packet.message.word:
            yield Packet(pb.SpellResponse(letter=letter), Payloads())
"""
EMBEDDED = """import time


class EmbeddedToy:
    name, revision, digest, largest_batch = "embedded", "1", "0" * 64, 8

    def warm_up(self):
        pass

    def predict(self, words):
        time.sleep(0.2)
        return [(len(word), len(words)) for word in words]
"""
MAIN = """import typer

from {home}.service import SERVICE
from tensorhop.serving.command import serve_command

if __name__ == "__main__":
    typer.run(serve_command(SERVICE))
"""


@dataclass
class Added:
    """An environment in which the toy is a service."""

    path: list[Path]  # of Python
    package: str  # of its proto
    module: str  # that serves it, too

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-P", "-m", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, self.path))}

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[None]:
        command = [sys.executable, "-P", "-m", *arguments]
        with subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if "serves" in line or "ready" in line:
                    break
            else:
                pytest.fail("".join(said))
            yield
            process.terminate()
            process.communicate(timeout=GUARD)


def write(folder: Path, stubs: str, home: str) -> None:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Counts letters."""\n')
    (folder / "service.py").write_text(SERVICE.format(stubs=stubs, home=home))
    (folder / "servicer.py").write_text(SERVICER.format(stubs=stubs))
    (folder / "embedded.py").write_text(EMBEDDED)
    (folder / "__main__.py").write_text(MAIN.format(home=home))


@pytest.fixture(scope="module")
def in_the_repository(tmp_path_factory: pytest.TempPathFactory) -> Added:
    """A copy of this repository with one more proto and one more folder."""
    copy = tmp_path_factory.mktemp("repository")
    ignored = shutil.ignore_patterns("__pycache__", "v1", "orchestrator", "services", "web")
    shutil.copytree(ROOT / "tensorhop", copy / "tensorhop", ignore=ignored)
    for folder in ("orchestrator", "services", "web", "protos"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hatch_build.py", copy)
    (copy / "protos/tensorhop/v1/toy.proto").write_text(PROTO.format(package="tensorhop.v1"))
    write(copy / "services/toy", "tensorhop.v1", "tensorhop.services.toy")
    subprocess.run([sys.executable, "hatch_build.py"], cwd=copy, check=True)
    return Added([copy], "tensorhop.v1", "tensorhop.services.toy")


def install(folder: Path, package: str, points: dict[str, str]) -> None:
    """What pip leaves of an installed package: how its entry points are found."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[tensorhop.services]\n{lines}")


@pytest.fixture(scope="module")
def as_a_package(tmp_path_factory: pytest.TempPathFactory) -> Added:
    """A package of somebody else's, with a contract of its own."""
    site, protos = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("protos")
    write(site / "acme_toy", "acme_toy", "acme_toy")
    (protos / "acme_toy").mkdir()
    (protos / "acme_toy/toy.proto").write_text(PROTO.format(package="acme.v1"))
    assert protoc.main(["protoc", f"-I{protos}", f"--python_out={site}", str(protos / "acme_toy/toy.proto")]) == 0
    install(site, "acme_toy", {"toy": "acme_toy.service:SERVICE"})
    return Added([site], "acme.v1", "acme_toy")


@pytest.fixture(params=["in_the_repository", "as_a_package"])
def added(request: pytest.FixtureRequest) -> Added:
    return request.getfixturevalue(request.param)


def test_the_command_line_knows_it(added: Added) -> None:
    told = added.run("tensorhop.orchestrator", "serve", "--help")
    assert "Count letters." in told.stdout, told.stderr
    assert "toy" in added.run("tensorhop.orchestrator", "models", "list").stdout
    assert "--toy" in added.run("tensorhop.orchestrator", "status", "--help").stdout
    wrong = added.run("tensorhop.orchestrator", "serve", "toy", "--model", "nonsense")
    assert wrong.returncode == 2
    assert "embedded" in wrong.stderr


@pytest.mark.parametrize("how", ["serve", "module", "up", "one process"])
def test_it_serves(added: Added, how: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/toy"
    command = {
        "serve": ["tensorhop.orchestrator", "serve", "toy", "--listen", address],
        "module": [added.module, "--listen", address],
        "up": ["tensorhop.orchestrator", "up", "--host", "127.0.0.12", "--only", "toy"],
        "one process": ["tensorhop.orchestrator", "up", "--host", "127.0.0.13", "--only", "toy", "--one-process"],
    }[how]
    address = {"up": "127.0.0.12:50999", "one process": "127.0.0.13:50999"}.get(how, address)
    with added.serving(*command), grpc.insecure_channel(address) as channel:
        ask(added, channel)
        status = added.run("tensorhop.orchestrator", "status", "--only", "toy", "--toy", address, "--json")
        assert status.returncode == 0, status.stderr
        (found,) = json.loads(status.stdout)["services"]
        assert (found["service"], found["health"], found["model"]["name"]) == ("toy", "SERVING", "embedded")
        assert found["queue"] == {"waiting": 0, "most": 512}


def ask(added: Added, channel: grpc.Channel) -> None:
    """Health, reflection, both methods, batching, and a refusal; as a client that has only gRPC."""
    name = f"{added.package}.ToyService"
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    (listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([question]), timeout=10)
    assert name in {one.name for one in listed.list_services_response.service}

    def word(text: str) -> bytes:
        return b"\x0a" + bytes([len(text)]) + text.encode() if text else b""

    measure = channel.unary_unary(f"/{name}/Measure")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: measure(word(text), timeout=20), ["a", "abc", "ab", "abcd"]))
    assert [answer[:2] for answer in answers] == [b"\x08\x01", b"\x08\x03", b"\x08\x02", b"\x08\x04"]
    assert max(answer[3] for answer in answers) > 1, "some went together"
    spelled = channel.unary_stream(f"/{name}/Spell")(word("abc"), timeout=10)
    assert list(spelled) == [word("a"), word("b"), word("c")]
    with pytest.raises(grpc.RpcError) as caught:
        measure(b"", timeout=10)
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "word is empty; give a word",
    )
    (detail,) = [value for key, value in caught.value.trailing_metadata() if key == "grpc-status-details-bin"]
    assert b"toy" in status_pb2.Status.FromString(detail).details[0].value


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ('name="detect", port=50998', "two services are named detect: one of tensorhop, one of the package acme_b"),
        ('name="http", port=50998', "two services are named http: one of tensorhop, one of the package acme_b"),
        ('name="other", port=50052', "have port 50052: detect of tensorhop, and other of the package acme_b"),
        ('name="other", port=8080', "have port 8080: http of tensorhop, and other of the package acme_b"),
        ('name="acme-toy", port=50998', "a service of the package acme_b is named 'acme-toy'; a name has lower-case"),
        ('name="class", port=50998', "a service of the package acme_b is named 'class'; a name has lower-case"),
        ('name="else", port=50998', "is not a Service named 'other'"),
    ],
)
def test_two_of_one_name_or_port_are_refused(tmp_path: Path, service: str, said: str) -> None:
    text = f"from tensorhop import Service\nSERVICE = Service({service}, contract='x', servicer='y')\n"
    (tmp_path / "acme_b.py").write_text(text)
    name = service.split('"')[1]
    install(tmp_path, "acme_b", {"other" if name == "else" else name: "acme_b:SERVICE"})
    refused = Added([tmp_path], "", "").run("tensorhop.orchestrator", "status")
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme_c.py").write_text("import no_such_library\n")
    install(tmp_path, "acme_c", {"other": "acme_c:SERVICE"})
    refused = Added([tmp_path], "", "").run("tensorhop.orchestrator", "up", "--help")
    assert refused.returncode == 2
    assert "the service other of the package acme_c cannot be imported" in " ".join(refused.stderr.split())
    assert "no_such_library" in refused.stderr


def test_names_and_ports_come_without_any_library() -> None:
    code = "import sys; from tensorhop.rpc.registry import ports; ports(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "cv2", "grpc", "onnxruntime", "google.protobuf"} & set(loaded)
