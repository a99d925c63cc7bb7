"""What routes work with: the folders, the jobs, the loaded models and the live events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from anyio import from_thread
from fastapi import Depends, Request

from impasto.studio.feeds import Feeds
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places


@dataclass(frozen=True)
class Studio:
    """One studio."""

    places: Places
    jobs: Jobs
    models: Models = field(default_factory=Models)
    feeds: Feeds = field(default_factory=Feeds)


def _studio(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


TheStudio = Annotated[Studio, Depends(_studio)]


def _gone(request: Request) -> Callable[[], bool]:
    async def ask() -> bool:
        # The first message of a request without a body is that it has none.
        return await request.is_disconnected() or await request.is_disconnected()

    return lambda: from_thread.run(ask)


Gone = Annotated[Callable[[], bool], Depends(_gone)]
"""Whether nobody waits for the answer any more. Called in the thread of a route."""
