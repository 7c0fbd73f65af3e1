"""deploy/kubernetes agrees with the program. `make test-kubernetes` renders it by kubectl, and knows the schemas."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tensorhop.orchestrator.cli import app
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.rpc.registry import ports
from tensorhop.rpc.server import GRACE_SECONDS
from tensorhop.settings import Settings, variable_of

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FILES = sorted(KUBERNETES.rglob("*.yaml"))
LAYOUTS = ("lane", "pools")
KEYS = ("name", "containerPort", "mountPath")  # by which entries of a list are the same
SETTINGS = {variable_of(name): name for name in Settings.model_fields}
Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge, of what these files use of it."""
    if isinstance(base, dict) and isinstance(patch, dict):
        both = {name: merged(base.get(name), value) for name, value in patch.items() if value is not None}
        return {**{name: value for name, value in base.items() if name not in patch}, **both}
    key = next((one for one in KEYS if isinstance(patch, list) and isinstance(patch[0], dict) and one in patch[0]), "")
    if not isinstance(base, list) or not key:
        return patch
    old = {one[key]: one for one in base}
    return [*(merged(old.pop(one[key], {}), one) for one in patch), *old.values()]


def layout(name: str, *components: str) -> list[Object]:
    """All objects of a layout, with the strategic merges of its components."""
    found: list[Object] = []
    patches: list[tuple[Object, Object]] = []

    def read(folder: Path) -> None:
        plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for resource in plan["resources"]:
            place = (folder / resource).resolve()
            read(place) if place.is_dir() else found.extend(objects(place))
        for patch in plan.get("patches", ()):
            text = patch.get("patch") or (folder / patch["path"]).read_text()
            patches.append((patch["target"], yaml.safe_load(text)))

    for part in (name, *components):
        read(KUBERNETES / part)
    for target, patch in patches:
        for index, one in enumerate(found):
            if isinstance(patch, dict) and is_meant(target, one):
                found[index] = {**merged(one, patch), "metadata": one["metadata"]}
    return found


def is_meant(target: Object, one: Object) -> bool:
    """Whether a patch is for an object."""
    labels = [f"{key}={value}" for key, value in one["metadata"].get("labels", {}).items()]
    return (
        target["kind"] == one["kind"]
        and bool(re.fullmatch(target.get("name", ".*"), one["metadata"]["name"]))
        and target.get("labelSelector") in (None, *labels)
    )


def deployments(found: list[Object]) -> list[Object]:
    return [one for one in found if one["kind"] == "Deployment"]


def containers(found: list[Object]) -> list[tuple[Object, Object]]:
    """Each container with the spec of its pod."""
    pods = [one["spec"]["template"]["spec"] for one in deployments(found)]
    return [(pod, container) for pod in pods for container in pod["containers"]]


def ours(found: list[Object]) -> list[Object]:
    return [one for _, one in containers(found) if one["image"].startswith("tensorhop:")]


def address_of(args: list[str], option: str = "--listen") -> str:
    (found,) = (one.partition("=")[2] for one in args if one.startswith(f"{option}="))
    return found


def accept(args: list[str]) -> None:
    """Parse a command line without running it. Raises typer's UsageError: there is no such command or option."""
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        context = command.make_context(args[0], [], parent=context, resilient_parsing=True)
        (name, *args), group = args, command
        command = group.get_command(context, name)
        assert command is not None, name
    command.make_context("tensorhop", list(args), parent=context)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(KUBERNETES).as_posix())
def test_each_file_is_used_and_holds_objects(path: Path) -> None:
    assert all({"apiVersion", "kind"} <= one.keys() for one in objects(path))
    if path.name != "kustomization.yaml":
        plan = yaml.safe_load((path.parent / "kustomization.yaml").read_text())
        assert path.name in [*plan["resources"], *(one.get("path") for one in plan.get("patches", ()))]


def test_a_merge_is_made_as_kustomize_makes_it() -> None:
    base = {"env": [{"name": "A", "value": "1"}], "probe": {"grpc": {"port": 1}, "periodSeconds": 2}, "args": ["x"]}
    patch = {"env": [{"name": "B", "value": "2"}], "probe": {"grpc": None, "exec": {}}, "args": ["y"]}
    assert merged(base, patch) == {
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
        "probe": {"exec": {}, "periodSeconds": 2},
        "args": ["y"],
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_has_every_service_of_the_chain_and_http(name: str) -> None:
    served = [one["args"][1] for one in ours(layout(name))]
    assert sorted(served) == sorted(["http", PIPELINE.name, *PIPELINE.calls])


@pytest.mark.parametrize("components", [(), ("tls",)])
@pytest.mark.parametrize("name", LAYOUTS)
def test_our_command_line_takes_what_the_containers_are_told(
    name: str, components: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for container in ours(layout(name, *(f"{name}/{one}" for one in components))):
        accept(container["args"])
        with monkeypatch.context() as patched:
            for one in container["env"]:
                assert one["name"] in SETTINGS
                patched.setenv(one["name"], one["value"])
            Settings()  # raises InvalidInput
    with pytest.raises(Exception, match="No such option: --listn"):
        accept(["serve", "segment", "--listn=0.0.0.0:50053"])


@pytest.mark.parametrize("components", [(), ("tls",)])
@pytest.mark.parametrize("name", LAYOUTS)
def test_ports_are_those_of_the_registry(name: str, components: tuple[str, ...]) -> None:
    found = layout(name, *(f"{name}/{one}" for one in components))
    for container in ours(found):
        service, port = container["args"][1], ports()[container["args"][1]]
        assert address_of(container["args"]) == f"0.0.0.0:{port}"
        assert port in [one["containerPort"] for one in container["ports"]]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            ready = kind == "readinessProbe"
            if service == "http":
                assert probe["httpGet"]["path"] == ("/readyz" if ready else "/healthz")
                assert probe["httpGet"].get("scheme") == ("HTTPS" if components else None)
            elif components:
                command = ["python", "-m", "tensorhop.healthcheck", f"localhost:{port}"]
                assert "grpc" not in probe
                assert probe["exec"]["command"] == [*command, *(["--readiness"] if ready else [])]
            else:
                assert probe["grpc"] == {"port": port, **({"service": "readiness"} if ready else {})}
        if service == PIPELINE.name:
            host = {"lane": "localhost:{1}", "pools": "dns:///{0}:{1}"}[name]
            for step in PIPELINE.calls:
                assert address_of(container["args"], f"--{step}") == host.format(step, ports()[step])
        metrics = next(one["value"] for one in container["env"] if one["name"] == "TENSORHOP_METRICS")
        assert int(metrics.rpartition(":")[2]) in [one["containerPort"] for one in container["ports"]]
    for one in found:
        if one["kind"] == "Service" and one["metadata"]["name"] in ports():
            (port_of,) = one["spec"]["ports"]
            assert port_of["port"] == ports()[one["metadata"]["name"]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_container_is_confined_probed_and_limited(name: str) -> None:
    found = layout(name)
    for pod, container in containers(found):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
        assert {"cpu", "memory"} == container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
        volumes = {one["name"]: one["emptyDir"] for one in pod.get("volumes", ())}
        assert {one["name"] for one in container.get("volumeMounts", ())} <= volumes.keys()
        assert all(one["medium"] == "Memory" and one["sizeLimit"] for one in volumes.values())
    budgets = {one["metadata"]["name"] for one in found if one["kind"] == "PodDisruptionBudget"}
    assert budgets == {one["metadata"]["name"] for one in deployments(found)} - {"redis"}
    for one in deployments(found):
        if one["metadata"]["name"] != "redis":
            assert one["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert one["spec"]["replicas"] >= 2


@pytest.mark.parametrize("name", LAYOUTS)
def test_there_is_time_to_drain(name: str) -> None:
    """In a lane, the services must outlive the pipeline, whose calls need them."""
    for one in deployments(layout(name)):
        pod = one["spec"]["template"]["spec"]
        own = {c["args"][1]: c for c in pod["containers"] if c["image"].startswith("tensorhop:")}
        asleep = {service: int(c["lifecycle"]["preStop"]["exec"]["command"][1]) for service, c in own.items()}
        for seconds in asleep.values():
            assert seconds >= 5
            assert pod["terminationGracePeriodSeconds"] > seconds + GRACE_SECONDS
        if name == "lane" and PIPELINE.name in asleep:
            for step in PIPELINE.calls:
                assert asleep[step] > asleep[PIPELINE.name] + GRACE_SECONDS


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_asked_of_prometheus_is_measured(name: str) -> None:
    scaled = [one for one in layout(name, f"{name}/autoscaling") if one["kind"] == "ScaledObject"]
    names = {one["spec"]["scaleTargetRef"]["name"] for one in scaled}
    assert names == {one["metadata"]["name"] for one in deployments(layout(name))} - {"redis", "http"}
    queries = [
        trigger["metadata"]["query"]
        for one in scaled
        for trigger in one["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]
    wanted = [
        f'sum(tensorhop_desired_replicas{{service="{one}",namespace="tensorhop"}})'
        for one in (PIPELINE.name, *PIPELINE.calls)
    ]
    assert sorted(queries) == sorted(wanted)
