"""The one table of parameters, for forms, queries and JSON, from which the OpenAPI description is made too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tensorhop.errors import InvalidInput
from tensorhop.values.finish_options import SHADOWS, Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.geometry import Size
from tensorhop.values.output_options import ENCODINGS, QUALITY, Output
from tensorhop.web.kinds import BOOLEAN, BOXES, NUMBER, SECONDS, SIZE, TEXT, TEXTS, WHOLE, Kind, choice

DEFAULT = Finish()
FORMATS = tuple(name for name in ENCODINGS if name != "tensor")


@dataclass(frozen=True)
class Parameter:
    name: str  # in forms, queries and JSON
    path: str  # the field of ProcessRequest that it sets; "" if it is for the HTTP server alone
    kind: Kind
    text: str
    default: Any = None


PARAMETERS = [
    Parameter("phrases", "phrases", TEXTS, "What to look for; skips describe. Beside boxes: their labels, one each."),
    Parameter("description", "phrases", TEXT, "One phrase: the name that older clients use."),
    Parameter("boxes", "boxes", BOXES, "Where the objects are, in pixels of the upright photo; skips detect."),
    Parameter("max_objects", "max_objects", WHOLE, "How many objects to finish, best first. Of one picture: 1.", 4),
    Parameter("max_parallel", "max_parallel", WHOLE, "How many objects may be finished at once.", 4),
    Parameter("score_threshold", "detect.score_threshold", NUMBER, "The least score of a detection, 0 to 1."),
    Parameter("iou_threshold", "detect.iou_threshold", NUMBER, "Overlap above which the worse detection goes, 0 to 1."),
    Parameter("merge", "merge", BOOLEAN, "Finish all objects as one.", False),
    Parameter("preset", "", choice([*FINISH_PRESETS]), "Choices that belong together; those given beside it win."),
    Parameter("center", "finish.center", BOOLEAN, "In the middle of a canvas, or as in the photo.", DEFAULT.center),
    Parameter("canvas", "finish.canvas", SIZE, "Size of a centered object's canvas.", "{}x{}".format(*DEFAULT.canvas)),
    Parameter("fill", "finish.fill", NUMBER, "The part of the canvas that the object takes, 0 to 1.", DEFAULT.fill),
    Parameter("max_scale", "finish.max_scale", NUMBER, "How far a small object may be enlarged.", DEFAULT.max_scale),
    Parameter("refine", "finish.refine", BOOLEAN, "Bring a coarse mask's edges onto the object's.", DEFAULT.refine),
    Parameter("decontaminate", "finish.decontaminate", BOOLEAN, "Take the background's colour out of edges.", True),
    Parameter("shadow", "finish.shadow", choice(SHADOWS), "Kind of shadow.", DEFAULT.shadow),
    Parameter("rot", "finish.shadow.rot", NUMBER, "Where it falls: degrees, 0 to the back, 90 right.", DEFAULT.rot),
    Parameter("length", "finish.shadow.length", NUMBER, "Of it, in heights of the object, 0 to 4.", DEFAULT.length),
    Parameter("softness", "finish.shadow.softness", NUMBER, "Of its edge, 0 to 0.25.", DEFAULT.softness),
    Parameter("opacity", "finish.shadow.opacity", NUMBER, "Of it, 0 to 1.", DEFAULT.opacity),
    Parameter("format", "output.encoding", choice(FORMATS), "Of the picture files.", "png"),
    Parameter("quality", "output.quality", WHOLE, "Of webp and jpeg files, 1 to 100.", QUALITY),
    Parameter("background", "output.background", TEXT, "A CSS colour name, #rgb or #rrggbb; white for jpeg."),
    Parameter("continue_on_error", "", BOOLEAN, "If false, the first object that fails fails the request.", True),
    Parameter("request_id", "request_id", TEXT, "Your name for the request; the header X-Request-Id is another way."),
    Parameter("timeout", "", SECONDS, "For the whole request; the header X-Request-Timeout is another way.", 600),
]
TABLE = {parameter.name: parameter for parameter in PARAMETERS}
NAMES = {parameter.path: parameter.name for parameter in reversed(PARAMETERS) if parameter.path}


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, beside the image."""

    keywords: dict[str, Any]  # of PipelineClient.process
    finish: Finish
    output: Output
    format: str | None  # if it was asked for by name
    continue_on_error: bool
    request_id: str
    timeout: float | None
    masks: list[Any] = field(default_factory=list)


def read(pairs: Iterable[tuple[str, str]], members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Values by parameter, from texts and from JSON members. An empty text leaves its parameter out.

    Raises:
        InvalidInput: an unknown parameter, one given twice that is no list, or a value of another kind.
    """
    found: dict[str, Any] = {}
    for name, text in pairs:
        if text or name not in TABLE:
            _add(found, name, text, text=True)
    for name, value in (members or {}).items():
        _add(found, name, value, text=False)
    return found


def _add(found: dict[str, Any], name: str, given: Any, text: bool) -> None:
    parameter = TABLE.get(name)
    if parameter is None:
        raise InvalidInput(name[:100] or "parameter", f"is no parameter; known are image, masks, {', '.join(TABLE)}")
    kind = parameter.kind
    if name in found and not kind.many:
        raise InvalidInput(name, "is given more than once")
    try:
        value = kind.from_text(given.strip()) if text else kind.from_json(given)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidInput(name, f"is {str(given)[:80]!r}; it must be {kind.expects}") from error
    found[name] = found.get(name, []) + value if kind.many else value


def wish(found: dict[str, Any]) -> Wish:
    """What values mean together: a preset lies under what was given beside it.

    Raises:
        InvalidInput: both description and phrases. All else is for the pipeline to refuse.
    """
    if "description" in found and "phrases" in found:
        raise InvalidInput("description", "came with phrases; they mean the same, give one of them")
    if "description" in found:
        found["phrases"] = [found.pop("description")]
    groups: dict[str, dict[str, Any]] = {"finish": {}, "output": {}, "": {}}
    for name, value in found.items():
        group, _, rest = TABLE[name].path.partition(".")
        if group == "finish":
            value = Size(*value) if name == "canvas" else value
            groups["finish"][rest.rpartition(".")[2]] = value
        elif group == "output":
            groups["output"][rest] = value
        elif TABLE[name].path and name != "request_id":
            groups[""][name] = value
    preset = FINISH_PRESETS.get(found.get("preset", ""))
    return Wish(
        keywords=groups[""],
        finish=replace(preset["finish"] if preset else DEFAULT, **groups["finish"]),
        output=replace(preset["output"] if preset else Output(), **groups["output"]),
        format=found.get("format"),
        continue_on_error=found.get("continue_on_error", True),
        request_id=found.get("request_id", ""),
        timeout=found.get("timeout"),
    )
