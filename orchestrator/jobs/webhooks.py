"""Webhooks by the Standard Webhooks scheme: each finished item of a job, and its end."""

import base64
import binascii
import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from standardwebhooks import Webhook

from tensorhop.errors import InvalidInput
from tensorhop.orchestrator.jobs.chains import method_of_chain, without_pixels
from tensorhop.orchestrator.jobs.destination import post, read_url
from tensorhop.orchestrator.jobs.queue import Again
from tensorhop.orchestrator.jobs.runner import end_key
from tensorhop.orchestrator.jobs.store import UNFINISHED, Store
from tensorhop.settings import Settings
from tensorhop.v1 import jobs_pb2 as pb
from tensorhop.wire.codec import decode

MOST_RETRIES = 15  # over about 20 hours, with pauses from 5 s to 4 hours
LEAST_SECRET, MOST_SECRET = 24, 64  # bytes, as the scheme has it
ENDED, ITEM = "job.ended", "job.item"  # the types of webhooks
LONGEST_REASON = 200  # characters

log = logging.getLogger(__name__)


def read_secret(file: str) -> Webhook:
    """What signs webhooks, with the secret in a file: "whsec_" and base64 of 24 to 64 bytes.

    Raises:
        InvalidInput: the file cannot be read, or holds no such secret.
    """
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--webhook-secret-file", f"names {file}, which cannot be read: {error}") from error
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith("whsec_") or not LEAST_SECRET <= len(secret) <= MOST_SECRET:
        raise InvalidInput(
            "--webhook-secret-file",
            f"names {file}; it must hold whsec_ and the base64 of {LEAST_SECRET} to {MOST_SECRET} bytes",
        )
    return Webhook(secret)


class Webhooks:
    """Delivers webhooks.

    Raises:
        InvalidInput: as `read_secret` does.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._signer = read_secret(settings.webhook_secret_file) if settings.webhook_secret_file else None
        self._allow_private = settings.allow_private_webhooks

    @property
    def signs(self) -> bool:
        """Whether there is a secret; without one, no job can have a webhook."""
        return self._signer is not None

    def check(self, url: str) -> None:
        """Raises InvalidInput: webhooks cannot go there."""
        read_url(url, self._allow_private)

    def deliver(self, job: str, key: str, tried: int) -> None:
        """Send one webhook, unless it was delivered already.

        Args:
            key: of the event, or of the end.
            tried: how often it was tried before.

        Raises:
            Again: it could not be delivered, and is to be tried later.
        """
        record = self._store.read(job)
        if record is None or key in record.webhooks.delivered:
            return
        body = self._body(record, key)
        if body is None or self._signer is None:
            return
        reason = self._send(record.webhooks.url, f"{job}.{key}", json.dumps(body))
        if not reason:
            self._store.change(job, lambda one: _delivered(one, key))
            return
        last = tried >= MOST_RETRIES or reason == _status(HTTPStatus.GONE)
        self._store.change(job, lambda one: _not_delivered(one, key if last else "", reason))
        if not last:
            raise Again
        log.warning("webhook %s of job %s is given up after %d attempts: %s", key, job, tried + 1, reason)

    def _body(self, record: pb.Job, key: str) -> dict[str, Any] | None:
        """What a webhook says, the same for each attempt; None where there is nothing to say."""
        if record.state not in UNFINISHED and key == end_key(record):
            when = record.ended.ToDatetime(UTC)
            return {"type": ENDED, "timestamp": when.isoformat(), "data": job_json(record)}
        found = self._store.find_event(record.id, key)
        if found is None:
            return None
        index, event = found
        method = method_of_chain(record.chain)
        message = without_pixels(decode(method.response, event.data).message)
        data = {
            "job": record.id,
            "chain": record.chain,
            "index": index,
            "name": event.name,
            "event": json_format.MessageToDict(message),
        }
        return {"type": ITEM, "timestamp": record.started.ToDatetime(UTC).isoformat(), "data": data}

    def _send(self, url: str, name: str, body: str) -> str:
        """Why a webhook could not be delivered; "" if it was."""
        assert self._signer is not None
        moment = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tensorhop",
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._signer.sign(name, moment, body),
        }
        try:
            parts = read_url(url, allow_private=True)  # its addresses are checked by `post`
            status = post(parts, body.encode(), headers, self._allow_private)
        except (OSError, HTTPException, InvalidInput) as error:
            return str(error)[:LONGEST_REASON] or type(error).__name__
        return "" if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES else _status(status)


def job_json(record: pb.Job) -> dict[str, Any]:
    """A job as JSON, without what its caller knows and without the state of its webhooks."""
    told = pb.Job()
    told.CopyFrom(record)
    told.ClearField("webhooks")
    made: dict[str, Any] = json_format.MessageToDict(told)
    return made


def _status(status: int) -> str:
    return f"HTTP status {int(status)}"


def _delivered(job: pb.Job, key: str) -> bool:
    if key not in job.webhooks.delivered:
        job.webhooks.delivered.append(key)
    if key in job.webhooks.dead:
        job.webhooks.dead.remove(key)
    return True


def _not_delivered(job: pb.Job, dead: str, reason: str) -> bool:
    job.webhooks.message = reason
    if dead and dead not in job.webhooks.dead:
        job.webhooks.dead.append(dead)
    return True
