"""Objects on a backdrop, rendered with the path tracer mitsuba: what compare_shadow.py compares with.

Every scene has one object on a grey plane that is parallel to the picture, one lamp that is a disc far away, and a
uniform sky. The canvas is the unit square.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

MESH = 384  # cells of the object's mesh on the canvas's side
BACKDROP = 0.8  # what the plane reflects, in linear light
FAR = 100.0  # distance of the lamp, in canvases
DEPTH = 6  # vertices of a light's path


@dataclass(frozen=True)
class Scene:
    name: str
    shape: str
    profile: str  # slab or round
    rot: float  # degrees
    length: float  # of the shadow, in heights above the backdrop
    radius: float  # of the lamp, radians
    thickness: float  # of the object's longer side
    opacity: float = 0.65  # the lamp's part of the light
    turn: int = 0  # quarters by which the picture is turned

    def alpha(self, side: int) -> np.ndarray:
        """float32, side x side, 0 to 1."""
        return np.rot90(SHAPES[self.shape](side), self.turn).astype(np.float32).copy()

    def colour(self, side: int) -> np.ndarray:
        """What the object reflects, in linear light: float32, side x side x 3. It has two colours."""
        first, second = COLOURS[self.shape]
        row, column = np.mgrid[0:side, 0:side] / side
        part = 1 / (1 + np.exp(-(column + 0.6 * row - 0.8) * 40))[..., None]
        return ((1 - part) * np.array(first) + part * np.array(second)).astype(np.float32)


def polygon(*outlines: np.ndarray) -> Callable[[int], np.ndarray]:
    """A shape of outlines in the unit square; an outline inside of another is a hole."""

    def draw(side: int) -> np.ndarray:
        picture = np.zeros((4 * side, 4 * side), np.uint8)
        points = [np.rint(outline * 4 * side * 16).astype(np.int32) for outline in outlines]
        cv2.fillPoly(picture, points, 255, shift=4)
        return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    return draw


def circle(x: float, y: float, radius: float, tall: float = 1.0) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * tall * np.sin(angle)])


def star() -> np.ndarray:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2, 0.13, 0.32)
    return 0.5 + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def blob() -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    radius = 0.22 + 0.05 * np.sin(3 * angle + 0.5) + 0.035 * np.cos(5 * angle) + 0.02 * np.sin(8 * angle)
    return 0.5 + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def united(*shapes: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    return lambda side: np.max([shape(side) for shape in shapes], axis=0)


def without(shape: Callable[[int], np.ndarray], hole: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    return lambda side: np.minimum(shape(side), 1 - hole(side))


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def glyph(side: int) -> np.ndarray:
    picture = np.zeros((4 * side, 4 * side), np.uint8)
    unit = 4 * side / 100
    cv2.putText(
        picture,
        "R",
        (int(29 * unit), int(75 * unit)),
        cv2.FONT_HERSHEY_DUPLEX,
        2.3 * unit,
        255,
        int(8 * unit),
        cv2.LINE_AA,
    )
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


SHAPES: dict[str, Callable[[int], np.ndarray]] = {
    "star": polygon(star()),
    "crescent": without(polygon(circle(0.5, 0.5, 0.3)), polygon(circle(0.6, 0.42, 0.22))),
    "key": united(
        polygon(circle(0.33, 0.5, 0.14), circle(0.30, 0.5, 0.06)),
        polygon(rectangle(0.44, 0.465, 0.82, 0.535)),
        polygon(rectangle(0.66, 0.5, 0.71, 0.62)),
        polygon(rectangle(0.76, 0.5, 0.81, 0.6)),
    ),
    "teapot": united(
        polygon(circle(0.48, 0.54, 0.2, 0.85)),
        polygon(circle(0.48, 0.35, 0.03)),
        polygon(np.array([(0.62, 0.55), (0.74, 0.38), (0.84, 0.36), (0.86, 0.40), (0.78, 0.44), (0.65, 0.65)])),
        polygon(circle(0.27, 0.5, 0.11), circle(0.27, 0.5, 0.06)),
        polygon(rectangle(0.38, 0.68, 0.58, 0.73)),
    ),
    "glyph": glyph,
    "ring": polygon(circle(0.5, 0.5, 0.3), circle(0.5, 0.5, 0.19)),
    "blob": polygon(blob()),
    # For fitting the model's constants; they are in no comparison.
    "ell": polygon(np.array([(0.25, 0.2), (0.45, 0.2), (0.45, 0.6), (0.75, 0.6), (0.75, 0.8), (0.25, 0.8)])),
    "bean": united(polygon(circle(0.4, 0.45, 0.17)), polygon(circle(0.58, 0.55, 0.2, 0.8))),
    "fork": united(
        polygon(rectangle(0.2, 0.46, 0.6, 0.54)),
        polygon(rectangle(0.55, 0.3, 0.62, 0.7)),
        *(polygon(rectangle(0.6, y, 0.82, y + 0.06)) for y in (0.3, 0.47, 0.64)),
    ),
}
COLOURS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "star": ((0.75, 0.55, 0.08), (0.75, 0.3, 0.06)),
    "crescent": ((0.1, 0.25, 0.6), (0.1, 0.4, 0.5)),
    "key": ((0.5, 0.45, 0.3), (0.55, 0.5, 0.4)),
    "teapot": ((0.6, 0.06, 0.05), (0.7, 0.7, 0.65)),
    "glyph": ((0.03, 0.03, 0.04), (0.03, 0.03, 0.04)),
    "ring": ((0.15, 0.5, 0.12), (0.5, 0.5, 0.1)),
    "blob": ((0.7, 0.65, 0.6), (0.4, 0.2, 0.5)),
    "ell": ((0.65, 0.1, 0.1), (0.1, 0.1, 0.6)),
    "bean": ((0.6, 0.6, 0.6), (0.2, 0.5, 0.2)),
    "fork": ((0.4, 0.4, 0.42), (0.7, 0.5, 0.2)),
}
# rot, length, lamp's radius, thickness of a slab, of a round object
LIGHTS = (
    (60, 1.19, 0.35, 0.14, 0.30),
    (200, 0.8, 0.25, 0.20, 0.22),
    (315, 1.6, 0.30, 0.10, 0.30),
    (110, 1.0, 0.45, 0.14, 0.18),
    (0, 1.19, 0.20, 0.14, 0.26),
    (255, 1.4, 0.40, 0.08, 0.30),
    (30, 0.6, 0.35, 0.18, 0.24),
)
UNSEEN = ("star", "crescent", "key", "teapot", "glyph", "ring", "blob")
FITTED = ("ell", "bean", "fork")


def scenes(shapes: tuple[str, ...] = UNSEEN, lights: int = 1) -> Iterator[Scene]:
    """Each shape as a slab and round, each with `lights` lamps out of the seven."""
    for number, shape in enumerate(shapes):
        for again in range(lights):
            for profile in ("slab", "round"):
                rot, length, radius, slab, round_ = LIGHTS[(number + 3 * again + (profile == "round")) % len(LIGHTS)]
                thickness = slab if profile == "slab" else round_
                yield Scene(
                    f"{shape} {profile} {rot} {length} {radius}", shape, profile, rot, length, radius, thickness
                )


def heights(scene: Scene, side: int) -> np.ndarray:
    """The object's height above the backdrop, in canvases: float32, side x side; 0 beside it."""
    alpha = scene.alpha(side)
    rows, columns = np.nonzero(alpha > 0.5)
    thickness = scene.thickness * (max(np.ptp(rows), np.ptp(columns)) + 1) / side
    if scene.profile == "slab":
        return np.where(alpha > 0.5, thickness, 0).astype(np.float32)
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = np.maximum(inside - 0.5, 0)
    part = inside / inside.max()
    return (thickness * np.sqrt(part * (2 - part))).astype(np.float32)


def write_mesh(scene: Scene, path: Path) -> None:
    """The object as a closed height field in PLY, with a colour for each vertex."""
    height = heights(scene, MESH)
    colour = scene.colour(MESH)
    y, x = np.mgrid[0:MESH, 0:MESH]
    corners = np.column_stack([(x.ravel() + 0.5) / MESH, 1 - (y.ravel() + 0.5) / MESH, height.ravel()])
    vertices = np.hstack([corners, colour.reshape(-1, 3)]).astype("<f4")
    at = (y[:-1, :-1] * MESH + x[:-1, :-1]).ravel()
    quads = np.column_stack([at, at + MESH, at + MESH + 1, at + 1])
    quads = quads[height.ravel()[quads].max(axis=1) > 0]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    rows = np.zeros(len(faces), [("count", "u1"), ("at", "<i4", 3)])
    rows["count"], rows["at"] = 3, faces
    properties = "".join(f"property float {name}\n" for name in ("x", "y", "z", "r", "g", "b"))
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{properties}"
        f"element face {len(faces)}\nproperty list uchar int vertex_index\nend_header\n"
    )
    path.write_bytes(header.encode() + vertices.tobytes() + rows.tobytes())


def render(scene: Scene, side: int, samples: int, folder: Path, seed: int = 0) -> np.ndarray:
    """The light on the backdrop over that without the object: float32, side x side x 3.

    What is under the object is the object. The lamp and the sky are rendered apart, which has less noise, and are kept
    in the folder.
    """
    lamp, sky = (render_part(scene, part, side, samples, folder, seed) for part in ("lamp", "sky"))
    return scene.opacity * lamp + (1 - scene.opacity) * sky


def render_part(scene: Scene, part: str, side: int, samples: int, folder: Path, seed: int) -> np.ndarray:
    """What `render` gives, with the lamp or the sky alone."""
    kept = folder / f"{scene.name.replace(' ', '_')}_{scene.thickness}_{scene.turn}_{part}_{side}_{samples}_{seed}.npy"
    if kept.exists():
        return np.load(kept)
    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    folder.mkdir(parents=True, exist_ok=True)
    mesh = folder / f"{os.getpid()}.ply"
    write_mesh(scene, mesh)
    to = mi.ScalarTransform4f
    elevation, bearing = math.atan2(1, scene.length), math.radians(scene.rot)
    lamp = [
        0.5 - FAR * math.cos(elevation) * math.sin(bearing),
        0.5 - FAR * math.cos(elevation) * math.cos(bearing),
        FAR * math.sin(elevation),
    ]
    # On the flat backdrop, both give an irradiance of pi.
    radiance = 1 / (math.sin(elevation) * math.sin(scene.radius) ** 2)
    lights = {
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": 1.0}},
        "lamp": {
            "type": "disk",
            "to_world": to()
            .look_at(origin=lamp, target=[0.5, 0.5, 0], up=[0.3, 0.2, 1])
            .scale(FAR * math.tan(scene.radius)),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": radiance}},
        },
    }
    world = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": DEPTH},
        part: lights[part],
        "plane": {
            "type": "rectangle",
            "to_world": to().scale(20),
            "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": BACKDROP}},
        },
        "object": {
            "type": "ply",
            "filename": str(mesh),
            "face_normals": True,
            "bsdf": {
                "type": "twosided",
                "bsdf": {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}},
            },
        },
        "camera": {
            "type": "orthographic",
            "to_world": to().look_at(origin=[0.5, 0.5, 5], target=[0.5, 0.5, 0], up=[0, 1, 0]).scale([0.5, 0.5, 1]),
            "film": {
                "type": "hdrfilm",
                "width": side,
                "height": side,
                "rfilter": {"type": "box"},
                "pixel_format": "rgb",
            },
            "sampler": {"type": "multijitter", "sample_count": samples, "seed": seed},
        },
    }
    picture = np.array(mi.render(mi.load_dict(world), seed=seed), np.float32) / np.float32(BACKDROP)
    mesh.unlink()
    np.save(kept, picture)
    return picture
