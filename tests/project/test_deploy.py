"""The files for containers agree with the program."""

import re
import tomllib
from pathlib import Path

import pytest
from locks import versions
from packaging.requirements import Requirement

from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.views.service import SERVICE as VIEWS
from tensorhop.rpc.registry import ports

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = (ROOT / "docker-compose.yml").read_text()
IN_IMAGES = ("http", "connect", "models", "osediff")  # extras
REQUIREMENTS = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["build-system"]["requires"],
    *(one for extra in IN_IMAGES for one in PROJECT["project"]["optional-dependencies"][extra]),
]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_images_have_an_exact_version_that_fits(requirement: str) -> None:
    pinned = versions("deploy/constraints.txt", "3.11.9")
    pinned |= re.findall(r"^ARG TORCH=(torch)==(\S+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(pinned[wanted.name])


@pytest.mark.parametrize("name", ports())
def test_compose_has_every_service_on_its_port(name: str) -> None:
    service = re.split(r"^  (?=\S)", COMPOSE.partition("\nservices:\n")[2], flags=re.MULTILINE)
    (text,) = (one for one in service if one.startswith(f"{name}:\n"))
    assert f"0.0.0.0:{ports()[name]}" in text
    assert f"localhost:{ports()[name]}" in text  # its health
    for chain in (PIPELINE, VIEWS):
        if name in chain.calls:
            (caller,) = (one for one in service if one.startswith(f"{chain.name}:\n"))
            assert f"--{name}=dns:///{name}:{ports()[name]}" in caller
            assert f"{name}: {{condition: service_healthy}}" in caller
    alone = {"http", PIPELINE.name, *PIPELINE.calls}
    profile = re.findall(r"    profiles: \[(\w+)\]\n", text)
    assert profile == ([] if name in alone else ["jobs"] if name == "jobs" else ["views"])


def test_the_build_gets_all_that_the_program_is_made_of() -> None:
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    build = PROJECT["tool"]["hatch"]["build"]["targets"]
    assert {*build["wheel"]["packages"], *build["sdist"]["only-include"]} <= set(sent)
