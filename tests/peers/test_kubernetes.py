"""deploy/kubernetes by the tools and schemas of others: `make test-kubernetes`."""

import copy
import functools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import pytest
from kubernetes_layouts import COMPONENTS, KUBERNETES, Object, render

CHECK = Path(__file__).parents[2] / "tools" / "kubernetes" / "check_resources.js"
VERSIONS = ("1.30", "1.37")  # of Kubernetes
FOREIGN = ("cert-manager.io/", "gateway.networking.k8s.io/", "keda.sh/", "monitoring.coreos.com/")


def choices() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each layout without components, with each of them alone, and with all."""
    for layout, components in COMPONENTS.items():
        yield layout, ()
        yield from ((layout, (one,)) for one in components if one != "gateway/tls")
        yield layout, components


RENDERED = {(layout, components): render(layout, components) for layout, components in choices()}


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else "+".join(value) or "alone"


# It reads megabytes of schemas from disk for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def own_errors(one: Object) -> list[str]:
    """What Kubernetes' schemas say against an object. An unknown kind is an error."""
    return list(_own_errors(json.dumps(one)))


@functools.cache  # most objects are the same in many renderings
def _own_errors(text: str) -> tuple[str, ...]:
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(json.loads(text), version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{version}: {error}")
    return tuple(found)


def foreign_errors(objects: Sequence[Object]) -> list[list[str]]:
    """The same by the schemas of KEDA, cert-manager, the Gateway API and the Prometheus operator, for each object."""
    done = subprocess.run(["node", CHECK], input=json.dumps(objects), capture_output=True, text=True, check=True)
    found: list[list[str]] = json.loads(done.stdout)
    return found


def is_foreign(one: Object) -> bool:
    return str(one["apiVersion"]).startswith(FOREIGN)


@pytest.mark.parametrize(("layout", "components"), RENDERED, ids=name_of)
def test_kubernetes_takes_every_object(layout: str, components: tuple[str, ...]) -> None:
    objects = [one for one in RENDERED[layout, components] if not is_foreign(one)]
    assert len(objects) > 10
    assert [(one["kind"], one["metadata"]["name"], errors) for one in objects if (errors := own_errors(one))] == []
    every = RENDERED[layout, components]
    names = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in every]
    assert len(names) == len({*names})
    assert {one["metadata"].get("namespace") for one in every if one["kind"] != "Namespace"} == {"tensorhop"}


@pytest.mark.parametrize("layout", COMPONENTS)
def test_the_makers_of_custom_resources_take_them(layout: str) -> None:
    objects = [one for one in RENDERED[layout, COMPONENTS[layout]] if is_foreign(one)]
    kinds = {one["kind"] for one in objects}
    assert kinds >= {
        "ScaledObject",
        "GRPCRoute",
        "HTTPRoute",
        "Gateway",
        "BackendTLSPolicy",
        "Certificate",
        "PodMonitor",
    }
    assert foreign_errors(objects) == [[] for _ in objects]


def test_every_component_is_rendered() -> None:
    folders = {path.parent.relative_to(KUBERNETES).as_posix() for path in KUBERNETES.glob("**/kustomization.yaml")}
    named = {one for components in COMPONENTS.values() for one in components}
    assert folders == {"base", *COMPONENTS, *named}


def test_what_a_selector_selects_exists() -> None:
    for (layout, components), objects in RENDERED.items():
        pods = [one["spec"]["template"]["metadata"]["labels"] for one in objects if one["kind"] == "Deployment"]
        for one in objects:
            spec = one.get("spec", {})
            wanted = {"Service": spec.get("selector")}.get(one["kind"])
            if one["kind"] in ("PodDisruptionBudget", "Deployment", "PodMonitor"):
                wanted = spec["selector"]["matchLabels"]
            if one["kind"] == "NetworkPolicy":
                wanted = spec["podSelector"].get("matchLabels", {})
            if wanted is not None:
                assert any(wanted.items() <= labels.items() for labels in pods), (layout, components, one)


def change(path: str, value: Any) -> Callable[[Object], None]:
    """A mutation: sets what is at a path, such as spec/template/spec/containers/0/image, or removes it."""

    def mutate(one: Any) -> None:
        *way, last = (int(part) if part.isdecimal() else part for part in path.split("/"))
        for part in way:
            one = one[part]
        if value is None:
            del one[last]
        else:
            one[last] = value

    return mutate


CONTAINER = "spec/template/spec/containers/0"
OWN = [
    ("Deployment", change("kind", "Deploymnt")),
    ("Deployment", change("apiVersion", "apps/v2")),
    ("Deployment", change("spec/replcas", 2)),
    ("Deployment", change("spec/replicas", "two")),
    ("Deployment", change("spec/selector", None)),
    ("Deployment", change(f"{CONTAINER}/livenessProbe/grcp", {"port": 1})),
    ("Deployment", change(f"{CONTAINER}/livenessProbe/periodSeconds", "10")),
    ("Deployment", change(f"{CONTAINER}/securityContext/readOnlyRootFileSystem", True)),
    ("Deployment", change(f"{CONTAINER}/ports/0/containerPort", None)),
    ("Deployment", change(f"{CONTAINER}/args", "serve pipeline")),
    ("Deployment", change(f"{CONTAINER}/env/0/value", 9100)),
    ("Deployment", change("spec/template/spec/terminationGracePeriodSecond", 30)),
    ("Service", change("spec/ports/0/port", "grpc")),
    ("Service", change("spec/clusterIp", "None")),
    ("PodDisruptionBudget", change("spec/maxUnavailble", 1)),
    ("NetworkPolicy", change("spec/podSelector", [])),
    ("NetworkPolicy", change("spec/policyTypes", "Ingress")),
    ("Namespace", change("metadata/labels", ["restricted"])),
]
FOREIGN_MUTATIONS = [
    ("ScaledObject", change("kind", "ScaledObjct")),
    ("ScaledObject", change("spec/maxReplicas", 3)),
    ("ScaledObject", change("spec/pollingInterval", "15s")),
    ("ScaledObject", change("spec/triggers/0/metadata/threshold", 1)),
    ("ScaledObject", change("spec/triggers/0/type", None)),
    ("ScaledObject", change("spec/scaleTargetRef", None)),
    ("ScaledObject", change("spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleUp/policy", [])),
    ("GRPCRoute", change("kind", "GrpcRoute")),
    ("GRPCRoute", change("spec/rules/0/timeouts", {"request": "0s"})),
    ("GRPCRoute", change("spec/rules/0/backendRefs/0/port", "grpc")),
    ("GRPCRoute", change("spec/rules/0/backendRefs/0/port", 70000)),
    ("HTTPRoute", change("spec/rules/0/timeouts/request", "none")),
    ("Gateway", change("spec/gatewayClassName", None)),
    ("Gateway", change("apiVersion", "gateway.networking.k8s.io/v7")),
    ("BackendTLSPolicy", change("spec/validation/hostname", None)),
    ("Certificate", change("spec/secretNames", ["a"])),
    ("Certificate", change("spec/issuerRef", None)),
    ("Certificate", change("spec/usages", ["everything"])),
    ("Certificate", change("spec/privateKey/size", "256")),
    ("PodMonitor", change("spec/podMetricsEndpoints/0/ports", "metrics")),
]


def mutated(kind: str, mutate: Callable[[Object], None]) -> Object:
    every = RENDERED[
        "pools", ("pools/autoscaling", "pools/monitoring", "pools/gpu", "pools/tls", "gateway", "gateway/tls")
    ]
    found = copy.deepcopy(next(one for one in [*RENDERED["pools", ()], *every] if one["kind"] == kind))
    mutate(found)
    return found


@pytest.mark.parametrize("index", range(len(OWN)))
def test_a_mistake_in_an_object_of_kubernetes_is_found(index: int) -> None:
    one = mutated(*OWN[index])
    assert all(errors := own_errors(one)), one
    assert len(errors) == len(VERSIONS)


def test_a_mistake_in_a_custom_resource_is_found() -> None:
    objects = [mutated(*one) for one in FOREIGN_MUTATIONS]
    missed = [one for one, errors in zip(objects, foreign_errors(objects), strict=True) if not errors]
    assert not missed


def test_kustomize_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        render("pools", ["pools/autoscalling"])
