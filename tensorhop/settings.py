"""Settings: what an operator can set by an option or an environment variable (TENSORHOP_MAX_PIXELS=100000000)."""

import difflib
import logging
import os
import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tensorhop.errors import InvalidInput
from tensorhop.units import DURATION_EXAMPLES, SIZE_EXAMPLES, read_duration, read_size

log = logging.getLogger(__name__)

PREFIX = "TENSORHOP_"
INT32, INT64 = 2**31 - 1, 2**63 - 1
DAY = 86_400


def _from_text(read: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _milliseconds(text: str) -> float:
    return 1000 * read_duration(text, unit="ms")


Size = Annotated[int, _from_text(read_size)]  # bytes; 512MiB
Seconds = Annotated[int, _from_text(read_duration)]  # 30s, 2m
Milliseconds = Annotated[int, _from_text(_milliseconds)]  # 5ms
FloatSeconds = Annotated[float, _from_text(read_duration), Field(allow_inf_nan=False)]
EXPECTED = {  # by the type of pydantic's error, what is expected instead
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_parsing_size": "it has too many digits",
    "int_type": "it must be a whole number",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "finite_number": "it must be a finite number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "string_type": "it must be text",
    "greater_than": "it must be above {gt:,}",
    "greater_than_equal": "it must be at least {ge:,}",
    "less_than_equal": "it must be at most {le:,}",
    "literal_error": "it must be {expected}",
    "extra_forbidden": "there is no such setting",
}
LEAST_RATE = 1000  # bytes a second, below which a caller stands still; the pings of a connection take a tenth of it


class Settings(BaseSettings):
    """How a process behaves, and what it accepts. Each refusal names the limit.

    What is not given is read from the environment: Settings(max_calls=8) has the other values from there. A variable
    that is empty counts as not set. Bytes may have a unit (512MiB, 1g), times too (30s, 2m).

    Raises:
        InvalidInput: a value is refused; it names the variable, or the argument.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _refusal(error, given) from None

    # Width x height of a photo. Pillow refuses to open images over 178,956,970 pixels at all.
    max_pixels: int = Field(100_000_000, ge=1, le=178_956_970)
    # Width or height of a photo.
    max_side: int = Field(32_767, ge=1, le=INT32)
    # Width or height of a canvas; max_pixels applies to it too.
    max_canvas_side: int = Field(16_384, ge=1, le=INT32)
    max_boxes: int = Field(500, ge=1, le=INT32)
    max_phrases: int = Field(100, ge=1, le=INT32)
    max_phrase_characters: int = Field(200, ge=1, le=INT32)
    max_objects: int = Field(500, ge=1, le=INT32)
    max_parallel: int = Field(64, ge=1, le=INT32)
    # Of one gRPC message, in both directions. A 100-megapixel photo has 300 million bytes.
    max_message_bytes: Size = Field(512 * 1024 * 1024, ge=4 * 1024 * 1024, le=2**31 - 1)
    # Shared memory: the folder of the slots, and how many bytes of them an owner may have; 0 turns it off.
    shm_dir: str = "/dev/shm"
    shm_bytes: Size = Field(1024 * 1024 * 1024, ge=0, le=INT64)
    # Whether callers of the Open Inference Protocol may register shared memory of their own.
    oip_shm: bool = False
    # Whether malloc keeps large buffers; tensorhop/wire/allocator.py says what that costs.
    keep_buffers: bool = True
    # Where the pipeline keeps descriptions, detections and masks: memory, none, or a redis:// URL; how many bytes of
    # them (in memory), and for how many seconds.
    cache: str = "memory"
    cache_bytes: Size = Field(256 * 1024 * 1024, ge=1, le=INT64)
    cache_seconds: Seconds = Field(3600, ge=1, le=INT32)
    # The folder in which chains record requests, empty for nowhere: what part of them, 0 to 1; with their pixels, or
    # only digests; and how many bytes of recordings, and for how many seconds.
    record: str = ""
    record_sample: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    record_pixels: Literal["all", "none"] = "all"
    record_bytes: Size = Field(1024 * 1024 * 1024, ge=1, le=INT64)
    record_age: Seconds = Field(7 * DAY, ge=1, le=INT32)
    # The folder under which Image.path may name files; empty turns paths off.
    allow_path: str = ""
    # Over HTTP: the folder under which pictures may be written; empty for nowhere.
    allow_write: str = ""
    # The network that draws shadows of the kind "learned", an .onnx file, or empty for none; and the range of its
    # colours, "0,1" or "-1,1", or empty for what the file says, or else 0,1.
    shadow_model: str = ""
    shadow_model_range: str = ""
    # Of a chat model that scores pictures: the file with what it is told, or empty for our own words; and the number
    # that it gives a perfect picture.
    quality_prompt: str = ""
    quality_scale: float = Field(1, gt=0, le=1e6, allow_inf_nan=False)
    # Inputs that may wait for a model; more are refused with RESOURCE_EXHAUSTED.
    max_queue: int = Field(512, ge=1, le=INT32)
    # Seconds that an input may wait for a model: how many replicas are wanted, for autoscalers, follows from it.
    target_queue_seconds: FloatSeconds = Field(5, gt=0, le=DAY)
    # Milliseconds that a batch which is not full waits for more; 0 starts at once.
    max_wait_ms: Milliseconds = Field(0, ge=0, le=1000 * DAY)
    # Calls that one server works on or keeps waiting at once; more are refused with RESOURCE_EXHAUSTED.
    max_calls: int = Field(64, ge=1, le=INT32)
    # Seconds in which a caller may send nothing of its request, or take nothing of its answer, before it is given up;
    # nothing is less than LEAST_RATE. Shorter than the age of connections (30 s): one that is closed takes the reason
    # along.
    max_stall_seconds: FloatSeconds = Field(20, gt=0, le=DAY)
    # Seconds after which a server ends a connection in peace: calls under way finish, and the client connects anew. A
    # client that asks DNS only then finds new replicas. 0 keeps connections.
    max_connection_seconds: FloatSeconds = Field(0, ge=0, le=DAY)
    # Over HTTP: bytes of a request's body, and never more than max_message_bytes; seconds in which it, or the headers
    # before it, must be there, and a client may read nothing of its answer; requests that are worked on at once, each
    # of which may hold a whole body.
    max_upload_bytes: Size = Field(128 * 1024 * 1024, ge=1, le=INT64)
    max_upload_seconds: FloatSeconds = Field(120, gt=0, le=DAY)
    max_requests: int = Field(16, ge=1, le=INT32)
    # Jobs: the folder that keeps them (empty: Redis does, or else the user's state folder), the URL of the Redis that
    # queues them (empty: this process does), how many of each priority run at once, how many may be unfinished, and for
    # how long one is kept if its caller does not say.
    jobs_dir: str = ""
    jobs_redis: str = ""
    jobs_parallel: int = Field(1, ge=1, le=1000)
    max_jobs: int = Field(20_000, ge=1, le=INT32)
    jobs_seconds: Seconds = Field(DAY, ge=1, le=30 * DAY)
    # Webhooks of jobs: the file with the secret that signs them, whether they may go to private networks, and the pause
    # after the first attempt that fails, which doubles each time, up to 2,880 times as long.
    webhook_secret_file: str = ""
    allow_private_webhooks: bool = False
    webhook_pause: FloatSeconds = Field(5, gt=0, le=DAY)
    # TLS, client certificates and tokens; tensorhop/rpc/security.py says what each is.
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    require_client_cert: bool = False
    token_file: str = ""
    open_health: bool = True
    open_reflection: bool = False
    reflection: bool = True
    # Whether gRPC connections pass the proxy of http_proxy, https_proxy and no_proxy; never those to this machine.
    use_proxy: bool = False
    # HOST:PORT where Prometheus finds the metrics; empty for nowhere.
    metrics: str = ""
    log_format: Literal["text", "json"] = "text"

    def environment(self) -> dict[str, str]:
        """The environment variables from which a child process reads the same settings."""
        return {variable_of(name): str(value) for name, value in self}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def _refusal(error: ValidationError, given: dict[str, Any]) -> InvalidInput:
    """All that pydantic found, as sentences that name the variables, or the arguments."""
    found = []
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else "settings"
        expected = EXPECTED.get(one["type"], one["msg"]).format(**one.get("ctx", {}))
        if one["type"] == "value_error":  # of a reader of units
            expected = f"it must be {SIZE_EXAMPLES if name.endswith('bytes') else DURATION_EXAMPLES}"
        told = name if name in given else variable_of(name)
        value = given.get(name, os.environ.get(told, one["input"]))  # as it was written, not as it was read
        found.append((told, f"is {str(value)[:80]!r}; {expected}"))
    (name, message), *others = found
    return InvalidInput(name, "; ".join([message, *(" ".join(other) for other in others)]))


# Not settings of a process, and not misspelt: an option's own variable, those of docker-compose.yml and of the tests.
OTHERS = (
    "ENDPOINT",
    "VIEWS_ENDPOINT",
    "JOBS_ENDPOINT",
    "TARGET",
    "CPUS",
    "MEMORY",
    "PUBLISH",
    "PUBLISH_HTTP",
    "PUBLISH_VIEWS",
    "PUBLISH_JOBS",
    "TEST_MUTATIONS",
)
# What Kubernetes sets in every container for a service whose name begins with ours: TENSORHOP_PIPELINE_PORT_50050_TCP.
KUBERNETES = re.compile(r"(\w*_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)")
_warns = True


@cache
def warn_of_unknown() -> None:
    """Say once which TENSORHOP_ variables of the environment are no settings, with the nearest name."""
    known = [variable_of(name) for name in (*Settings.model_fields, *OTHERS)]
    for name in sorted(os.environ) if _warns else ():
        own = name.upper()
        if not own.startswith(PREFIX) or own in known or KUBERNETES.fullmatch(own.removeprefix(PREFIX)):
            continue
        near = difflib.get_close_matches(own, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        log.warning("%s is set, but there is no such setting%s", name, hint)


def warn_no_more() -> None:
    """For a child process, whose parent has said it already."""
    global _warns
    _warns = False


_current: Settings | None = None


def current_settings() -> Settings:
    """The settings of this process: what `use_settings` was given, or else the environment, read once.

    Raises:
        InvalidInput: a variable is refused.
    """
    global _current
    if _current is None:
        warn_of_unknown()
        _current = Settings()
    return _current


def use_settings(settings: Settings | None) -> None:
    """Set the settings of this process.

    Objects made before keep the settings that they were made with.

    Args:
        settings: None has the environment read again.
    """
    global _current
    if settings is not None:
        warn_of_unknown()
    _current = settings
