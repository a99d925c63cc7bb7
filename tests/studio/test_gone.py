"""A client that goes away before its pictures are painted."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from impasto.studio.app import create_app
from impasto.studio.context import Studio
from impasto.studio.security import Gate
from tests.studio.conftest import HOST, PORT, TOKEN


def _asked(studio: Studio, *, leaves: bool) -> int:
    """The status of a sheet that somebody asks for who leaves at once, or waits."""
    body = json.dumps({"model": "masters", "points": [{"seed": 1}]}).encode()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/gallery/sheet",
        "query_string": b"",
        "headers": [
            (b"host", HOST.encode()),
            (b"authorization", f"Bearer {TOKEN}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(create_app(studio, Gate(TOKEN, PORT))(scope, receive, send))
    return int(sent[0]["status"])


def test_nothing_is_painted_for_who_has_gone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    paint_points = Painter.paint_points

    def noted(self: Painter, points: Points) -> Iterator[np.ndarray]:
        painted.append(len(points))
        return paint_points(self, points)

    monkeypatch.setattr(Painter, "paint_points", noted)
    assert _asked(studio, leaves=True) == 400
    assert painted == []
    assert _asked(studio, leaves=False) == 200
    assert painted == [1]
