"""The pictures of a request, whichever way they come: as paths, uploads or tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.options.kinds import TEXTS
from tensorhop.options.table import Option
from tensorhop.web.requests.parameters import read_parameters
from tensorhop.web.requests.pictures import check_fields, raw_pixels, read_picture
from tensorhop.web.requests.upload import FORM, JSON, Content
from tensorhop.wire.image_source import find_path, read_path

ONE_OR_MORE = replace(
    TEXTS,
    from_json=lambda value: TEXTS.from_json([value] if isinstance(value, str) else value),
    schema={"oneOf": [{"type": "string"}, TEXTS.schema]},
)
PATHS = Option("paths", "", ONE_OR_MORE, "Read this picture under the folder of --allow-path; repeatable.", http="path")


@dataclass(frozen=True)
class Source:
    """One picture that a request holds or names."""

    field: str  # as the service names it: "images[0]"
    held: np.ndarray | bytes = b""
    path: str = ""  # if it names one

    @property
    def stem(self) -> str:
        """What the names of files about it begin with; "" if it has no name."""
        return Path(self.path).stem

    def find(self) -> Path:
        """The file behind its path. Raises InvalidInput as `find_path` does."""
        return find_path(self.path, f"{self.field}.path")

    def read(self) -> np.ndarray | bytes:
        """The bytes of a file, or pixels. Raises InvalidInput as `read_path` does."""
        return read_path(self.path, f"{self.field}.path") if self.path else self.held


@dataclass(frozen=True)
class Given:
    """What a request asks for."""

    sources: list[Source]
    values: dict[str, Any]  # by parameter


def read_given(content: Content, noun: str, table: Mapping[str, Option]) -> Given:
    """The pictures and parameters of a request.

    Args:
        noun: "images" or "panoramas". A single one may come as "image" or "panorama".
        table: the parameters of the route.

    Raises:
        InvalidInput: there is no picture, or something that is not allowed.
    """
    one = noun.removesuffix("s")
    held: list[np.ndarray | bytes | str] = []
    members = dict(content.members)
    if content.kind == FORM:
        check_fields(content, (noun, one), ", or give path")
        held += [data for _, data in content.files]
    elif content.kind == JSON:
        held += [_member(member, field) for member, field in _listed(members, noun, one)]
    else:
        held.append(raw_pixels(content, f"{noun}[0]"))
    values = read_parameters(table, [*content.query, *content.texts], members, (noun, one))
    held += values.pop(PATHS.name, [])
    if not held:
        raise InvalidInput(noun, f"is missing; give {one}, {noun} or path")
    sources = [
        Source(f"{noun}[{index}]", path=each) if isinstance(each, str) else Source(f"{noun}[{index}]", each)
        for index, each in enumerate(held)
    ]
    return Given(sources, values)


def _listed(members: dict[str, Any], noun: str, one: str) -> list[tuple[Any, str]]:
    """The members that are pictures, with their fields; they are taken out of the members."""
    listed = members.pop(noun, [])
    if not isinstance(listed, list):
        raise InvalidInput(noun, f"is no list; a single one is given as {one}")
    if one in members:
        listed = [members.pop(one), *listed]
    return [(member, f"{noun}[{index}]") for index, member in enumerate(listed)]


def _member(member: Any, field: str) -> np.ndarray | bytes | str:
    """A picture of JSON: pixels, the bytes of a file, or a path."""
    if not isinstance(member, dict):
        raise InvalidInput(field, 'is no object; give {"path"}, {"encoded"}, or {"dtype", "shape", "data"}')
    if member.keys() == {"path"}:
        if not isinstance(member["path"], str) or not member["path"]:
            raise InvalidInput(f"{field}.path", "is no text")
        return member["path"]
    return read_picture(member, field)
