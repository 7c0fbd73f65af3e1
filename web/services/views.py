"""POST /views: the chain of views, whose events come as they are, with their pictures."""

from collections.abc import Callable
from typing import Any

from tensorhop.client.call import Call
from tensorhop.client.cutouts.event_json import event_json
from tensorhop.client.views.events import PairResult, ViewResult, ViewsEvent, read_event
from tensorhop.client.views.requests import views_request
from tensorhop.errors import InvalidInput, ServiceFault, fault_of
from tensorhop.options.kinds import BOOLEAN, NUMBER, SEED, WHOLE, WHOLES
from tensorhop.options.table import Option
from tensorhop.rpc.remote import Remote
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.web.problem import fault_members
from tensorhop.web.requests.parameters import RECORD
from tensorhop.web.services.cameras import DESCRIPTIONS, INTERVAL_CAMERAS
from tensorhop.web.services.destination import Destination, stems_of
from tensorhop.web.services.operations import ANY_RATIO, FORMAT, OUTPUT_DIR, OVERWRITE, SIZE_OF_VIEW, table_of
from tensorhop.web.services.sources import Given
from tensorhop.web.services.work import Item
from tensorhop.wire.panorama_messages import VIEWS

VIEWS_OPTIONS = table_of(
    Option("seed", "seed", SEED, "Draw the same cameras each time."),
    Option("intervals", "intervals", WHOLES, "Take these intervals of 45 degrees, 1 to 8.", default_text="all"),
    Option("cameras", "cameras", INTERVAL_CAMERAS, "Use these cameras instead of drawn ones."),
    SIZE_OF_VIEW,
    ANY_RATIO,
    Option("min_score", "min_score", NUMBER, "Keep intervals whose least score is at least this; 0 keeps all.", 0.7),
    Option("views", "views", WHOLE, "Make so many views between left and right, 0 to 100.", VIEWS),
    Option("scale", "scale", WHOLE, "Enlarge these views by 1 (not at all), 2 or 4.", 2),
    Option("descriptions", "descriptions", DESCRIPTIONS, "Say what right views show, by interval."),
    Option("describe", "no_descriptions", BOOLEAN, "Describe the other right views.", True),
    Option("cache", "no_cache", BOOLEAN, "Reuse and keep scores, descriptions and enlarged views.", True),
    Option("max_parallel", "max_parallel", WHOLE, "Work on at most this many intervals at once.", 4),
    RECORD,
    FORMAT,
    OUTPUT_DIR,
    OVERWRITE,
)
VIEWS_EVENTS = ("pair", "score", "decision", "description", "view", "fault")  # beside the summary
PASSED = (
    *("seed", "intervals", "size", "any_ratio", "min_score", "views", "scale", "descriptions", "describe", "cache"),
    *("max_parallel", "record"),
)


class ViewsWork:
    """The events of a request to the chain of views.

    Args:
        request_id: of the request to the chain.
        others: as of `Work`.
    """

    def __init__(
        self,
        remote: Remote,
        given: Given,
        destination: Destination,
        enter: Callable[[], None],
        left: Callable[[], float],
        request_id: str,
    ) -> None:
        self._remote, self._given, self._destination = remote, given, destination
        self._enter, self._left, self._request_id = enter, left, request_id
        self._stem = stems_of([source.stem for source in given.sources])[0]
        self._call: Call[ViewsEvent] | None = None
        self._closed = False
        self._lost = 0  # pictures that could not be put in their place

    def __next__(self) -> Item:
        if self._call is None:
            self._call = self._start()
            if self._closed:  # since then; the other thread has not seen the call
                self._call.close()
        event = next(self._call)
        row = event_json(event)
        name = row.pop("event")
        if name == "summary":
            row["faults"] += self._lost
        if not isinstance(event, PairResult | ViewResult):
            return Item(name, row)
        file, picture = self._file(event), event.pixels if event.pixels is not None else event.file
        assert picture is not None
        try:
            told, kept = self._destination.put(file, picture)
        except (InvalidInput, ServiceFault) as error:
            self._lost += 1
            return self._fault(row, fault_of(error))
        return Item(name, row | told, file, kept)

    def close(self) -> None:
        """Cancel what is under way; from any thread."""
        self._closed = True
        if self._call is not None:
            self._call.close()

    def _start(self) -> Call[ViewsEvent]:
        values, sources = self._given.values, self._given.sources
        keywords: dict[str, Any] = {name: values[name] for name in PASSED if name in values}
        packet, timeout = views_request(
            *(source.read() for source in sources),
            **keywords,
            cameras=dict(values.get("cameras", ())),
            encoding=self._destination.output.encoding,
            request_id=self._request_id,
            timeout=self._left(),
        )
        self._enter()
        return Call(self._remote, "Process", packet, timeout, None, read_event)

    def _file(self, event: PairResult | ViewResult) -> str:
        """The name that `tensorhop views` gives to the picture, too."""
        start, number = f"{self._stem}-{event.interval}", event.panorama + 1
        if isinstance(event, PairResult):
            return f"{start}-pair-{number}"
        return f"{start}-view-{number}-{event.weight_idx:02d}" + (f"-x{event.scale}" if event.scale > 1 else "")

    def _fault(self, row: dict[str, Any], fault: pb.Fault) -> Item:
        about = {name: row.get(name, 0) for name in ("interval", "panorama", "weight_idx")}
        return Item("fault", about | fault_members(fault), fault=fault)
