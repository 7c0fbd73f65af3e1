"""The table of options: each one's name, the field of ProcessRequest that it sets, its kind of value, and its help.

Command line, manifest and HTTP make their options from this table. Each of them may have a few more of its own.
"""

from dataclasses import dataclass
from typing import Any

from tensorhop.options.kinds import BOOLEAN, BOXES, NUMBER, SIZE, TEXT, TEXTS, WHOLE, Kind, choice
from tensorhop.values.describe_options import LOOKS, MAX_NEW_TOKENS, NUM_BEAMS
from tensorhop.values.finish_options import PROFILES, SHADOWS, Finish
from tensorhop.values.finish_presets import FINISH_PRESETS
from tensorhop.values.output_options import ENCODINGS, FITS, PNG_LEVEL, QUALITY

LOOK, FINISH, OUTPUT = "What to look for", "Finish", "Output"  # panels of --help
FILE_FORMATS = tuple(name for name in ENCODINGS if name != "tensor")
DEFAULT = Finish()


@dataclass(frozen=True)
class Option:
    """One option. `flag` and `http` are its names on the command line and over HTTP, where they are other ones."""

    name: str  # in Python, and in a manifest: there also with "-" for "_"
    path: str  # the field of ProcessRequest that it sets, dotted; "" if it sets none by itself
    kind: Kind
    help: str
    default: Any = None  # as JSON has it; None if saying nothing differs from saying any value
    panel: str | None = None  # of --help
    default_text: str = ""  # what stands for a default of None
    metavar: str | None = None  # what stands for the value in --help; its kind's if not given
    least: int | None = None  # the least number that command line and manifest take; all else is checked further on
    argument: str = ""  # of PipelineClient.process, or of the class in it; the end of the path if not given
    flag: str = ""  # "--prompt"
    http: str = ""  # in forms, queries and JSON

    @property
    def http_name(self) -> str:
        return self.http or self.name

    @property
    def flags(self) -> str:
        """As the command line declares it: "--max-objects", "--center/--no-center"."""
        if self.flag:
            return self.flag
        name = self.name.replace("_", "-")
        return f"--{name}/--no-{name}" if self.kind is BOOLEAN and self.default is not False else f"--{name}"


OPTIONS = [
    # What to look for.
    Option(
        "phrases",
        "phrases",
        TEXTS,
        "Look for this; repeatable. Skips describe. Beside boxes and masks, phrases are their labels, one each.",
        panel=LOOK,
        flag="--prompt",
    ),
    Option(
        "look",
        "describe.look",
        choice(LOOKS),
        "Show describe the central object, or the whole photo.",
        LOOKS[0],
        LOOK,
    ),
    Option(
        "describe_prompt",
        "describe.prompt",
        TEXT,
        "Start the description with this text, such as: a photo of. Not every model takes it.",
        panel=LOOK,
    ),
    Option(
        "max_new_tokens",
        "describe.generation.max_new_tokens",
        WHOLE,
        "Let the description have at most this many tokens, 1 to 100. Not every model takes it.",
        panel=LOOK,
        default_text=str(MAX_NEW_TOKENS),
    ),
    Option(
        "num_beams",
        "describe.generation.num_beams",
        WHOLE,
        "Follow this many beginnings of a description at once (beam search), 1 to 8. Not every model takes it.",
        panel=LOOK,
        default_text=str(NUM_BEAMS),
    ),
    Option(
        "boxes",
        "boxes",
        BOXES,
        "Cut out what is in this box, in pixels of the upright photo; repeatable. Skips describe and detect.",
        panel=LOOK,
        flag="--box",
    ),
    Option(
        "score_threshold",
        "detect.score_threshold",
        NUMBER,
        "Drop detections with a lower score, 0 to 1.",
        panel=LOOK,
        default_text="the model's",
        metavar="SCORE",
    ),
    Option(
        "iou_threshold",
        "detect.iou_threshold",
        NUMBER,
        "Drop the worse of two detections that overlap more than this (intersection over union), 0 to 1.",
        panel=LOOK,
        default_text="the model's",
        metavar="PART",
    ),
    Option("max_objects", "max_objects", WHOLE, "Cut out at most this many objects, best first.", 4, LOOK, least=1),
    Option("max_parallel", "max_parallel", WHOLE, "Finish at most this many objects at once.", 4, LOOK, least=1),
    Option("merge", "merge", BOOLEAN, "Finish all objects as one, such as a pair of shoes.", False, LOOK),
    # Finish.
    Option(
        "preset",
        "",
        choice([*FINISH_PRESETS]),
        "Choose options that belong together; those given beside it win. marketplace: a square JPEG, pure white, the "
        "object over 85 % of it, without a shadow. flask: a JPEG of 512x512 on white, with the shadow of a backdrop.",
        panel=FINISH,
    ),
    Option(
        "center",
        "finish.center",
        BOOLEAN,
        "Center the object on a canvas, or leave it where it is in the photo.",
        DEFAULT.center,
        FINISH,
    ),
    Option(
        "canvas",
        "finish.canvas",
        SIZE,
        "Give a centered object a canvas of this size in pixels.",
        "{}x{}".format(*DEFAULT.canvas),
        FINISH,
    ),
    Option(
        "fill",
        "finish.fill",
        NUMBER,
        "Let a centered object fill this part of the canvas, above 0 to 1.",
        DEFAULT.fill,
        FINISH,
        metavar="PART",
    ),
    Option(
        "max_scale",
        "finish.max_scale",
        NUMBER,
        "Enlarge a small object at most this much to fill the canvas, 1 to 100.",
        DEFAULT.max_scale,
        FINISH,
        metavar="FACTOR",
    ),
    Option(
        "refine",
        "finish.refine",
        BOOLEAN,
        "Move a coarse mask's edges onto the object's.",
        DEFAULT.refine,
        FINISH,
        default_text="yes, unless masks are given",
    ),
    Option(
        "decontaminate",
        "finish.decontaminate",
        BOOLEAN,
        "Take the background's colour out of soft edges.",
        DEFAULT.decontaminate,
        FINISH,
    ),
    Option(
        "shadow",
        "finish.shadow.kind",
        choice(SHADOWS),
        "Draw no shadow, a soft one where the object stands, that and the one it casts, the one on a light backdrop "
        "that the object lies on, or what a network draws (--shadow-model).",
        DEFAULT.shadow,
        FINISH,
        argument="shadow",
    ),
    Option(
        "rot",
        "finish.shadow.rot",
        NUMBER,
        "Cast the shadow in this direction: 0 away from the viewer, 90 to the right.",
        DEFAULT.rot,
        FINISH,
        metavar="DEGREES",
    ),
    Option(
        "shadow_length",
        "finish.shadow.length",
        NUMBER,
        "Make the shadow this long, in heights of the object, or on a backdrop in thicknesses, 0 to 4.",
        panel=FINISH,
        default_text="0.7, or 1.2 on a backdrop",
        metavar="HEIGHTS",
        http="length",
    ),
    Option(
        "shadow_softness",
        "finish.shadow.softness",
        NUMBER,
        "Blur the shadow by this part of the light's way to the ground, 0 to 0.25.",
        panel=FINISH,
        default_text="0.035, or 0.175 on a backdrop",
        metavar="PART",
        http="softness",
    ),
    Option(
        "shadow_opacity",
        "finish.shadow.opacity",
        NUMBER,
        "Take this part of the light out of the shadow, 0 to 1.",
        DEFAULT.opacity,
        FINISH,
        metavar="PART",
        http="opacity",
    ),
    Option(
        "shadow_thickness",
        "finish.shadow.thickness",
        NUMBER,
        "Take the object on a backdrop for this thick, in its longer sides, above 0 to 1.",
        panel=FINISH,
        default_text="0.14, or 0.3 if it is round",
        metavar="SIDES",
        http="thickness",
    ),
    Option(
        "shadow_profile",
        "finish.shadow.profile",
        choice(PROFILES),
        "Take the object on a backdrop for equally thick, or for thickest in its middle.",
        DEFAULT.profile,
        FINISH,
        http="profile",
    ),
    Option(
        "shadow_bounce",
        "finish.shadow.bounce",
        NUMBER,
        "Throw this part of the object's light onto the backdrop, 0 to 2.",
        DEFAULT.bounce,
        FINISH,
        metavar="PART",
        http="bounce",
    ),
    Option(
        "shadow_backdrop",
        "finish.shadow.backdrop",
        TEXT,
        "Draw the shadow for a backdrop of this colour: a CSS colour name, #rgb or #rrggbb.",
        panel=FINISH,
        default_text="the background, or light grey",
        metavar="COLOUR",
        http="backdrop",
    ),
    # Output.
    Option("format", "output.encoding", choice(FILE_FORMATS), "Write picture files of this format.", "png", OUTPUT),
    Option("quality", "output.quality", WHOLE, "Write webp and jpeg of this quality, 1 to 100.", QUALITY, OUTPUT),
    Option(
        "png_level",
        "output.png_level",
        WHOLE,
        "Compress png at this level, 1 (fastest) to 9 (smallest). All levels are lossless.",
        PNG_LEVEL,
        OUTPUT,
        metavar="LEVEL",
    ),
    Option(
        "background",
        "output.background",
        TEXT,
        "Put the object on this colour: a CSS colour name, #rgb or #rrggbb, or transparent.",
        panel=OUTPUT,
        default_text="light grey for a backdrop, else none, or white for jpeg",
        metavar="COLOUR",
    ),
    Option(
        "background_fit",
        "output.background_fit",
        choice(FITS),
        "Have a background picture cover the canvas, or be wholly on it.",
        FITS[0],
        OUTPUT,
    ),
    Option(
        "ordered",
        "ordered",
        BOOLEAN,
        "Give out objects in the order of their index, not as soon as each is done.",
        False,
        OUTPUT,
    ),
    # How it is worked out.
    Option(
        "cache",
        "no_cache",
        BOOLEAN,
        "Reuse and keep descriptions, boxes and masks, or compute everything anew.",
        True,
        argument="cache",
    ),
]
