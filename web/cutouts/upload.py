"""The content of a request to /process: the photo, masks, and values by parameter."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorhop.errors import InvalidInput
from tensorhop.values.images import decode_mask
from tensorhop.web.cutouts.parameters import FILES, read
from tensorhop.web.requests.pictures import check_fields, raw_pixels, read_base64, read_picture
from tensorhop.web.requests.upload import FORM, JSON, Content

NO_IMAGE = "is missing; give one"


@dataclass(frozen=True)
class Upload:
    """One request's content."""

    image: np.ndarray | bytes
    values: dict[str, Any]  # by parameter
    masks: list[np.ndarray] = field(default_factory=list)
    background_image: bytes | None = None


def read_upload(content: Content) -> Upload:
    """Raises InvalidInput: the content has not exactly one image, or a parameter that is not allowed."""
    if content.kind == FORM:
        return _form(content)
    if content.kind == JSON:
        return _json(content)
    return Upload(raw_pixels(content), read(content.query))


def _form(content: Content) -> Upload:
    check_fields(content, FILES)
    images, masks, backgrounds = ([data for name, data in content.files if name == one] for one in FILES)
    if len(images) != 1:
        raise InvalidInput("image", f"{NO_IMAGE}" if not images else f"came {len(images)} times; give one")
    if len(backgrounds) > 1:
        raise InvalidInput("background_image", f"came {len(backgrounds)} times; give one")
    return Upload(images[0], read([*content.query, *content.texts]), _decode(masks), *backgrounds)


def _decode(masks: list[bytes]) -> list[np.ndarray]:
    return [decode_mask(data, f"masks[{index}]") for index, data in enumerate(masks)]


def _json(content: Content) -> Upload:
    members = dict(content.members)
    image, masks = members.pop("image", None), members.pop("masks", [])
    background = _background(members.pop("background_image")) if "background_image" in members else None
    if not isinstance(image, dict):
        raise InvalidInput("image", f'{NO_IMAGE}: {{"encoded": base64}}, or {{"dtype", "shape", "data": base64}}')
    if not isinstance(masks, list) or not all(isinstance(mask, dict) for mask in masks):
        raise InvalidInput("masks", 'is no list of {"encoded": base64}')
    if masks and (unknown := {name for mask in masks for name in mask} - {"encoded"}):
        raise InvalidInput("masks", f"has {', '.join(sorted(unknown))[:100]}; a mask has encoded alone")
    files = [read_base64(mask.get("encoded"), f"masks[{index}].encoded") for index, mask in enumerate(masks)]
    values = read(content.query, members)
    return Upload(read_picture(image), values, _decode(files), background)


def _background(background: Any) -> bytes:
    if not isinstance(background, dict) or background.keys() != {"encoded"}:
        raise InvalidInput("background_image", 'is no {"encoded": base64}')
    return read_base64(background["encoded"], "background_image.encoded")
