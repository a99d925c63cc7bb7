"""Subjects of evaluation: pictures by number, such as those of a model's seeds.

Given pictures, in a folder or a collection, are in `given.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.collection.provenance import taken_out_since
from impasto.errors import ImpastoError
from impasto.evaluation.gather import kept_numbers
from impasto.formatting import titled
from impasto.resolution import Resolution
from impasto.sampling.output import seed_name
from impasto.sampling.painter import Painter
from impasto.sampling.pixels import to_uint8
from impasto.sampling.seeds import MAX_SEED


class NotFiniteError(ImpastoError):
    """A model generates NaN or infinity."""


def painted(images: Tensor) -> Tensor:
    """A model's pictures [B, 3, H, W] in [-1, 1] as uint8 [B, H, W, 3], on the device that they are on:
    feature networks look at them there.

    Raises:
        NotFiniteError: they are not finite.
    """
    if not bool(images.isfinite().all()):
        raise NotFiniteError(
            "the model paints numbers that are not finite: its training has diverged; take an "
            "earlier checkpoint of the run"
        )
    return to_uint8(images)


@dataclass(frozen=True)
class SampleCounts:
    """The numbers of pictures to generate.

    Attributes:
        count: pictures with classes as frequent as in the collection, for overall scores.
        per_class: the least number of each class in each label field, for scores by class; extra
            pictures are generated of classes with fewer among the first.
        first_seed: of the first picture.
    """

    count: int = 2_000
    per_class: int = 100
    first_seed: int = 0


@dataclass(frozen=True)
class Subject:
    """Pictures with random access, for scoring.

    Attributes:
        names: of each picture, for tables: `seed-00000007`, or its path in the folder.
        count: the number of first pictures, for overall scores.
        groups: by (label field, class of the collection): the numbers of pictures generated with
            it.
        pixels: numbers [B] to pictures, uint8 [B, H, W, 3], on any device.
        size: of the pictures.
        notes: on what is not scored, or with limitations, a sentence each.
        fit: how pictures were resized, if they were.
        left_out: path and reason of unusable given pictures.
    """

    names: Sequence[str]
    count: int
    groups: dict[tuple[str, int], np.ndarray]
    pixels: Callable[[np.ndarray], Tensor]
    size: Resolution
    notes: tuple[str, ...] = ()
    fit: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def kept(self) -> np.ndarray:
        """The numbers of the pictures with kept features, in their order."""
        return kept_numbers(len(self), self.count)

    @property
    def overall(self) -> int:
        """The number of kept pictures that overall scores use, which come first."""
        return int(np.searchsorted(self.kept, self.count))

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """The positions of these pictures among the kept ones."""
        return np.searchsorted(self.kept, numbers[np.isin(numbers, self.kept)])

    def asked(self, field: str) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of all pictures with a class of `field`, and each one's class."""
        mine = [(numbers, cls) for (name, cls), numbers in self.groups.items() if name == field]
        if not mine:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return (
            np.concatenate([numbers for numbers, _ in mine]),
            np.concatenate([np.full(len(numbers), cls) for numbers, cls in mine]),
        )


def classes_there(
    collection: Collection, field: str, classes: Mapping[int, str]
) -> tuple[dict[int, int], list[str]]:
    """A label field's classes, numbered as in a collection by name; and a note if it lacks some or
    the field.

    Args:
        collection: that pictures are compared with.
        field: its name.
        classes: the pictures', by their own numbers.
    """
    known = {each.name: each.classes for each in collection.fields}.get(field)
    if known is None:
        return {}, [f"{collection.title} has no label field '{field}': no scores by it"]
    there = {k: known.index(name) for k, name in classes.items() if name in known}
    strangers = [name for name in classes.values() if name not in known]
    if not strangers:
        return there, []
    names = ", ".join(strangers[:5])
    return there, [f"{collection.title} has no {field} called {names}: no scores of these"]


def of_model(painter: Painter, collection: Collection, plan: SampleCounts) -> Subject:
    """The pictures of a model's seeds, with classes matched to the collection's by name.

    Raises:
        ImpastoError: a seed is too large.
    """
    record = painter.record
    seeds = list(range(plan.first_seed, plan.first_seed + plan.count))
    labels = painter.labels(seeds, {})
    parts, groups = [labels], {}
    notes = []
    if not collection.is_at(record.collection.hash):
        own = titled(record.collection.name, record.collection.only)
        notes.append(
            f"the model did not learn from {collection.title} as it is here, but from {own}: copies of "
            "other pictures of that are not seen, and held-out pictures may be among them"
        )
    if since := taken_out_since(collection, record.collection.model_dump()):
        notes.append(f"after the model learned from it, {since}")
    for column, field in enumerate(record.labels):
        known = sorted({row[column] for row, _ in record.combinations} - {-1})
        there, note = classes_there(collection, field.name, {k: field.classes[k] for k in known})
        notes += note
        for k, cls in there.items():
            mine = np.flatnonzero(labels[:, column].numpy() == k)
            more = max(0, plan.per_class - len(mine))
            first = len(seeds)
            extra = list(range(plan.first_seed + first, plan.first_seed + first + more))
            seeds += extra
            if extra:
                parts.append(painter.labels(extra, {column: k}))
            groups[field.name, cls] = np.concatenate([mine, np.arange(first, first + more)])
    if seeds[-1] > MAX_SEED:
        raise ImpastoError(f"seeds would go up to {seeds[-1]}; the largest is {MAX_SEED}")
    asked = torch.cat(parts)

    def pixels(numbers: np.ndarray) -> Tensor:
        latents = painter.latents([seeds[number] for number in numbers])
        batches = zip(
            latents.split(painter.batch), asked[numbers].split(painter.batch), strict=True
        )
        return painted(torch.cat([painter.sampler.images(*some) for some in batches]))

    names = [seed_name(seed) for seed in seeds]
    return Subject(names, plan.count, groups, pixels, record.resolution, tuple(notes))
