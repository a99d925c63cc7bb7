"""Progress of long work, as lines."""

import pytest

from impasto.progress import ProgressLine, counting


class Clock:
    """Seconds that a test sets, in place of `time.monotonic`."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("impasto.progress.time", clock)
    return clock


def test_the_rate_is_that_since_the_first_number(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine(475, what="steps")
    for seconds, done in ((4, 1), (9, 51), (14, 101), (52, 475)):  # a slow first step, then 10/s
        clock.now = 100.0 + seconds
        line.update(done)  # the second is within ten seconds of the last line
    assert capsys.readouterr().err.splitlines() == [
        "1 of 475 steps",
        "101 of 475 steps, 10.0/s, 37 s left",
        "475 of 475 steps, 9.9/s, 0 s left",
    ]


def test_the_time_left_is_what_the_caller_knows(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine(1000)
    for seconds, done, left in ((0, 100, None), (10, 200, 400.0)):
        clock.now = 100.0 + seconds
        line.update(done, left)
    assert "10.0/s, 7 min left" in capsys.readouterr().err


def test_a_rate_is_measured_for_two_seconds_before_it_is_shown(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ProgressLine(1200, what="pictures")
    line.update(1000)
    clock.now += 1.5
    line.update(1200)
    assert capsys.readouterr().err.splitlines() == [
        "1,000 of 1,200 pictures",
        "1,200 of 1,200 pictures",
    ]


def test_work_that_was_done_before_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("pictures") as report:
        report(21, 21)
    assert capsys.readouterr().err == "21 of 21 pictures\n"
