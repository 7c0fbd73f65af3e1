"""What a run says: how far it is, and how it ended."""

import io
from collections import Counter

import pytest

from tensorhop.orchestrator.run.reporter import Reporter, progress_text, totals_text


def test_time_left_counts_only_what_was_worked_on() -> None:
    ends = Counter(done=10, failed=2, skipped=100)
    text = progress_text(ends, 31, 200, 60)
    assert text == "112/200 photos, 31 cut-outs, 12.0 a minute, 0:07:20 left"
    assert progress_text(ends, 31, None, 60) == "112 photos, 31 cut-outs, 12.0 a minute"
    assert progress_text(Counter(skipped=3), 0, 9, 60) == "3/9 photos, 0 cut-outs"


def test_tally() -> None:
    ends = Counter(done=9, nothing=1, failed=1, skipped=1_002)
    assert totals_text(ends, 14, None, 25.14) == (
        "1,013 photos: 9 done, 1 without an object, 1 failed, 1,002 skipped as done before; 14 cut-outs in 25.1 s"
    )
    assert totals_text(Counter(done=1), 1, 3, 2) == "1 of 3 photos: 1 done; 1 cut-out in 2.0 s"
    assert totals_text(Counter(), 0, None, 2) == "0 photos; 0 cut-outs in 2.0 s"


@pytest.mark.parametrize(("terminal", "as_json"), [(True, False), (True, True), (False, False)])
def test_progress_is_for_people_at_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, as_json: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", stream)
    with Reporter(as_json, total=2) as reporter:
        reporter.progress.refresh()
    assert ("working" in stream.getvalue()) is (terminal and not as_json)
    assert "0 of 2 photos" in stream.getvalue()
