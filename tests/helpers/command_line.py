"""Shared by several tests: run, Say, say, invoke, done, without_torch."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from impasto import cli
from impasto.errors import ImpastoError


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


def invoke(*arguments: object) -> tuple[int, str]:
    """Exit code and output of `impasto ARGUMENTS`; of an expected error, 2 and its line."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, ImpastoError):
        return 2, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def done(*arguments: object) -> str:
    """Output of `impasto ARGUMENTS`, which ends with code 0."""
    code, text = invoke(*arguments)
    assert code == 0, text
    return text


_WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from impasto.cli import main; main()"


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`impasto ARGUMENTS` in a process of its own, in which importing torch is an error."""
    command = [sys.executable, "-c", _WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
