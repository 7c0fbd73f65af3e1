"""`tensorhop upscale`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.options.table import OUTPUT
from tensorhop.orchestrator.commands.panoramas.model_options import choice_of, upscale_model
from tensorhop.orchestrator.commands.panoramas.views_command import PNG, Format
from tensorhop.orchestrator.commands.run_options import AsJson, Images, Overwrite, option
from tensorhop.serving.settings_options import client_options

if TYPE_CHECKING:
    from tensorhop.orchestrator.commands.panoramas.one_service import Ask
    from tensorhop.orchestrator.run.inputs import Input

Align = StrEnum("Align", ["none", "adain", "wavelet"])
Aligned = Annotated[Align | None, option("Bring the colours to those of the input.", show_default="the model's")]
ServiceAt = Annotated[
    str | None,
    option("Use the service that runs there. Without this, it starts in this process.", metavar="HOST:PORT"),
]


@client_options
@upscale_model
def upscale_command(
    models: dict[str, Any],
    images: Images = None,
    out: Annotated[Path, option("Write into this directory.", "--out", "-o", metavar="DIR", panel=OUTPUT)] = Path(
        "out"
    ),
    scale: Annotated[int, option("Enlarge by 2 or 4.", metavar="NUMBER")] = 2,
    align: Annotated[
        Align | None, option("Bring the colours to those of the input.", show_default="the model's")
    ] = None,
    prompt: Annotated[str, option("Say what the pictures show, for networks that take text.", metavar="TEXT")] = "",
    seed: Annotated[int | None, option("Draw the same noise each time.", metavar="NUMBER", show_default="none")] = None,
    encoding: Annotated[Format, option("Write pictures in this format.", panel=OUTPUT)] = PNG,
    as_json: AsJson = False,
    overwrite: Overwrite = False,
    endpoint: ServiceAt = None,
) -> None:
    """Make pictures larger and sharper: STEM-x2.png of each.

    Exit code: 0 done, 1 something failed, 2 wrong use, 4 the endpoint cannot be reached or wants a token.
    """
    from tensorhop.files import suffix_of, write_file
    from tensorhop.orchestrator.commands.panoramas.one_service import run_pictures
    from tensorhop.orchestrator.run.files import WrongUse, check_writable
    from tensorhop.orchestrator.run.inputs import find_inputs
    from tensorhop.orchestrator.run.own_files import REFUSED_SINGLE, NotOurs, Rights
    from tensorhop.v1 import image_pb2, upscale_pb2
    from tensorhop.values.encoding import encode_opaque
    from tensorhop.values.output_options import Output
    from tensorhop.wire.codec import Packet
    from tensorhop.wire.image_source import read_pixels
    from tensorhop.wire.payloads import Payloads

    def name_of(picture: "Input") -> str:
        return f"{picture.stem}-x{scale}{suffix_of(encoding.value)}"

    def work(picture: "Input", ask: "Ask") -> tuple[str, dict[str, Any]]:
        payloads = Payloads()
        request = upscale_pb2.UpscaleRequest(
            images=[image_pb2.Image(encoded=payloads.put(picture.read()))],
            scale=scale,
            prompt=prompt,
            align=f"COLOR_ALIGN_{align.name.upper()}" if align else None,
            seed=seed,
        )
        answer, received = ask(Packet(request, payloads))
        pixels = read_pixels(answer.image, received, "image")
        path = out / name_of(picture)
        rights.check(path, why=REFUSED_SINGLE)
        write_file(path, encode_opaque(pixels, Output(encoding.value)), replace=overwrite, follow=False)
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        return f"{size} -> {path}", {"file": str(path), "width": pixels.shape[1], "height": pixels.shape[0]}

    rights = Rights(overwrite)
    try:
        choice = choice_of("upscale", models, endpoint)
        pictures, _ = find_inputs(images or [], False, None)
        if not pictures:
            raise WrongUse("name an IMAGE or a directory")
        check_writable(out, "--out")
        taken: dict[str, str] = {}
        for picture in pictures:
            if picture.file:
                rights.read(picture.file)
            if (other := taken.setdefault(name_of(picture), picture.name)) != picture.name:
                raise WrongUse(f"{other} and {picture.name} would both have a file {name_of(picture)!r}")
        for name in taken:
            rights.check(out / name, why=REFUSED_SINGLE)
        raise typer.Exit(run_pictures("upscale", "Upscale", pictures, work, endpoint, choice, as_json))
    except NotOurs as error:
        raise typer.BadParameter(f"{error.filename} {error.strerror}") from error
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
