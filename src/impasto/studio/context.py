"""What routes work with: the folders, the jobs, the loaded models and the live events."""

from dataclasses import dataclass, field
from typing import Annotated

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
