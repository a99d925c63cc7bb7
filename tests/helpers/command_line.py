"""Shared by several tests: run, Say, say."""

import sys

import pytest

from impasto import cli


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, output and errors of `impasto ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["impasto", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    code = end.value.code
    captured = capsys.readouterr()
    return int(code or 0), captured.out, captured.err


class Say:
    """`impasto ...` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return run(self.capsys, self.monkeypatch, *arguments)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    return Say(capsys, monkeypatch)
