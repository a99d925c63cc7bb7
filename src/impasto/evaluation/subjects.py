"""What can be evaluated: the pictures of a model's seeds, or those in a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from impasto.collection import Collection
from impasto.collection.listing import Listing, pictures
from impasto.collection.provenance import taken_out_since
from impasto.collection.trees import Folder
from impasto.errors import ImpastoError
from impasto.evaluation.gather import kept_numbers
from impasto.sampling.model import to_uint8
from impasto.sampling.output import seed_name, slugs
from impasto.sampling.painter import Painter
from impasto.sampling.seeds import MAX_SEED


class NotFiniteError(ImpastoError):
    """A model paints NaN or infinity."""


def painted(images: Tensor) -> Tensor:
    """A model's pictures [B, 3, H, W] in [-1, 1] as uint8 [B, H, W, 3] on the CPU.

    Raises:
        NotFiniteError: they are not finite.
    """
    if not bool(images.isfinite().all()):
        raise NotFiniteError(
            "the model paints numbers that are not finite: its training has diverged; take an "
            "earlier checkpoint of the run"
        )
    return to_uint8(images).cpu()


@dataclass(frozen=True)
class Plan:
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
        pixels: numbers [B] to pictures, uint8 [B, H, W, 3].
        side: H and W.
        notes: what is not scored, or not as one may think, a sentence each.
    """

    names: Sequence[str]
    count: int
    groups: dict[tuple[str, int], np.ndarray]
    pixels: Callable[[np.ndarray], Tensor]
    side: int
    notes: tuple[str, ...] = ()

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


def of_model(painter: Painter, collection: Collection, plan: Plan) -> Subject:
    """The pictures of a model's seeds, its classes matched with the collection's by name.

    Raises:
        ImpastoError: seeds beyond the largest one.
    """
    record = painter.record
    seeds = list(range(plan.first_seed, plan.first_seed + plan.count))
    labels = painter.labels(seeds, {})
    parts, groups = [labels], {}
    there = {field.name: field.classes for field in collection.fields}
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
        if field.name not in there:
            notes.append(f"{collection.name} has no label field '{field.name}': no scores by it")
            continue
        known = sorted({row[column] for row in record.label_rows} - {-1})
        strangers = [k for k in known if field.classes[k] not in there[field.name]]
        if strangers:
            unknown = ", ".join(field.classes[k] for k in strangers[:5])
            notes.append(
                f"{collection.name} has no {field.name} called {unknown}: no scores of these"
            )
        for k in known:
            if k in strangers:
                continue
            mine = np.flatnonzero(labels[:, column].numpy() == k)
            more = max(0, plan.per_class - len(mine))
            first = len(seeds)
            extra = list(range(plan.first_seed + first, plan.first_seed + first + more))
            seeds += extra
            if extra:
                parts.append(painter.labels(extra, {column: k}))
            cls = there[field.name].index(field.classes[k])
            groups[field.name, cls] = np.concatenate([mine, np.arange(first, first + more)])
    if seeds[-1] > MAX_SEED:
        raise ImpastoError(f"seeds would go up to {seeds[-1]}; the largest is {MAX_SEED}")
    asked = torch.cat(parts)

    def pixels(numbers: np.ndarray) -> Tensor:
        latents = painter.latents([seeds[number] for number in numbers])
        batches = zip(
            latents.split(painter.batch), asked[numbers].split(painter.batch), strict=True
        )
        return torch.cat([painted(painter.sampler.images(*some)) for some in batches])

    names = [seed_name(seed) for seed in seeds]
    return Subject(names, plan.count, groups, pixels, record.resolution, tuple(notes))


def of_folder(folder: Path, collection: Collection) -> Subject:
    """The pictures below a folder; where its folders are named as the classes of one label field,
    they are taken to be of these.

    Raises:
        ImpastoError: no pictures, or one that cannot be read, is not square, or is of another size
            than the others.
    """
    found = list(pictures(Folder(folder), Listing("folder")))
    side = side_of(folder)
    names = [file.name for file in found]
    paths = [file.path for file in found if file.path is not None]
    groups, notes = _by_folder(names, collection)

    def pixels(numbers: np.ndarray) -> Tensor:
        some = []
        for number in numbers:
            picture = _pixels(paths[number])
            if picture.shape[:2] != (side, side):
                raise ImpastoError(
                    f"{paths[number]} is of {picture.shape[1]} x {picture.shape[0]} pixels where "
                    f"{side} x {side} are expected; all pictures must be squares of one size"
                )
            some.append(torch.from_numpy(picture))
        return torch.stack(some)

    return Subject(names, len(found), groups, pixels, side, notes)


def side_of(folder: Path) -> int:
    """The side in pixels of the pictures below a folder, by the first of them.

    Raises:
        ImpastoError: no pictures, or the first cannot be read or is not square.
    """
    for file in pictures(Folder(folder), Listing("folder")):
        if file.path is None:
            continue
        height, width, _ = _pixels(file.path).shape
        if height != width:
            raise ImpastoError(f"{file.path} is of {width} x {height} pixels; squares are expected")
        return height
    raise ImpastoError(f"{folder} holds no pictures; give a run, a model or a folder of them")


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise ImpastoError(f"cannot read {path}: {error}; take it out of the folder") from error


def _by_folder(
    names: list[str], collection: Collection
) -> tuple[dict[tuple[str, int], np.ndarray], tuple[str, ...]]:
    """The pictures by class, where all folders are named as classes of one field; and a note where
    only some are."""
    folders = [name.split("/")[0] if "/" in name else "" for name in names]
    notes: list[str] = []
    for field in collection.fields:
        # Named by the class, or as `impasto sample --curate` names its folders.
        safe = slugs(field.classes)
        known = {name: number for number, name in enumerate(field.classes)}
        known |= {f"{slugs([field.name])[0]}-{name}": number for number, name in enumerate(safe)}
        strangers = sorted(set(folders) - set(known))
        if not strangers:
            classes = np.array([known[folder] for folder in folders])
            groups = {(field.name, k): np.flatnonzero(classes == k) for k in np.unique(classes)}
            return groups, ()
        if set(folders) & set(known):
            first = f"the folder {strangers[0]}" if strangers[0] else "outside of folders"
            notes.append(
                f"no scores by {field.name}: some pictures are in folders named by its classes, and "
                f"others are not ({first})"
            )
    return {}, tuple(notes)
