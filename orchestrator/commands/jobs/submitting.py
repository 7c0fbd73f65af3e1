"""`tensorhop jobs submit`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage

from tensorhop.client.cutouts.requests import process_request
from tensorhop.client.jobs import PREFIX
from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.commands.jobs.connection import Connection, connected
from tensorhop.orchestrator.jobs.chains import methods
from tensorhop.orchestrator.run.files import WrongUse
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, photo_request
from tensorhop.orchestrator.run.runner import DONE
from tensorhop.units import read_duration
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.wire.codec import encode
from tensorhop.wire.payloads import Payloads


@dataclass(frozen=True)
class Submission:
    """What is said of the jobs themselves."""

    priority: str
    webhook: str
    key: str
    live: str | None

    def request(self) -> pb.SubmitJobRequest:
        """Raises InvalidInput: the time is none."""
        made = pb.SubmitJobRequest(
            priority=f"JOB_PRIORITY_{self.priority.upper()}", webhook=self.webhook, idempotency_key=self.key
        )
        if self.live is not None:
            try:
                made.time_to_live.FromMilliseconds(int(1000 * read_duration(self.live)))
            except (ValueError, OverflowError) as error:
                raise InvalidInput("--live", f"is {self.live!r}; {error}") from error
        return made


def submit_jobs(
    endpoint: str,
    chosen: Submission,
    images: Sequence[Path],
    file: str | None,
    values: Mapping[str, Any],
    phrases: Sequence[str],
    boxes: Sequence[Sequence[float]],
) -> int:
    """Submit, and return the exit code. Raises typer.BadParameter: wrong use."""
    try:
        if bool(images) == (file is not None):
            raise WrongUse("name photos, or a --request of any chain")
        if chosen.key and len(images) > 1:
            raise WrongUse(f"--key belongs to one job; there are {len(images)} photos")
        if boxes and len(images) > 1:
            raise WrongUse(f"--box belongs to one photo; there are {len(images)}")
        if file is not None and (values or phrases or boxes):
            raise WrongUse("--request says all of a request; options of photos have no place beside it")
        request = chosen.request()
        requests = [read_request(file)] if file is not None else photo_requests(images, values, phrases, boxes)
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error

    def work(jobs: Connection) -> int:
        for kind, data in requests:
            payloads = Payloads()
            request.request.CopyFrom(AnyMessage(type_url=PREFIX + kind, value=payloads.put(data)))
            typer.echo(jobs.ask("SubmitJob", request, payloads).job.id)
        return DONE

    return connected(endpoint, work)


def photo_requests(
    images: Sequence[Path],
    values: Mapping[str, Any],
    phrases: Sequence[str],
    boxes: Sequence[Sequence[float]],
) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of a request for each photo. All can be read before the first is submitted.

    Raises:
        WrongUse: a photo cannot be read.
        InvalidInput: an option is out of its range.
    """
    options = photo_request(PhotoOptions(**values), Destination(Path()), phrases=phrases, boxes=boxes).request
    for path in images:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    if images:
        process_request(images[0].read_bytes(), **options)  # refuses what is out of its range
    return (_photo(path, options) for path in images)


def _photo(path: Path, options: Mapping[str, Any]) -> tuple[str, bytes]:
    packet, _ = process_request(path.read_bytes(), **options)
    return packet.message.DESCRIPTOR.full_name, encode(packet)


def read_request(file: str) -> tuple[str, bytes]:
    """The name and the bytes of a request in JSON. Raises WrongUse: it cannot be read, or is none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        given = json.loads(text)
        name = str(given.pop("@type")).rpartition("/")[2]
        kind = next(one.request for one in methods() if one.descriptor.input_type.full_name == name)
        return name, json_format.ParseDict(given, kind()).SerializeToString()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from error
    except StopIteration:
        known = ", ".join(one.descriptor.input_type.full_name for one in methods())
        raise WrongUse(f"the @type in {file} is {name}; known are {known}") from None
    except (KeyError, AttributeError):
        raise WrongUse(f"{file} is no JSON object with an @type, such as tensorhop.v1.ProcessRequest") from None
    except (ValueError, json_format.ParseError) as error:
        raise WrongUse(f"{file} is no request: {error}") from error
