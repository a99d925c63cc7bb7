"""Shared by several tests: DiedError, stop_after."""

from typing import Any

import pytest

from impasto.training.trainer import Trainer


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Make training die without a word (as by kill -9) after so many steps."""
    original, taken = Trainer.step, [0]

    def step(self: Trainer) -> Any:
        if taken[0] == steps:
            raise StoppedByTest
        taken[0] += 1
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)


class StoppedByTest(BaseException):
    pass
