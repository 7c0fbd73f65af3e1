"""The routes of single services: what each one takes, which message it sends, and what it tells of an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from tensorhop.client.cutouts.event_json import plain
from tensorhop.options.kinds import BOOLEAN, SEED, SIZE, TEXT, WHOLE, WHOLES, choice
from tensorhop.options.table import Option
from tensorhop.v1 import interpolate_pb2, preprocess_pb2, quality_pb2, upscale_pb2
from tensorhop.v1.image_pb2 import Image
from tensorhop.values.output_options import ENCODINGS, QUALITY
from tensorhop.values.panoramas import INTERVALS, CameraPair
from tensorhop.values.panoramas.camera import RANGES
from tensorhop.web.requests.parameters import COMMON
from tensorhop.web.services.cameras import CAMERA_PAIRS, INTERVAL_CAMERAS
from tensorhop.web.services.sources import PATHS
from tensorhop.wire.messages import write_size
from tensorhop.wire.panorama_messages import MOST_VIEWS, VIEWS, write_camera_pair

Values = Mapping[str, Any]
Key = tuple[int, ...]  # what an answer is about: (index,), (interval, panorama) or (weight_idx, panorama)

FORMAT = Option("format", "output.encoding", choice(ENCODINGS), "Answer pictures in this format.", "png")
ENCODED_QUALITY = Option("quality", "output.quality", WHOLE, "Write webp and jpeg of this quality, 1 to 100.", QUALITY)
OUTPUT_DIR = Option("output_dir", "", TEXT, "Write pictures into this folder under that of --allow-write.")
OUTPUT_PATH = Option("output_path", "", TEXT, "Write the one picture to this file under the folder of --allow-write.")
OVERWRITE = Option("overwrite", "", BOOLEAN, "Replace files that are there; never one that the request reads.", False)
PICTURES_OUT = (FORMAT, ENCODED_QUALITY, OUTPUT_DIR, OUTPUT_PATH, OVERWRITE)
SIZE_OF_VIEW = Option("size", "view", SIZE, "Make views of this size in pixels.", "512x512")
ANY_RATIO = Option("any_ratio", "any_ratio", BOOLEAN, "Take pictures that are not 2:1 for panoramas, too.", False)


@dataclass(frozen=True)
class Operation:
    """One method of one service as a route: POST /NAME."""

    name: str  # of the service
    method: str
    summary: str
    noun: str  # of the field with its pictures: "images" or "panoramas"
    own: Sequence[Option]
    request: Callable[[list[Image], Values], Message]
    keys: Callable[[int, Values], list[Key]]  # of the answers to a number of pictures
    key_names: tuple[str, ...]  # the fields of an answer that are its key; the picture's index is the last
    tell: Callable[[Any], dict[str, Any]]  # what else JSON has of an answer, without its picture
    file_name: Callable[[list[str], Key, Values], str] = lambda stems, key, values: ""  # of its picture
    picture: str = ""  # the field of an answer that is a picture
    lists: bool = False  # whether it takes any number of pictures, and answers one for each

    @property
    def options(self) -> dict[str, Option]:
        """The parameters of the route, by name."""
        return table_of(*self.own, *(PICTURES_OUT if self.picture else ()))


def table_of(*own: Option) -> dict[str, Option]:
    """Parameters by name: of the route, and those that all have."""
    return {option.http_name: option for option in (*own, PATHS, *COMMON)}


def upscale_request(images: list[Image], values: Values) -> Message:
    align = values.get("align")
    return upscale_pb2.UpscaleRequest(
        images=images,
        scale=values.get("scale"),
        prompt=values.get("prompt", ""),
        align=f"COLOR_ALIGN_{align.upper()}" if align else None,
        seed=values.get("seed"),
    )


def preprocess_request(panoramas: list[Image], values: Values) -> Message:
    return preprocess_pb2.PreprocessRequest(
        panoramas=panoramas,
        seed=values.get("seed"),
        intervals=values.get("intervals", ()),
        cameras=[
            preprocess_pb2.Interval(interval=interval, cameras=map(write_camera_pair, pairs))
            for interval, pairs in values.get("cameras", ())
        ],
        view=view_of(values),
        any_ratio=values.get("any_ratio", False),
    )


def interpolate_request(panoramas: list[Image], values: Values) -> Message:
    return interpolate_pb2.InterpolateRequest(
        panoramas=panoramas,
        cameras=map(write_camera_pair, values.get("cameras", ())),
        views=values.get("views"),
        view=view_of(values),
        any_ratio=values.get("any_ratio", False),
    )


def view_of(values: Values) -> Any:
    return write_size(values["size"]) if "size" in values else None


def intervals_of(values: Values) -> list[int]:
    """The numbers of the intervals that a request asks for."""
    return values.get("intervals") or [interval for interval, _ in values.get("cameras", ())] or [*INTERVALS]


def weights_of(values: Values) -> range:
    """The views that a request asks for; a number that is too large is the service's to refuse."""
    return range(1, min(values.get("views", VIEWS), MOST_VIEWS) + 1)


def tell_quality(answer: quality_pb2.ScoreResponse) -> dict[str, Any]:
    quality = answer.quality
    score = quality.score if quality.scored else None
    told: dict[str, Any] = plain({"score": score, "scores": dict(sorted(quality.scores.items())), "text": quality.text})
    return told


def tell_pair(answer: preprocess_pb2.PreprocessResponse) -> dict[str, Any]:
    return {"cameras": {side: camera_json(getattr(answer.cameras, side)) for side in CameraPair._fields}}


def camera_json(message: Any) -> dict[str, float]:
    return {name: getattr(message, name) for name in RANGES}


OPERATIONS = (
    Operation(
        "upscale",
        "Upscale",
        "Make pictures 2 or 4 times as large.",
        "images",
        (
            Option("scale", "scale", WHOLE, "Enlarge by 2 or 4.", 2),
            Option("align", "align", choice(("none", "adain", "wavelet")), "Bring the colours to those of the input."),
            Option("prompt", "prompt", TEXT, "Say what the pictures show, for networks that take text."),
            Option("seed", "seed", SEED, "Draw the same noise each time."),
        ),
        upscale_request,
        lambda count, values: [(index,) for index in range(count)],
        ("index",),
        lambda answer: {},
        lambda stems, key, values: f"{stems[key[0]]}-x{values.get('scale', 2)}",
        picture="image",
        lists=True,
    ),
    Operation(
        "quality",
        "Score",
        "Score pictures, or pairs of views: 0 (worst) to 1 (best).",
        "images",
        (Option("pairs", "pairs", BOOLEAN, "Take each picture for a pair of views, side by side.", False),),
        lambda images, values: quality_pb2.ScoreRequest(images=images, pairs=values.get("pairs", False)),
        lambda count, values: [(index,) for index in range(count)],
        ("index",),
        tell_quality,
        lists=True,
    ),
    Operation(
        "preprocess",
        "Preprocess",
        "Crop pairs of views out of panoramas.",
        "panoramas",
        (
            Option("seed", "seed", SEED, "Draw the same cameras each time."),
            Option("intervals", "intervals", WHOLES, "Take these intervals of 45 degrees, 1 to 8.", default_text="all"),
            Option("cameras", "cameras", INTERVAL_CAMERAS, "Use these cameras instead of drawn ones."),
            SIZE_OF_VIEW,
            ANY_RATIO,
        ),
        preprocess_request,
        lambda count, values: [(interval, index) for interval in intervals_of(values) for index in range(count)],
        ("interval", "panorama"),
        tell_pair,
        lambda stems, key, values: f"{stems[key[1]]}-{key[0]}-pair",
        picture="pair",
    ),
    Operation(
        "interpolate",
        "Interpolate",
        "Crop the views between two cameras out of panoramas.",
        "panoramas",
        (
            Option("cameras", "cameras", CAMERA_PAIRS, "Mix these cameras: a pair for each panorama."),
            Option("views", "views", WHOLE, "Make so many views between left and right, 1 to 100.", VIEWS),
            SIZE_OF_VIEW,
            ANY_RATIO,
        ),
        interpolate_request,
        lambda count, values: [(weight, index) for weight in weights_of(values) for index in range(count)],
        ("weight_idx", "panorama"),
        lambda answer: {"camera": camera_json(answer.camera)},
        lambda stems, key, values: f"{stems[key[1]]}-view-{key[0]:02d}",
        picture="view",
    ),
)
