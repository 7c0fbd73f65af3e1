"""The routes of services that pass paths, under their old names: paths in, paths out.

The old names of fields stand in one table: FIELDS, and OldRoute.fields. A client whose fields have other names needs a
line there. The names of the new routes are taken as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tensorhop.client.remotes import Remotes
from tensorhop.errors import InvalidInput
from tensorhop.web.requests.admission import Admission
from tensorhop.web.requests.upload import Content
from tensorhop.web.services.endpoint import ServiceEndpoint
from tensorhop.web.services.operations import Operation
from tensorhop.web.services.sources import Given

FIELDS = {"image_path": "path", "image_paths": "path", "save_dir": "output_dir"}  # old: new, of all old routes


@dataclass(frozen=True)
class OldRoute:
    """An old route in front of a new one."""

    name: str
    operation: str
    fields: Mapping[str, str] = field(default_factory=dict)  # old: new, beside FIELDS
    values: Mapping[str, Any] = field(default_factory=dict)  # what the old route did without being told


OLD_ROUTES = (
    OldRoute("preprocess_for_group", "preprocess"),
    OldRoute("generate_interpolated_images", "interpolate", {"num_views": "views"}),
    OldRoute("super_resolution_batch", "upscale", {"upscale": "scale"}),
    OldRoute("evaluate_pairs", "quality", {"pair_paths": "path"}, {"pairs": True}),
)


class OldEndpoint(ServiceEndpoint):
    """The endpoint of an old route."""

    def __init__(self, route: OldRoute, admission: Admission, remotes: Remotes, operation: Operation) -> None:
        super().__init__(admission, remotes, operation)
        self._route, self._fields = route, {**FIELDS, **route.fields}

    def read(self, content: Content) -> Given:
        """As the new route, but pictures that come out are files."""
        renamed = replace(
            content,
            query=[(self._fields.get(name, name), text) for name, text in content.query],
            texts=[(self._fields.get(name, name), text) for name, text in content.texts],
            members={self._fields.get(name, name): value for name, value in content.members.items()},
        )
        given = super().read(renamed)
        if "output_dir" in self.options and not {"output_dir", "output_path"} & given.values.keys():
            raise InvalidInput("output_dir", f"is missing; /{self._route.name} writes files")
        return replace(given, values={**self._route.values, **given.values})
