"""Events as JSON can hold them."""

from tensorhop.client.cutouts.event_json import event_json
from tensorhop.values.geometry import Box
from tensorhop.values.results import Detection, ObjectFault


def test_facts_leave_out_pixels_alone() -> None:
    fault = ObjectFault(Detection(3, "cup", 0, 0.5, Box(1, 2, 3, 4)), "segment", "INTERNAL", "", "why", False, None)
    assert event_json(fault) == {
        "event": "fault", "index": 3, "label": "cup", "phrase_index": 0, "score": 0.5, "box": [1, 2, 3, 4],
        "unknown_phrase": False,
        "step": "segment", "code": "INTERNAL", "field": "", "message": "why", "retryable": False,
    }  # fmt: skip
