"""`make kubernetes-verify`: starts the containers of deploy/kubernetes in Docker, as the manifests say.

A pod is a container that sleeps, and others in its network. Commands, variables, users, read-only roots, limits,
volumes in memory, secrets, probes and preStop come from what kubectl renders. Names are resolved by a DNS server of our
own, which knows the pods that are ready, as that of Kubernetes does. DOCKER is the command of Docker; the images must
be there.
"""

import argparse
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kubernetes_layouts import Object, render

from tensorhop import PipelineClient
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.channel import info_of

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples/photos/coffee.jpg"
DOCKER = os.environ.get("DOCKER", "docker").split()
IMAGE, PREFIX, DOMAIN = "tensorhop:plain", "tensorhop-verify-", "tensorhop.svc.cluster.local"
PATIENCE = 240.0  # seconds for anything to come up
USER = 10001


class Failed(Exception):
    """What was found wrong."""


def docker(*command: str) -> str:
    """Docker's answer. Raises Failed."""
    done = subprocess.run([*DOCKER, *command], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"docker {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def until(condition: Callable[[], object], what: str, every: float = 0.2) -> float:
    """Seconds until a condition holds, asked every so many seconds. Raises Failed: it did not within PATIENCE."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            raise Failed(f"{what} took more than {PATIENCE:.0f} s")
        time.sleep(every)
    return time.monotonic() - started


def size(quantity: str) -> str:
    """A quantity of memory in Docker's words: 1Gi is 1g there."""
    return quantity.lower().removesuffix("i")


def cpus(quantity: str) -> float:
    wanted = float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
    return min(wanted, float(os.cpu_count() or 1))


class Pod:
    """One replica of a Deployment."""

    def __init__(self, cluster: "Cluster", deployment: Object, number: int) -> None:
        self.deployment = deployment["metadata"]["name"]
        self.name = f"{PREFIX}{self.deployment}-{number}"
        self.labels = deployment["spec"]["template"]["metadata"]["labels"]
        self._cluster, self._spec = cluster, deployment["spec"]["template"]["spec"]
        self.containers = {one["name"]: one for one in self._spec["containers"]}
        self.ready = False
        dns = ["--dns", cluster.dns, "--dns-search", DOMAIN, "--dns-option", "ndots:5"] if cluster.dns else []
        sleeper = ["--entrypoint", "sleep", IMAGE, "infinity"]
        docker("run", "--detach", "--name", self.name, "--user", str(USER), *dns, *sleeper)
        self.ip = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.name)
        self._mounts = {one["name"]: self._volume(one) for one in self._spec.get("volumes", ())}
        for one in self.containers.values():
            self._start(one)

    def container(self, name: str) -> str:
        return f"{self.name}-{name}"

    def _volume(self, volume: Object) -> str:
        """What Docker mounts for a volume."""
        if "secret" in volume:
            return str(self._cluster.secret(volume["secret"]))
        name = f"{self.name}-{volume['name']}"
        # As Kubernetes makes an emptyDir with an fsGroup.
        options = f"size={size(volume['emptyDir']['sizeLimit'])},mode=2777,gid={USER}"
        kind = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o={options}"]
        docker("volume", "create", "--driver", "local", *kind, name)
        return name

    def _start(self, one: Object) -> None:
        pod, own, limits = self._spec["securityContext"], one["securityContext"], one["resources"]["limits"]
        command = ["run", "--detach", "--name", self.container(one["name"]), "--network", f"container:{self.name}"]
        command += ["--user", f"{pod['runAsUser']}:{pod['runAsGroup']}", "--pids-limit", "512"]
        command += ["--cpus", str(cpus(limits["cpu"])), "--memory", size(limits["memory"])]
        command += ["--read-only"] if own["readOnlyRootFilesystem"] else []
        command += ["--security-opt", "no-new-privileges"] if not own["allowPrivilegeEscalation"] else []
        command += [f"--cap-drop={capability}" for capability in own["capabilities"]["drop"]]
        for variable in one.get("env", ()):
            command += ["--env", f"{variable['name']}={variable['value']}"]
        for mount in one.get("volumeMounts", ()):
            command += [
                "--volume",
                f"{self._mounts[mount['name']]}:{mount['mountPath']}" + ":ro" * mount.get("readOnly", False),
            ]
        program, *more = one.get("command", [""])
        command += ["--entrypoint", program] if program else []
        docker(*command, one["image"], *more, *one.get("args", ()))

    def probe(self, name: str, kind: str) -> str:
        """Run one probe of a container, as the kubelet does. Why it fails; "" if it succeeds."""
        probe = self.containers[name][kind]
        timeout = probe.get("timeoutSeconds", 1)
        try:
            if "grpc" in probe:
                with grpc.insecure_channel(f"{self.ip}:{probe['grpc']['port']}") as channel:
                    asked = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
                    status = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=timeout).status
                return "" if status == health_pb2.HealthCheckResponse.SERVING else f"status {status}"
            if "exec" in probe:
                command = [*DOCKER, "exec", self.container(name), *probe["exec"]["command"]]
                done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)
                return "" if done.returncode == 0 else done.stderr or done.stdout or "no words"
            ports = {one["name"]: one["containerPort"] for one in self.containers[name]["ports"]}
            if "tcpSocket" in probe:
                connection = http.client.HTTPConnection(self.ip, ports[probe["tcpSocket"]["port"]], timeout=timeout)
                connection.connect()
                return ""
            asked = probe["httpGet"]
            port = ports[asked["port"]]
            if asked.get("scheme") == "HTTPS":  # without a look at the certificate, as the kubelet
                context = ssl._create_unverified_context()
                connection = http.client.HTTPSConnection(self.ip, port, timeout=timeout, context=context)
            else:
                connection = http.client.HTTPConnection(self.ip, port, timeout=timeout)
            connection.request("GET", asked["path"])
            answer = connection.getresponse()
            return "" if answer.status == 200 else f"{answer.status} {answer.read()[:200]!r}"
        except (OSError, grpc.RpcError, subprocess.TimeoutExpired) as error:
            return str(error)[:300]

    def wait_ready(self) -> None:
        """Until every container's startup and readiness probes succeed; then its liveness probe must."""
        for name in self.containers:
            for kind in ("startupProbe", "readinessProbe"):
                every = self.containers[name][kind].get("periodSeconds", 10)
                what = f"{kind} of {self.container(name)}"
                until(lambda name=name, kind=kind: not self.probe(name, kind), what, every)  # type: ignore[misc]
            tries = self.containers[name]["livenessProbe"].get("failureThreshold", 3)
            reasons = [reason for _ in range(tries) if (reason := self.probe(name, "livenessProbe"))]
            if len(reasons) == tries:  # then the kubelet would restart it
                raise Failed(f"livenessProbe of {self.container(name)}: {reasons}")
        self.ready = True
        self._cluster.publish()

    def terminate(self) -> None:
        """As Kubernetes ends a pod: out of the names, preStop, SIGTERM, and SIGKILL after the grace period."""
        self.ready = False
        self._cluster.publish()
        ends = time.monotonic() + self._spec["terminationGracePeriodSeconds"]
        threads = [threading.Thread(target=self._stop, args=(name, ends)) for name in self.containers]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def _stop(self, name: str, ends: float) -> None:
        container = self.container(name)
        docker("exec", container, *self.containers[name]["lifecycle"]["preStop"]["exec"]["command"])
        docker("stop", "--time", str(max(1, int(ends - time.monotonic()))), container)
        code = docker("inspect", "--format", "{{.State.ExitCode}}", container)
        if code != "0":
            self._cluster.problems.append(f"{container} ended with {code}")


class Cluster:
    """The pods of a rendered layout, and the names of its Services."""

    def __init__(self, objects: list[Object], folder: Path) -> None:
        self._objects, self._folder = objects, folder
        self.pods: list[Pod] = []
        self.problems: list[str] = []
        self.dns = ""
        self._publishing = threading.Lock()
        self._secrets = self._make_secrets()
        (folder / "dns").mkdir()
        folder.chmod(0o755)
        self._records = folder / "dns" / "records.json"
        self._records.write_text("{}")
        name, program = f"{PREFIX}dns", "/tools/dns_server.py"
        volumes = ["--volume", f"{ROOT / 'tools'}:/tools:ro", "--volume", f"{folder / 'dns'}:/dns:ro"]
        docker(
            "run", "--detach", "--name", name, *volumes, "--entrypoint", "python", IMAGE, program, "/dns/records.json"
        )
        self.dns = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)

    def named(self, kind: str, name: str) -> Object:
        (found,) = (one for one in self._objects if (one["kind"], one["metadata"]["name"]) == (kind, name))
        return found

    def start(self, deployment: str) -> Pod:
        """One more replica."""
        pod = Pod(self, self.named("Deployment", deployment), len(self.pods))
        self.pods.append(pod)
        return pod

    def start_all(self) -> None:
        """One replica of each Deployment, all at once, as Kubernetes does."""
        for one in self._objects:
            if one["kind"] == "Deployment":
                self.start(one["metadata"]["name"])
        waiting = [threading.Thread(target=self._wait, args=(pod,)) for pod in self.pods]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        if self.problems:
            raise Failed("; ".join(self.problems))

    def _wait(self, pod: Pod) -> None:
        try:
            pod.wait_ready()
        except Failed as error:
            self.problems.append(str(error))

    def publish(self) -> None:
        """Tell DNS which pods are ready."""
        with self._publishing:
            self._publish()

    def _publish(self) -> None:
        records = {}
        for one in self._objects:
            if one["kind"] == "Service":
                selector = one["spec"]["selector"].items()
                ips = [pod.ip for pod in self.pods if pod.ready and selector <= pod.labels.items()]
                if ips:
                    records[f"{one['metadata']['name']}.{DOMAIN}"] = ips
        fresh = self._records.with_suffix(".new")
        fresh.write_text(json.dumps(records))
        fresh.replace(self._records)

    def _make_secrets(self) -> dict[str, Path]:
        """What cert-manager makes of the Certificates, and the Secret of the tokens."""
        authority, found = trustme.CA(key_type=trustme.KeyType.ECDSA), {}
        contents: dict[str, dict[str, bytes]] = {"tokens": {"tokens": b"a-token-of-the-test\n"}}
        for one in self._objects:
            if one["kind"] == "Certificate" and not one["spec"].get("isCA"):
                pair = authority.issue_cert(*one["spec"]["dnsNames"], key_type=trustme.KeyType.ECDSA)
                chain = b"".join(pem.bytes() for pem in pair.cert_chain_pems)
                key, ca = pair.private_key_pem.bytes(), authority.cert_pem.bytes()
                contents[one["spec"]["secretName"]] = {"tls.crt": chain, "tls.key": key, "ca.crt": ca}
        for name, files in contents.items():
            found[name] = self._folder / name
            found[name].mkdir()
            for file, content in files.items():
                (found[name] / file).write_bytes(content)
        return found

    def secret(self, source: Object) -> Path:
        """The folder of a Secret, with the mode that the volume has."""
        folder = self._secrets[source["secretName"]]
        for file in folder.iterdir():
            file.chmod(source["defaultMode"])
            os.chown(file, 0, USER)
        return folder

    @property
    def secure(self) -> bool:
        return "tls-http" in self._secrets

    def photo(self, *options: str) -> dict[str, Any]:
        """The summary of a photo, sent by a client in a container. Raises Failed."""
        dns = ["--dns", self.dns, "--dns-search", DOMAIN, "--dns-option", "ndots:5"]
        command = ["run", "--rm", "--user", f"{USER}:{USER}", *dns, "--volume", f"{PHOTO}:/photo.jpg:ro"]
        if self.secure:
            for name in ("tls-http", "tokens"):
                command += ["--volume", f"{self.secret({'secretName': name, 'defaultMode': 0o440})}:/{name}:ro"]
            files = {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
            options += tuple(f"--tls-{option}=/tls-http/{file}" for option, file in files.items())
            options += ("--token-file=/tokens/tokens",)
        endpoint = "--endpoint=dns:///pipeline:50050"
        said = docker(*command, IMAGE, "run", "/photo.jpg", endpoint, "--json", "-o", "/tmp/out", *options)
        rows = [json.loads(line) for line in said.splitlines()]
        if not any(row["event"] == "object" for row in rows):
            raise Failed(f"no cut-out: {said}")
        summary: dict[str, Any] = rows[-1]
        return summary


@contextmanager
def cluster(layout: str, *components: str) -> Iterator[Cluster]:
    """A layout in Docker, all of it ready; removed at the end."""
    remove()
    folder = Path(tempfile.mkdtemp(prefix="tensorhop-kubernetes-"))
    try:
        running = Cluster(render(layout, components), folder)
        started = time.monotonic()
        running.start_all()
        title = " with ".join([layout, *components[:1]])
        print(f"{title}: all pods were ready after {time.monotonic() - started:.1f} s", flush=True)
        yield running
    except Failed:
        for name in docker("ps", "--all", "--format", "{{.Names}}").split():
            if name.startswith(PREFIX):
                subprocess.run(
                    ["sh", "-c", f"echo '== {name}'; {' '.join(DOCKER)} logs --tail 8 {name} 2>&1"], check=False
                )
        raise
    finally:
        remove()
        shutil.rmtree(folder, ignore_errors=True)


def remove() -> None:
    """Remove the containers and volumes of this tool."""
    for kind, listing in (
        ("container", ["ps", "--all", "--format", "{{.Names}}"]),
        ("volume", ["volume", "ls", "--quiet"]),
    ):
        names = [name for name in docker(*listing).split() if name.startswith(PREFIX)]
        if names:
            subprocess.run([*DOCKER, kind, "rm", "--force", *names], check=False, stdout=subprocess.DEVNULL)


def check_photos(running: Cluster, transport: str) -> None:
    summary = running.photo("--no-cache")
    found = {step["step"]: step["transport"] for step in summary["steps"]}
    if found != dict.fromkeys(PIPELINE.calls, transport):
        raise Failed(f"tensors travelled by {found}, not by {transport}")
    running.photo()
    cached = [step["step"] for step in running.photo()["steps"] if step["cached"]]
    if cached != ["describe", "detect", "segment"]:
        raise Failed(f"Redis had only {cached} of the photo's second run")
    print(
        f"a photo took {summary['seconds']:.1f} s; tensors went by {transport}; the second run came from Redis",
        flush=True,
    )


def check_refusals(running: Cluster) -> None:
    """Nobody gets in without TLS, without a token, or to a service without a certificate."""
    pipeline = next(pod for pod in running.pods if pod.deployment in ("pipeline", "lane"))
    with PipelineClient(f"{pipeline.ip}:50050") as client:
        try:
            list(client.process(PHOTO))
        except Exception as error:
            print(f"without TLS: {str(error)[:100]}", flush=True)
        else:
            raise Failed("the pipeline took a call without TLS")
    for pod in running.pods:
        for name, one in pod.containers.items():
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "grpc" in one[kind]:
                    raise Failed(f"{kind} of {name} is a gRPC probe, which speaks no TLS")


class Load:
    """Photos one after another, by some callers, until it is stopped; their failures."""

    def __init__(self, address: str, callers: int = 2) -> None:
        self.done, self.failures = 0, []  # type: int, list[str]
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(address, index)) for index in range(callers)]
        for one in self._threads:
            one.start()

    def _call(self, address: str, index: int) -> None:
        with PipelineClient(address) as client:
            count = 0
            while not self._ends.is_set():
                count += 1
                box = (100 + index, 50, 400 + count % 150, 350)  # another each time, so that no cache has it
                try:
                    list(client.process(PHOTO, boxes=[box], timeout=120))
                    self.done += 1
                except Exception as error:
                    self.failures.append(str(error))

    def stop(self) -> None:
        self._ends.set()
        for one in self._threads:
            one.join()
        if self.failures:
            raise Failed(f"{len(self.failures)} of {self.done + len(self.failures)} photos failed: {self.failures[0]}")


def calls_of(pod: Pod, port: int) -> int:
    """How many calls a server has answered."""
    with grpc.insecure_channel(f"{pod.ip}:{port}") as channel:
        return int(info_of(channel, 20).calls.ended)


def check_scaling(running: Cluster) -> None:
    """A second replica gets calls within seconds of its readiness; the first is drained, and no photo is lost."""
    pipeline, first = (next(pod for pod in running.pods if pod.deployment == name) for name in ("pipeline", "segment"))
    load = Load(f"{pipeline.ip}:50050")
    until(lambda: load.done > 2, "the first photos")
    second = running.start("segment")
    second.wait_ready()
    seconds = until(lambda: calls_of(second, 50053) > 0, "a call to the new replica")
    print(f"a second replica of segment got its first call {seconds:.1f} s after it was ready", flush=True)
    before = load.done
    first.terminate()
    until(lambda: load.done > before + 4, "photos after the first replica was drained")
    load.stop()
    print(f"the first replica was drained; of {load.done} photos none was lost", flush=True)


def check_lane_drain(running: Cluster) -> None:
    """A lane ends while a photo is in it."""
    lane = next(pod for pod in running.pods if pod.deployment == "lane")
    load = Load(f"{lane.ip}:50050", callers=3)
    until(lambda: load.done > 2, "the first photos")
    ending = threading.Thread(target=lane.terminate)
    ending.start()
    time.sleep(5.5)  # preStop is over: the pipeline drains
    load._ends.set()
    load.stop()
    ending.join()
    print(f"a lane was drained; of {load.done} photos none was lost", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["lane", "pools", "tls"], help="one part of it")
    only = parser.parse_args().only
    try:
        if only in (None, "lane"):
            with cluster("lane") as running:
                check_photos(running, "shared_memory")
                check_lane_drain(running)
        if only in (None, "pools"):
            with cluster("pools") as running:
                check_photos(running, "message")
                check_scaling(running)
        if only in (None, "tls"):
            for layout, transport in (("pools", "message"), ("lane", "shared_memory")):
                with cluster(layout, f"{layout}/tls") as running:
                    check_photos(running, transport)
                    check_refusals(running)
        if running.problems:
            raise Failed("; ".join(running.problems))
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
