"""Directions: named changes of latents and class weights, in a file beside the model.

An amount of 1 along a direction of latents is one standard deviation of the model's latents. A
difference of two classes changes class weights: an amount of 1 leads from the one to the other.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from pydantic import ValidationError
from torch import Tensor

from impasto.config import Config, LatentConfig, Line
from impasto.errors import ImpastoError, in_words, near
from impasto.exploring.places import place_beside
from impasto.files import atomic_file
from impasto.sampling.model import ModelRecord, find_model
from impasto.sampling.point_text import TEXT_KEY, holds
from impasto.sampling.points import Points
from impasto.sampling.tensors import read_metadata, read_tensors, write_tensors

DIRECTIONS_FILE = "directions.safetensors"
MOST = 100.0
"""The largest amount of an edit, in standard deviations of the latents; pictures are meaningless long
before, and beyond all measure a generator's values are not finite."""
_ROUNDING = 1e-5
"""Differences of class weights below this are rounding errors."""
_SHOWN = 12
"""Names in a message."""

ALIKE, NEARLY_THE_SAME = 0.5, 0.8
"""From these similarities on, a direction's line names the one that it is most like."""
WEAK = 0.3
"""Below this held-out correlation a direction explains less than a tenth of its attribute."""


class About(Config):
    """The description of a direction."""

    name: Line
    how: Line
    """How it was found, in words."""
    first: float = -3.0
    """The amount at the beginning of its strip."""
    last: float = 3.0
    """The amount at the end of its strip."""
    start: Line | None = None
    """The class that its strip begins with, for a difference of classes."""
    correlation: float | None = None
    """Correlation of the attribute, on held-out generated pictures, with its prediction from latents."""
    nearest: Line | None = None
    """The direction whose changes of pictures are most like those of this one."""
    similarity: float | None = None
    """The similarity to `nearest`, from 0 to 1; see `finding.similarities`."""


class DirectionsRecord(Config):
    """The text in a file of directions."""

    format: int = 1
    model: Line
    """SHA-256 of the generator's weights."""
    recipe: Line
    directions: tuple[About, ...]


def _trust(correlation: float | None) -> str:
    """What a held-out correlation says of a direction, as the end of its line."""
    if correlation is None:
        return ""
    weak = ": weak, so it may change other things instead" if correlation < WEAK else ""
    return f"; correlation {correlation:.2f} held out{weak}"


def _likeness(about: About) -> str:
    """Which other direction changes pictures alike, as the end of a line."""
    if about.nearest is None or about.similarity is None or about.similarity < ALIKE:
        return ""
    same = about.similarity >= NEARLY_THE_SAME
    return f"; {'nearly the same as' if same else 'like'} {about.nearest}: {about.similarity:.2f}"


@dataclass(frozen=True)
class Directions:
    """D directions of one generator."""

    about: tuple[About, ...]
    latents: Tensor
    """[D, Z] float32: what an amount of 1 adds to a latent."""
    classes: Tensor
    """[D, K] float32: what an amount of 1 adds to class weights."""
    model: str
    """SHA-256 of the generator's weights."""
    recipe: str

    def __len__(self) -> int:
        return len(self.about)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.about]

    def lines(self) -> list[str]:
        """A line for each, with the correlation where there is one, and another that is like it."""
        width = max(map(len, self.names), default=0)
        return [
            f"{each.name:<{width}}  {each.how}{_trust(each.correlation)}{_likeness(each)}"
            for each in self.about
        ]

    def save(self, path: str | PathLike[str]) -> Path:
        """Write them as one file, atomically.

        Raises:
            ImpastoError: it does not end in `.safetensors`, or cannot be written.
        """
        target = Path(path)
        check_path(target)
        record = DirectionsRecord(model=self.model, recipe=self.recipe, directions=self.about)
        text = json.dumps(record.model_dump(mode="json", exclude_none=True))
        tensors = {"latents": self.latents, "classes": self.classes}
        with atomic_file(target) as temporary:
            write_tensors(temporary, tensors, {TEXT_KEY: text})
        return target

    @classmethod
    def load(cls, path: str | PathLike[str], model: ModelRecord) -> "Directions":
        """Read a file of directions of this model.

        Raises:
            ImpastoError: it is missing, damaged, no such file, or of another model.
        """
        place = Path(path).expanduser()
        if not place.is_file():
            raise ImpastoError(
                f"there is no file of directions {place}; `impasto directions MODEL` makes one, and "
                "--directions FILE names another"
            )
        tensors = read_tensors(place)
        text = read_metadata(place).get(TEXT_KEY)
        kept = {"latents", "classes"}
        if text is None or set(tensors) != kept or not holds(text, "directions"):
            raise ImpastoError(f"{place} is no file of directions, as `impasto directions` writes")
        try:
            record = DirectionsRecord.model_validate_json(text)
        except ValidationError as error:
            reason = in_words(error.errors()[0])
            raise ImpastoError(f"{place} is damaged ({reason}); make it anew") from error
        if record.model != model.weights_sha256:
            raise ImpastoError(
                f"{place} has directions of another generator (recipe {record.recipe}, weights "
                f"{record.model[:12]}), and this one's weights are {model.weights_sha256[:12]}: find "
                "this model's with `impasto directions`"
            )
        count, names = len(record.directions), {each.name for each in record.directions}
        shapes = (count, model.latent.size), (count, sum(model.label_sizes))
        found = tensors["latents"], tensors["classes"]
        if (
            tuple(tuple(each.shape) for each in found) != shapes
            or len(names) != count
            or not all(each.isfinite().all() for each in found)
        ):
            raise ImpastoError(f"{place} is damaged (its parts do not fit together); make it anew")
        return cls(
            record.directions, found[0].float(), found[1].float(), record.model, record.recipe
        )

    def edited(self, points: Points, edits: Mapping[str, float]) -> Points:
        """The points, moved along directions. Their origins record it.

        Args:
            points: a latent for each level is moved at all levels.
            edits: the amount by name, at most `MOST` either way.

        Raises:
            ImpastoError: an unknown name (the message lists the directions), or an amount out of range.
        """
        latents, classes = points.latents, points.classes
        for name, amount in edits.items():
            if name not in self.names:
                raise ImpastoError(f"there is no direction {near(name, self.names)}")
            if not abs(amount) <= MOST:
                raise ImpastoError(
                    f"{name}={amount:g}: amounts are from -{MOST:g} to {MOST:g}, and 1 is a standard "
                    "deviation"
                )
            place = self.names.index(name)
            latents = latents + amount * self.latents[place]
            classes = classes + amount * self.classes[place]
        origins = tuple(
            origin.model_copy(update={"edits": _added(origin.edits, edits)})
            for origin in points.origins
        )
        return replace(points, latents=latents, classes=classes, origins=origins)


def _added(before: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    return {name: before.get(name, 0.0) + more.get(name, 0.0) for name in {**before, **more}}


def note_beyond(before: Points, after: Points, names: Sequence[str]) -> str | None:
    """A line that names the points whose class weights an edit has moved below 0 or above 1; None if
    there are none.

    Args:
        before: the points.
        after: the same, edited.
        names: of the points.
    """
    outside = (after.classes < -_ROUNDING) | (after.classes > 1 + _ROUNDING)
    found = [name for name, far in zip(names, outside.any(1).tolist(), strict=True) if far]
    if not found or before.classes.equal(after.classes):
        return None
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"note: class weights below 0 or above 1: {', '.join(found[:_SHOWN])}{more}. The model has "
        "learned no such classes, so these pictures may look burnt; a direction from a class to another "
        "is for pictures of the first"
    )


def usual_path(folder: Path) -> Path:
    """The file of a model folder's directions, if no other is named; see `place_beside`."""
    return place_beside(folder, DIRECTIONS_FILE)


def directions_of(
    model: str | PathLike[str], record: ModelRecord, file: str | PathLike[str] | None = None
) -> Directions | None:
    """The directions of a model, from a file or by default from its own; None if it has none.

    Args:
        model: a run, a checkpoint or a model.
        record: of the model.
        file: of directions.

    Raises:
        ImpastoError: the file is missing, damaged, or of another model.
    """
    if file is not None:
        return Directions.load(file, record)
    path = usual_path(find_model(model))
    return Directions.load(path, record) if path.is_file() else None


def check_path(path: Path) -> None:
    """Raises: ImpastoError: directions cannot be kept in a file of this name."""
    if path.suffix != ".safetensors":
        raise ImpastoError(f"directions are kept in a .safetensors file, not {path}")


def parse_edits(texts: Sequence[str]) -> dict[str, float]:
    """Amounts by name, from texts such as `warmth=+2`.

    Raises:
        ImpastoError: not such a text, an amount that is no finite number, or a name twice.
    """
    edits: dict[str, float] = {}
    for text in texts:
        name, equals, amount = text.rpartition("=")
        try:
            value = float(amount)
        except ValueError:
            value = math.nan
        if not (name and equals and math.isfinite(value)):
            raise ImpastoError(f"--edit takes NAME=AMOUNT, such as warmth=+2, not '{text}'")
        if name in edits:
            raise ImpastoError(f"--edit names {name} twice; give one amount")
        edits[name] = value
    return edits


def deviation(latent: LatentConfig) -> float:
    """The standard deviation of a latent's values."""
    return 1.0 if latent.distribution == "normal" else 1 / math.sqrt(3)
