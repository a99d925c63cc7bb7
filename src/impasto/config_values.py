"""Kinds of values in configs: numbers with their ranges, and numbers that change over a run."""

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
)

from impasto.formatting import one_line
from impasto.resolution import Resolution, parse_resolution, recorded, short_side

MOST = 2**53
"""The largest whole number in a config: JSON's numbers are exact up to it in every program."""
Count = Annotated[int, Field(gt=0, le=MOST)]
Whole = Annotated[int, Field(ge=0, le=MOST)]
Line = Annotated[str, AfterValidator(one_line)]
"""A text of a file from elsewhere, as it is shown: one line without control characters."""
Steps = Annotated[int, Field(gt=0, le=1_000)]
"""Steps in which a picture is made."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _pixels(value: object) -> Resolution:
    resolution = parse_resolution(value)
    if short_side(resolution) < 1:
        raise ValueError("Input should be greater than 0")
    return resolution


PictureSize = Annotated[Resolution, PlainValidator(_pixels), PlainSerializer(recorded)]
"""The side of square pictures, such as 64, or width x height of rectangles, such as 192x256."""


def _rising(interval: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= interval[0] <= interval[1] <= 1:
        raise ValueError("an interval is two numbers from 0 to 1, the smaller one first")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Lowest and highest probability, such as (0.7, 1.0)."""


class Config(BaseModel):
    """Base of all settings: frozen; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Ramp(Config):
    """A number that changes from `start` to `end` along half a cosine wave over `images` images,
    then stays (R3GAN, Huang et al. 2024, arXiv:2501.05441, appendix)."""

    start: float
    end: float
    images: Count

    def at(self, images_seen: int) -> float:
        """The value after this many images."""
        share = min(images_seen / self.images, 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


def at(value: float | Ramp, images_seen: int) -> float:
    """The value of a number or ramp after this many images."""
    return value.at(images_seen) if isinstance(value, Ramp) else value


def _each(holds: Callable[[float], bool], words: str) -> Callable[[float | Ramp], float | Ramp]:
    """A check of a number, or of both ends of a ramp."""

    def check(value: float | Ramp) -> float | Ramp:
        ends = (value.start, value.end) if isinstance(value, Ramp) else (value,)
        if not all(holds(end) for end in ends):
            raise ValueError(f"Input should be {words}")
        return value

    return check


_Changing = Annotated[
    Annotated[float, Tag("number")] | Annotated[Ramp, Tag("ramp")],
    Discriminator(lambda value: "ramp" if isinstance(value, dict | Ramp) else "number"),
]
ScheduledPositive = Annotated[
    _Changing, AfterValidator(_each(lambda number: number > 0, "greater than 0"))
]
Scheduled = Annotated[
    _Changing, AfterValidator(_each(lambda number: number >= 0, "greater than or equal to 0"))
]
"""A number, or a ramp between two: `{start: 2, end: 0.2, images: 1000000}`."""
ScheduledShare = Annotated[
    _Changing, AfterValidator(_each(lambda number: 0 <= number <= 1, "from 0 to 1"))
]
ScheduledFraction = Annotated[
    _Changing, AfterValidator(_each(lambda number: 0 <= number < 1, "at least 0 and below 1"))
]
