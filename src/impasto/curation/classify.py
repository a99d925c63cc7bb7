"""The run's discriminator as a classifier of real pictures, as GANGogh's was judged.

Tiles of one painting are not independent: naming one right says little new about the next. So each
source picture is one observation, the share of its pictures (tiles) that are named right; accuracies
are means over source pictures and the interval is that of as many observations. Where a source
picture gives one picture, that is the plain accuracy.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from impasto.collection import Collection
from impasto.errors import ImpastoError, choices
from impasto.networks import Judgement
from impasto.sampling.model import ModelRecord

FEW_SOURCES = 30
"""Below it an interval is so wide that the number means little."""


@dataclass(frozen=True)
class ClassResult:
    """How one class's pictures are named."""

    name: str
    pictures: int
    sources: int
    accuracy: float | None
    """Mean over its source pictures; None without any."""


@dataclass(frozen=True)
class FieldResult:
    """How the discriminator names the classes of one label field."""

    field: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    """int64 [K, K]: pictures of the row's class that are named the column's."""
    pictures: int
    sources: int
    accuracy: float
    """Mean over source pictures of the share of their pictures that are named right."""
    interval: tuple[float, float]
    """Wilson's, 95%, with source pictures as observations."""
    accuracy_of_pictures: float
    """Every picture counted alike."""
    commonest: str
    """The class that most pictures the model has seen are of."""
    baseline: float
    """What always naming `commonest` would get, a mean over source pictures too."""
    by_class: tuple[ClassResult, ...]
    unknown: int
    """Pictures left out: of unknown class, or of one that the model was not trained on."""

    def numbers(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self), "confusion": self.confusion.tolist()}

    def lines(self) -> list[str]:
        """What to tell of it, a line each."""
        low, high = self.interval
        tiles = (
            f"; of all pictures alike {self.accuracy_of_pictures:.1%}"
            if self.sources < self.pictures
            else ""
        )
        lines = [
            f"{self.field}: {self.accuracy:.1%} named right, 95% interval {low:.1%} to {high:.1%} "
            f"({_of(self.sources, self.pictures)}{tiles})",
            f"  always saying '{self.commonest}', the commonest in training: {self.baseline:.1%}",
        ]
        if self.sources < FEW_SOURCES:
            lines.append(
                f"  fewer than {FEW_SOURCES} source pictures are too few for this number to mean "
                "much; look at the interval"
            )
        width = max(len(each.name) for each in self.by_class)
        lines += [
            f"  {each.name:<{width}}  "
            + (
                "none"
                if each.accuracy is None
                else f"{each.accuracy:6.1%} ({_of(each.sources, each.pictures)})"
            )
            for each in self.by_class
        ]
        if self.unknown:
            lines.append(
                f"  left out: {self.unknown:,} of unknown class, or of one the model does not know"
            )
        return lines


def _of(sources: int, pictures: int) -> str:
    """`12 pictures`, or `340 pictures of 12 paintings`."""
    text = f"{pictures:,} picture{'' if pictures == 1 else 's'}"
    if sources == pictures:
        return text
    return f"{text} of {sources:,} source picture{'' if sources == 1 else 's'}"


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share seen in `count` observations (Wilson 1927, equation 11, with
    z = 1.96). For observations between 0 and 1 it is rather too wide than too narrow: none vary more
    about their mean than those that are 0 or 1."""
    z = 1.959964
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def over_sources(right: np.ndarray, sources: np.ndarray) -> tuple[float, int]:
    """The mean over source pictures of the share of their pictures that are right, and how many
    source pictures there are; `right` [N] bool, `sources` [N]."""
    _, places = np.unique(sources, return_inverse=True)
    counts = np.bincount(places)
    shares = np.bincount(places, weights=right.astype(np.float64)) / counts
    return float(shares.mean()), len(counts)


def result(
    field: str,
    classes: Sequence[str],
    truth: np.ndarray,
    named: np.ndarray,
    sources: np.ndarray,
    *,
    commonest: int,
    unknown: int = 0,
) -> FieldResult:
    """Sum up how pictures were named.

    Args:
        field: the label field.
        classes: K names.
        truth: [N] their true classes, at least one picture.
        named: [N] the classes they were named.
        sources: [N] the source picture of each.
        commonest: the class that guessing would name.
        unknown: pictures left out.
    """
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, named), 1)
    right = truth == named
    accuracy, count = over_sources(right, sources)
    by_class = []
    for number, name in enumerate(classes):
        mine = truth == number
        share, of = over_sources(right[mine], sources[mine]) if mine.any() else (None, 0)
        by_class.append(ClassResult(name, int(mine.sum()), of, share))
    return FieldResult(
        field=field,
        classes=tuple(classes),
        confusion=confusion,
        pictures=len(truth),
        sources=count,
        accuracy=accuracy,
        interval=wilson(accuracy, count),
        accuracy_of_pictures=float(right.mean()),
        commonest=classes[commonest],
        baseline=over_sources(truth == commonest, sources)[0],
        by_class=tuple(by_class),
        unknown=unknown,
    )


def class_numbers(collection: Collection, record: ModelRecord, field: int) -> np.ndarray | None:
    """Every picture's class [N] as the model numbers them, matched by name; -1 where it is unknown
    to either. None where the collection has no such field."""
    wanted = record.labels[field]
    there = {each.name: column for column, each in enumerate(collection.fields)}
    if wanted.name not in there:
        return None
    column = there[wanted.name]
    numbers = {name: number for number, name in enumerate(wanted.classes)}
    known = [numbers.get(name, -1) for name in collection.fields[column].classes]
    translation = np.array([*known, -1], np.int64)  # its last place is what -1 points at
    return translation[collection.labels[:, column]]


@torch.inference_mode()
def named_classes(
    discriminator: nn.Module,
    collection: Collection,
    rows: np.ndarray,
    record: ModelRecord,
    *,
    device: torch.device | str = "cpu",
    batch: int = 64,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """What the discriminator names these pictures [N]: a class a label field, int64 [N, F].

    It is told no label, and is in evaluation mode. Pictures of a multiple of the model's resolution
    are averaged down, as in training.

    Raises:
        ImpastoError: it names no classes.
    """
    discriminator = discriminator.to(device).eval()
    reduction = collection.resolution // record.resolution
    named = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        pixels = torch.from_numpy(collection.images(some)).to(device)
        images = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        if reduction > 1:
            images = F.avg_pool2d(images, reduction)
        labels = torch.full((len(some), len(record.labels)), -1, device=device)
        judgement: Judgement = discriminator(images, labels)
        if judgement.class_logits is None:
            raise ImpastoError(
                "this model's discriminator names no classes; train with a recipe whose "
                "discriminator does, such as gangogh, on a collection with labels"
            )
        named.append(torch.stack([each.argmax(dim=1) for each in judgement.class_logits], dim=1))
        progress(start + len(some))
    return torch.cat(named).cpu().numpy()


def check_labels(record: ModelRecord) -> None:
    """Raises: ImpastoError: the model knows no classes at all."""
    if not record.labels:
        raise ImpastoError(
            "this model knows no classes: it was trained without labels, so there is nothing to name"
        )


def classify(
    discriminator: nn.Module,
    record: ModelRecord,
    collection: Collection,
    *,
    split: str = "heldout",
    device: torch.device | str = "cpu",
    batch: int = 64,
    progress: Callable[[int], None] = lambda done: None,
) -> list[FieldResult]:
    """Let the discriminator name the collection's pictures; a result a label field they share.

    Args:
        discriminator: of the model.
        record: of the model.
        collection: of the model's resolution, or of twice it, three times it, ...
        split: `heldout` or `train`.
        device: where to run.
        batch: pictures at once.
        progress: told how many pictures are named by now.

    Raises:
        ImpastoError: the model names no classes, or there is no picture of a class it knows.
    """
    check_labels(record)
    if split not in ("heldout", "train"):
        raise ImpastoError(f"--split is heldout or train, not '{split}'")
    rows = collection.heldout_indices if split == "heldout" else collection.train_indices
    truths = {
        field: truth[rows]
        for field in range(len(record.labels))
        if (truth := class_numbers(collection, record, field)) is not None
    }
    names = choices([field.name for field in record.labels])
    usable = [field for field, truth in truths.items() if (truth >= 0).any()]
    if not usable:
        raise ImpastoError(
            f"{collection.path} has no {'held-out' if split == 'heldout' else 'training'} picture "
            f"of a class that this model knows (it knows of {names})"
        )
    named = named_classes(
        discriminator, collection, rows, record, device=device, batch=batch, progress=progress
    )
    results = []
    for field in usable:
        known = truths[field] >= 0
        counts = np.zeros(len(record.labels[field].classes), np.int64)
        for row, count in zip(record.label_rows, record.label_counts, strict=True):
            if row[field] >= 0:
                counts[row[field]] += count
        results.append(
            result(
                record.labels[field].name,
                record.labels[field].classes,
                truths[field][known],
                named[known, field],
                collection.sources[rows][known],
                commonest=int(counts.argmax()),
                unknown=int((~known).sum()),
            )
        )
    return results
