"""Requests that nobody sends by accident: valid ones with something changed, and noise."""

import io
import random
from collections.abc import Iterator
from typing import Any

import hostile_oip
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from PIL import Image

from tensorhop.orchestrator.jobs.service import SERVICE as JOBS
from tensorhop.rpc.channel import INFO
from tensorhop.rpc.registry import services
from tensorhop.v1 import (
    describe_pb2,
    detect_pb2,
    info_pb2,
    interpolate_pb2,
    pipeline_pb2,
    postprocess_pb2,
    preprocess_pb2,
    quality_pb2,
    segment_pb2,
    upscale_pb2,
    views_pb2,
)
from tensorhop.v1.camera_pb2 import Camera, CameraPair
from tensorhop.v1.image_pb2 import Box, Mask, Region, Size
from tensorhop.v1.image_pb2 import Image as ImageMessage
from tensorhop.v1.postprocess_pb2 import ShadowKind
from tensorhop.v1.tensor_pb2 import SharedMemory, Tensor

WIDTH, HEIGHT = 24, 16  # of the photo
NUMBERS = (0, 1, -1, 2, 3, 7, 16, 24, 255, 256, 1000, 65536, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63), 2**64 - 1)
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 1e9, 1e38, 1e300, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "a",
    "\0",
    "é☃𝄞",
    "../../etc/passwd",
    "x" * 300,
    "FP32",
    "BF16",
    "UINT8",
    "BOOL",
    "#ff00zz",
    "r\nn",
    "%s{}",
)

KINDS = {FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BYTES: "bytes"}
METHODS = {  # by path: the request's class, and whether answers come as a stream
    f"/{service.full_name}/{method.name}": (GetMessageClass(method.input_type), method.server_streaming)
    for service in (*(service.descriptor for service in services().values() if service is not JOBS), INFO)
    for method in service.methods
} | hostile_oip.METHODS


def photo() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 10, y * 15, (x + y) * 6], axis=-1).astype(np.uint8)


def tensor(array: np.ndarray) -> Tensor:
    return Tensor(dtype=array.dtype.name.upper(), shape=array.shape, data=array.tobytes())


def encoded(kind: str) -> ImageMessage:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, kind)
    return ImageMessage(encoded=file.getvalue())


def valid() -> dict[str, list[Message]]:
    """Good requests by the path of their method; the first of each is answered in full."""
    images = [ImageMessage(tensor=tensor(photo())), *(encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF"))]
    boxes = [Box(x0=2, y0=2, x1=20.5, y1=14), Box(x0=0, y0=0, x1=10, y1=10)]
    mask = Mask(alpha=tensor(np.full((8, 10), 200, np.uint8)), region=Region(x0=4, y0=4, x1=14, y1=12))
    soft = Mask(alpha=tensor(np.full((8, 10), 0.5, np.float32)), region=Region(x0=4, y0=4, x1=14, y1=12))
    soft.alpha.dtype = "FP32"
    lent = [SharedMemory(name="tensorhop-" + "0" * 32, offset=0, size=1 << 20)]
    crop = ImageMessage(tensor=tensor(np.ascontiguousarray(photo()[4:12, 4:14])))
    size = Size(width=WIDTH, height=HEIGHT)
    finishes = [
        postprocess_pb2.Finish(center=True, canvas=Size(width=40, height=32), fill=0.8, max_scale=4, refine=False),
        postprocess_pb2.Finish(
            center=False,
            decontaminate=True,
            shadow=postprocess_pb2.Shadow(kind=ShadowKind.SHADOW_KIND_CAST, rot=30, length=0.5, softness=0.1),
        ),
        postprocess_pb2.Finish(
            canvas=size,
            shadow=postprocess_pb2.Shadow(kind=ShadowKind.SHADOW_KIND_CONTACT, opacity=0.4),
            refine=True,
        ),
    ]
    outputs = [
        pipeline_pb2.Output(encoding=kind, masks=True, layers=True, quality=quality)
        for kind, quality in (
            (pipeline_pb2.ENCODING_TENSOR, None),
            (pipeline_pb2.ENCODING_PNG, None),
            (pipeline_pb2.ENCODING_WEBP, 80),
            (pipeline_pb2.ENCODING_JPEG, 80),
        )
    ]
    look = describe_pb2.DescribeOptions(look=describe_pb2.LOOK_WHOLE)
    thresholds = detect_pb2.DetectOptions(score_threshold=0.2, iou_threshold=0.5)
    requests: list[Message] = [info_pb2.GetInfoRequest()]
    requests += [describe_pb2.DescribeRequest(image=image, options=look) for image in images]
    requests += [detect_pb2.DetectRequest(image=image, phrases=["cup", "cat"], options=thresholds) for image in images]
    requests += [segment_pb2.SegmentRequest(image=image, boxes=boxes, lent=lent) for image in images]
    requests += [
        postprocess_pb2.PostprocessRequest(crop=crop, mask=alpha, photo=size, finish=finish, lent=lent)
        for alpha in (mask, soft)
        for finish in finishes
    ]
    requests += [
        upscale_pb2.UpscaleRequest(images=images[:2], scale=scale, align=align, lent=lent)
        for scale in (2, 4)
        for align in upscale_pb2.ColorAlign.keys()  # noqa: SIM118
    ]
    pair = ImageMessage(tensor=tensor(np.hstack([photo(), photo()])))
    requests += [quality_pb2.ScoreRequest(images=images), quality_pb2.ScoreRequest(images=[pair, pair], pairs=True)]
    cameras = CameraPair(left=Camera(yaw=170, vfov=90), right=Camera(yaw=-170, pitch=20, roll=5, vfov=60, xi=0.5))
    given = [preprocess_pb2.Interval(interval=number, cameras=[cameras, cameras]) for number in (3, 1)]
    views: dict[str, Any] = {"any_ratio": True, "view": size, "lent": lent}
    requests += [
        preprocess_pb2.PreprocessRequest(panoramas=images[:1], seed=1, intervals=[5, 8], **views),
        preprocess_pb2.PreprocessRequest(panoramas=images[1:3], cameras=given, **views),
        interpolate_pb2.InterpolateRequest(panoramas=images[:1], cameras=[cameras], views=2, **views),
        interpolate_pb2.InterpolateRequest(panoramas=images[1:3], cameras=[cameras, cameras], views=1, **views),
    ]
    chosen: dict[str, Any] = {"any_ratio": True, "view": size, "seed": 1, "views": 1, "min_score": 0}
    requests += [
        views_pb2.ViewsServiceProcessRequest(
            panoramas=images[:1], intervals=[5], scale=1, no_descriptions=True, **chosen
        ),
        views_pb2.ViewsServiceProcessRequest(
            panoramas=images[1:3], cameras=given, no_cache=True, descriptions={3: "a"}, **chosen
        ),
    ]
    for image, output, finish in zip(images, outputs * 2, finishes * 2, strict=False):
        common: dict[str, Any] = {"image": image, "finish": finish, "output": output, "no_cache": True}
        requests += [
            pipeline_pb2.ProcessRequest(**common, boxes=boxes, phrases=["a", "b"], ordered=True),
            pipeline_pb2.ProcessRequest(**common, masks=[mask, soft], max_objects=2, max_parallel=1, request_id="r"),
            pipeline_pb2.ProcessRequest(**common, phrases=["cup"], merge=True, detect=thresholds),
            pipeline_pb2.ProcessRequest(**common, describe=look),
        ]
    known = hostile_oip.valid(photo(), images[1].encoded)
    return {
        path: known.get(path) or [one for one in requests if isinstance(one, kind)] or [sample(kind, images[0])]
        for path, (kind, _) in METHODS.items()
    }


def sample(kind: type[Message], image: ImageMessage) -> Message:
    """A likely request of a service of which nothing is known: every field is set, once."""
    request = kind()
    declared: Any = kind.DESCRIPTOR.fields
    for field in declared:
        if field.message_type is None:
            value: Any = {"string": "word", "bytes": b"bytes"}.get(KINDS.get(field.type, ""), 1)
        elif field.message_type is ImageMessage.DESCRIPTOR:
            value = image
        else:
            value = sample(GetMessageClass(field.message_type), image)
        if field.is_repeated:
            getattr(request, field.name).append(value)
        elif field.message_type is None:
            setattr(request, field.name, value)
        else:
            getattr(request, field.name).CopyFrom(value)
    return request


class Hostile:
    """Cases by number: the same seed and number make the same bytes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.valid = valid()
        self._all = [request.SerializeToString() for requests in self.valid.values() for request in requests]

    def case(self, number: int) -> tuple[str, str, bytes]:
        """The method's path, what was done, and the request's bytes."""
        dice = random.Random(f"{self._seed}-{number}")
        path = dice.choice(list(self.valid))
        request = dice.choice(self.valid[path])
        change = dice.choices((fields, bits, cut, noise, self._splice, self._random), (50, 15, 10, 10, 10, 5))[0]
        return path, change.__name__.strip("_"), change(dice, request)

    def _splice(self, dice: random.Random, request: Message) -> bytes:
        data = request.SerializeToString()
        other = dice.choice(self._all)
        return data[: dice.randint(0, len(data))] + other[dice.randint(0, len(other)) :]

    def _random(self, dice: random.Random, request: Message) -> bytes:
        return dice.randbytes(dice.choice((0, 1, 10, 100, 1000, 20_000, 100_000)))


def bits(dice: random.Random, request: Message) -> bytes:
    """Some bits the other way."""
    data = request.SerializeToString()
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8) if data else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice: random.Random, request: Message) -> bytes:
    """A piece is missing, or there twice, or many times."""
    data = request.SerializeToString()
    start = dice.randint(0, len(data))
    end = min(len(data), start + dice.choice((1, 2, 10, 1000)))
    return data[:start] + data[start:end] * dice.choice((0, 0, 2, 50)) + data[end:]


def noise(dice: random.Random, request: Message) -> bytes:
    """Something in between: numbers without an end, groups, other fields."""
    data = request.SerializeToString()
    start = dice.randint(0, len(data))
    extra = dice.choice((b"\xff" * 10 + b"\1", b"\x80" * 9, b"\x0b" * 200, b"\x0a" * 200, dice.randbytes(8)))
    return data[:start] + extra + data[start:]


def fields(dice: random.Random, request: Message) -> bytes:
    """One to three fields, at any depth, hold what they should not."""
    changed = type(request)()
    changed.CopyFrom(request)
    for _ in range(dice.randint(1, 3)):
        message = dice.choice(list(messages(changed)))
        held: Any = message.DESCRIPTOR.fields
        if held:
            spoil(dice, message, dice.choice(held))
    return changed.SerializeToString()


def messages(message: Message) -> Iterator[Message]:
    """A message, and those that it holds."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not is_map(field):
            for one in value if field.is_repeated else (value,):
                yield from messages(one)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def spoil(dice: random.Random, message: Message, field: FieldDescriptor) -> None:
    if dice.random() < 0.15:
        message.ClearField(field.name)
        return
    held = getattr(message, field.name)
    if is_map(field) and type(message).DESCRIPTOR.file.package == "inference":  # of parameters
        parameter = held[dice.choice(hostile_oip.PARAMETERS)]
        spoil(dice, parameter, dice.choice(parameter.DESCRIPTOR.fields))
        return
    if is_map(field):  # of a number and a text; the only other one in a request
        held[dice.randrange(-1, 10)] = dice.choice(TEXTS)
        return
    if field.message_type is not None:
        if not field.is_repeated:
            held.SetInParent()
        else:
            copies = dice.choice((1, 1, 3, 1000))
            held.extend([held[0] if held else GetMessageClass(field.message_type)()] * copies)
        return
    value = hostile(dice, field)
    if not field.is_repeated:
        setattr(message, field.name, value)
    elif held and dice.random() < 0.6:
        held[dice.randrange(len(held))] = value
    else:
        held.extend([value] * dice.choice((1, 1, 2, 200)))


def hostile(dice: random.Random, field: FieldDescriptor) -> Any:
    """A value that fits the field's type, if nothing else."""
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return dice.choice(FLOATS) if dice.random() < 0.7 else dice.uniform(-50, 50)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return dice.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return dice.randbytes(dice.choice((0, 1, 100, WIDTH * HEIGHT * 3, 70_000)))
        return dice.choice(TEXTS)
    number = dice.choice(NUMBERS) if dice.random() < 0.7 else dice.randint(-5, 50)
    if kind == FieldDescriptor.CPPTYPE_UINT64:
        return number % 2**64
    if kind == FieldDescriptor.CPPTYPE_UINT32:
        return number % 2**32
    width = 64 if kind == FieldDescriptor.CPPTYPE_INT64 else 32
    return (number + 2 ** (width - 1)) % 2**width - 2 ** (width - 1)
