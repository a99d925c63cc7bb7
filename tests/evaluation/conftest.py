"""Shared by the tests of this folder: quick."""

import pytest

from tests.helpers.evaluations import stand_in


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands with a stand-in for their feature networks."""
    monkeypatch.setattr(
        "impasto.features.load_network", lambda name, *, weights=None, device="cpu": stand_in(name)
    )
