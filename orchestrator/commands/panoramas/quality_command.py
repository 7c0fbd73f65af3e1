"""`tensorhop quality`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.commands.panoramas.model_options import choice_of, quality_model
from tensorhop.orchestrator.commands.panoramas.upscale_command import ServiceAt
from tensorhop.orchestrator.commands.run_options import AsJson, Images, option
from tensorhop.serving.settings_options import client_options

if TYPE_CHECKING:
    from tensorhop.orchestrator.commands.panoramas.one_service import Ask
    from tensorhop.orchestrator.run.inputs import Input


@client_options
@quality_model
def quality_command(
    models: dict[str, Any],
    images: Images = None,
    pairs: Annotated[
        bool, option("Take each picture for a pair of views: its left half beside its right one.", "--pairs")
    ] = False,
    as_json: AsJson = False,
    endpoint: ServiceAt = None,
) -> None:
    """Score pictures, or pairs of views: 0 (worst) to 1 (best).

    Exit code: 0 done, 1 something failed, 2 wrong use, 4 the endpoint cannot be reached or wants a token.
    """
    from tensorhop.orchestrator.commands.panoramas.one_service import run_pictures
    from tensorhop.orchestrator.run.files import WrongUse
    from tensorhop.orchestrator.run.inputs import find_inputs
    from tensorhop.v1 import image_pb2, quality_pb2
    from tensorhop.wire.codec import Packet
    from tensorhop.wire.payloads import Payloads

    def work(picture: "Input", ask: "Ask") -> tuple[str, dict[str, Any]]:
        payloads = Payloads()
        image = image_pb2.Image(encoded=payloads.put(picture.read()))
        answer = ask(Packet(quality_pb2.ScoreRequest(images=[image], pairs=pairs), payloads)).message
        quality = answer.quality
        scores = {name: round(value, 4) for name, value in sorted(quality.scores.items())}
        score = round(quality.score, 4) if quality.scored else None
        further = "".join(f", {name} {value:.2f}" for name, value in scores.items())
        words = ("no score" if score is None else f"score {score:.2f}") + further
        row = {"score": score, "scores": scores, "text": quality.text, "model": answer.model.name}
        return words, row

    try:
        choice = choice_of("quality", models, endpoint)
        pictures, _ = find_inputs(images or [], False, None)
        if not pictures:
            raise WrongUse("name an IMAGE or a directory")
        raise typer.Exit(run_pictures("quality", "Score", pictures, work, endpoint, choice, as_json))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
