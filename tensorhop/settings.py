"""Settings: what an operator can set by an option or an environment variable (TENSORHOP_MAX_PIXELS=100000000)."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LEAST_RATE = 1000  # bytes a second, below which a caller stands still; the pings of a connection take a tenth of it


class Settings(BaseSettings):
    """How a process behaves, and what it accepts. Each refusal names the limit.

    What is not given is read from the environment: Settings(max_calls=8) has the other values from there.
    """

    model_config = SettingsConfigDict(env_prefix="TENSORHOP_")

    # Width x height of a photo. Pillow refuses to open images over 178,956,970 pixels at all.
    max_pixels: int = Field(100_000_000, ge=1, le=178_956_970)
    # Width or height of a photo.
    max_side: int = Field(32_767, ge=1)
    # Width or height of a canvas; max_pixels applies to it too.
    max_canvas_side: int = Field(16_384, ge=1)
    max_boxes: int = Field(500, ge=1)
    max_phrases: int = Field(100, ge=1)
    max_phrase_characters: int = Field(200, ge=1)
    max_objects: int = Field(500, ge=1)
    max_parallel: int = Field(64, ge=1)
    # Of one gRPC message, in both directions. A 100-megapixel photo has 300 million bytes.
    max_message_bytes: int = Field(512 * 1024 * 1024, ge=4 * 1024 * 1024, le=2**31 - 1)
    # Shared memory: the folder of the slots, and how many bytes of them an owner may have; 0 turns it off.
    shm_dir: str = "/dev/shm"
    shm_bytes: int = Field(1024 * 1024 * 1024, ge=0)
    # Whether malloc keeps large buffers; tensorhop/wire/allocator.py says what that costs.
    keep_buffers: bool = True
    # Where the pipeline keeps descriptions, detections and masks: memory, none, or a redis:// URL; how many bytes of
    # them (in memory), and for how many seconds.
    cache: str = "memory"
    cache_bytes: int = Field(256 * 1024 * 1024, ge=1)
    cache_seconds: int = Field(3600, ge=1)
    # The folder under which Image.path may name files; empty turns paths off.
    allow_path: str = ""
    # Inputs that may wait for a model; more are refused with RESOURCE_EXHAUSTED.
    max_queue: int = Field(512, ge=1)
    # Milliseconds that a batch which is not full waits for more; 0 starts at once.
    max_wait_ms: int = Field(0, ge=0)
    # Calls that one server works on or keeps waiting at once; more are refused with RESOURCE_EXHAUSTED.
    max_calls: int = Field(64, ge=1)
    # Seconds in which a caller may send nothing of its request, or take nothing of its answer, before it is given up;
    # nothing is less than LEAST_RATE. Shorter than the age of connections (30 s): one that is closed takes the reason along.
    max_stall_seconds: float = Field(20, gt=0, le=86_400)
    # Over HTTP: bytes of a request's body, and never more than max_message_bytes; seconds in which it, or the headers
    # before it, must be there, and a client may read nothing of its answer; requests that are worked on at once, each
    # of which may hold a whole body.
    max_upload_bytes: int = Field(128 * 1024 * 1024, ge=1)
    max_upload_seconds: float = Field(120, gt=0)
    max_requests: int = Field(16, ge=1)
    # TLS, client certificates and tokens; tensorhop/rpc/security.py says what each is.
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    require_client_cert: bool = False
    token_file: str = ""
    open_health: bool = True
    open_reflection: bool = False
    reflection: bool = True
    # HOST:PORT where Prometheus finds the metrics; empty for nowhere.
    metrics: str = ""
    log_format: Literal["text", "json"] = "text"

    def environment(self) -> dict[str, str]:
        """The environment variables from which a child process reads the same settings."""
        return {f"{self.model_config['env_prefix']}{name.upper()}": str(value) for name, value in self}


_current: Settings | None = None


def current_settings() -> Settings:
    """The settings of this process: what `use_settings` was given, or else the environment, read once."""
    global _current
    if _current is None:
        _current = Settings()
    return _current


def use_settings(settings: Settings | None) -> None:
    """Set the settings of this process.

    Objects made before keep the settings that they were made with.

    Args:
        settings: None has the environment read again.
    """
    global _current
    _current = settings
