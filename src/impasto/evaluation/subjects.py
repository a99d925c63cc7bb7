"""What is evaluated: pictures that can be looked at by number, such as those of a model's seeds.

Those that are given, in a folder or a collection, are in `given.py`.
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
from impasto.sampling.model import to_uint8
from impasto.sampling.output import seed_name
from impasto.sampling.painter import Painter
from impasto.sampling.seeds import MAX_SEED


class NotFiniteError(ImpastoError):
    """A model paints NaN or infinity."""


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
    """Which pictures a model is to paint.

    Attributes:
        count: pictures with classes as frequent as in the collection; overall scores are of these.
        per_class: as many of each class at least, in each label field, for scores by class; more are
            painted of classes that have fewer among the first.
        first_seed: of the first picture.
    """

    count: int = 2_000
    per_class: int = 100
    first_seed: int = 0


@dataclass(frozen=True)
class Subject:
    """Pictures that can be looked at in any order, as often as needed.

    Attributes:
        names: one a picture, for tables: `seed-00000007`, or its path in the folder.
        count: the first so many are what the overall scores are of.
        groups: by (label field, class of the collection): the numbers of the pictures made as such.
        pixels: numbers [B] to pictures, uint8 [B, H, W, 3], on any device.
        side: H and W.
        notes: what is not scored, or not as one may think, a sentence each.
        fit: how pictures were brought to size, if they were.
        left_out: path and reason of pictures that were given and could not be used.
    """

    names: Sequence[str]
    count: int
    groups: dict[tuple[str, int], np.ndarray]
    pixels: Callable[[np.ndarray], Tensor]
    side: int
    notes: tuple[str, ...] = ()
    fit: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def kept(self) -> np.ndarray:
        """The numbers of the pictures whose features are kept, in the order of these."""
        return kept_numbers(len(self), self.count)

    @property
    def overall(self) -> int:
        """The first so many of those kept are what the overall scores are of."""
        return int(np.searchsorted(self.kept, self.count))

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Where the features of these pictures lie, of those that are kept."""
        return np.searchsorted(self.kept, numbers[np.isin(numbers, self.kept)])

    def asked(self, field: str) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of all pictures made as a class of `field`, and that class of each."""
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
    """Classes of a label field as a collection numbers them, matched by name; and a note where it lacks
    some, or the field.

    Args:
        collection: that pictures are compared with.
        field: its name.
        classes: the pictures', by their own numbers.
    """
    known = {each.name: each.classes for each in collection.fields}.get(field)
    if known is None:
        return {}, [f"{collection.name} has no label field '{field}': no scores by it"]
    there = {k: known.index(name) for k, name in classes.items() if name in known}
    strangers = [name for name in classes.values() if name not in known]
    if not strangers:
        return there, []
    names = ", ".join(strangers[:5])
    return there, [f"{collection.name} has no {field} called {names}: no scores of these"]


def of_model(painter: Painter, collection: Collection, plan: SampleCounts) -> Subject:
    """The pictures of a model's seeds, its classes matched with the collection's by name.

    Raises:
        ImpastoError: seeds beyond the largest one.
    """
    record = painter.record
    seeds = list(range(plan.first_seed, plan.first_seed + plan.count))
    labels = painter.labels(seeds, {})
    parts, groups = [labels], {}
    notes = []
    if record.collection.hash != collection.content_hash:
        notes.append(
            f"the model did not learn from {collection.name} as it is here, but from "
            f"{record.collection.name}: copies of other pictures of that are not seen, and "
            "held-out pictures may be among them"
        )
    if since := taken_out_since(collection, record.collection.model_dump()):
        notes.append(f"after the model learned from it, {since}")
    for column, field in enumerate(record.labels):
        known = sorted({row[column] for row in record.label_rows} - {-1})
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
