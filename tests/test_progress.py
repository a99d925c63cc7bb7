"""Progress of long work, as lines."""

import re

import pytest

from impasto.progress import ProgressLine, counting


def test_a_rate_is_shown_once_something_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(1200, start=1000, what="pictures")
    line.update(1000)
    line.update(1100)  # within ten seconds of the last line
    line.update(1200)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "1,000 of 1,200 pictures"
    assert re.fullmatch(r"1,200 of 1,200 pictures, [\d.]+/s, 0 s left", last)


def test_work_that_was_done_before_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("pictures") as report:
        report(21, 21)
    assert capsys.readouterr().err == "21 of 21 pictures\n"
