"""Finding the directions of a model, and strips of pictures that show them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.attributes import ATTRIBUTES, measured
from impasto.exploring.columns import MOST_READ
from impasto.exploring.directions import About, Directions, deviation
from impasto.exploring.linear import fit
from impasto.exploring.unsupervised import (
    MOST_ACTIVATIONS,
    Activations,
    check_layers,
    components,
    most_changing,
)
from impasto.features import FeatureNetwork
from impasto.messages import say
from impasto.networks import one_hot
from impasto.sampling.class_choice import parse_classes
from impasto.sampling.model import ModelRecord
from impasto.sampling.output import save_grid_of, slugs
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, joined

STRIP = 7
"""Pictures of a strip."""
_COMPARED = range(8)
"""Seeds of whose pictures the changes along directions are compared."""
_AVERAGED = 32
"""Side of pictures that are compared, in pixels."""
_ROUNDING = 1e-5
_LEAST = 64
"""Pictures that linear fits need."""


class Reading(Protocol):
    """A value that is read from pictures' features: a `Column` or a `TextPair`."""

    @property
    def name(self) -> str: ...

    @property
    def how(self) -> str:
        """How it is read, in words."""

    def __call__(self, features: Tensor) -> Tensor:
        """The values [N] of features [N, D]."""


@dataclass(frozen=True)
class Readings:
    """Values that are read from one network's features."""

    network: FeatureNetwork
    each: Sequence[Reading]

    def of(self, images: Tensor) -> Tensor:
        """The values [N, M] of images uint8 [N, H, W, 3]."""
        features = self.network(images).features
        return torch.stack([each(features).float() for each in self.each], dim=1)


@dataclass(frozen=True)
class Wanted:
    """The options of a search for directions."""

    samples: int = 2048
    """Number of pictures to generate and measure."""
    components: int = 5
    """Number of principal components, and of SeFa directions."""
    differences: tuple[str, ...] = ()
    """Pairs of classes, such as `style=Impressionism,Ukiyo-e`: from the first to the second."""
    readings: tuple[Readings, ...] = ()


@dataclass
class _Found:
    """The directions found so far."""

    record: ModelRecord
    about: list[About] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    classes: list[Tensor] = field(default_factory=list)

    def add(
        self, about: About, latent: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        """Add a direction.

        Args:
            about: its description.
            latent: [Z], of any length above 0; it is scaled to one standard deviation. None: zeros.
            weights: change of the class weights, [K]. None: zeros.
        """
        nothing = torch.zeros(self.record.latent.size)
        if latent is not None:
            latent = latent.float() / latent.norm() * deviation(self.record.latent)
        self.about.append(about)
        self.latents.append(nothing if latent is None else latent)
        empty = torch.zeros(sum(self.record.label_sizes))
        self.classes.append(empty if weights is None else weights)

    def whole(self) -> Directions:
        names = slugs([each.name for each in self.about])
        about = tuple(
            each.model_copy(update={"name": name})
            for each, name in zip(self.about, names, strict=True)
        )
        latents, classes = torch.stack(self.latents), torch.stack(self.classes)
        return Directions(about, latents, classes, self.record.weights_sha256, self.record.recipe)


@dataclass(frozen=True)
class _Sample:
    """N generated pictures with what was measured on them."""

    latents: Tensor
    """[N, Z]."""
    labels: Tensor
    """[N, F]."""
    attributes: Tensor
    """[N, M] brightness, warmth and the other attributes."""
    read: tuple[Tensor, ...]
    """For each of the readings its values, [up to N, M]."""
    activations: Tensor | None
    """[up to N, A] activations of the generator; None where it has no such layers."""


def find(
    painter: Painter,
    wanted: Wanted,
    progress: Progress = silent,
) -> Directions:
    """The directions of a model.

    Args:
        painter: of the model.
        wanted: which to look for.
        progress: shows the pictures generated.

    Raises:
        ImpastoError: too few pictures, an unknown class, or nothing was asked for.
    """
    if wanted.samples < _LEAST:
        raise ImpastoError(f"--samples is from {_LEAST}: directions are fitted to these pictures")
    most = min(painter.record.latent.size, wanted.samples, MOST_ACTIVATIONS)
    if not 0 <= wanted.components <= most:
        raise ImpastoError(f"--components is from 0 to {most} here, not {wanted.components}")
    found = _Found(painter.record)
    for each in wanted.differences or _usual_difference(painter.record):
        _add_difference(found, each)
    activations = _activations(painter) if wanted.components else None
    sample = _sampled(painter, wanted, activations, progress)
    _add_fits(found, sample, wanted.readings)
    if sample.activations is not None:
        rows = len(sample.activations)
        kept = _within_classes(sample.activations, sample.labels[:rows])
        for number, each in enumerate(components(kept, sample.latents[:rows], wanted.components)):
            found.add(About(name=f"pc{number + 1}", how="principal component of activations"), each)
    if activations is not None:
        _add_closed_form(found, painter, wanted.components)
    return _compared(painter, found.whole(), progress)


def _compared(painter: Painter, found: Directions, progress: Progress) -> Directions:
    """The directions, each with the one that is most like it."""
    if len(found) < 2:
        return found
    alike = similarities(painter, found, progress).fill_diagonal_(-1)
    about = tuple(
        each.model_copy(
            update={
                "nearest": found.names[int(row.argmax())],
                "similarity": round(float(row.max()), 4),
            }
        )
        for each, row in zip(found.about, alike, strict=True)
    )
    return replace(found, about=about)


def similarities(painter: Painter, directions: Directions, progress: Progress = silent) -> Tensor:
    """How much alike the changes of pictures along D directions are, [D, D] from 0 to 1.

    The absolute cosine of the changes from amount -1 to 1 (of a difference of classes from 0 to 1), of
    the pictures of the same few seeds, averaged to 32 x 32. Two directions of latents may be at right
    angles and yet change pictures alike, because a generator follows few directions and hardly any
    others.
    """
    changes = []
    with progress("directions compared", len(directions)) as update:
        for number, about in enumerate(directions.about):
            chosen = {} if about.start is None else parse_classes(painter.record, [about.start])
            points = painter.points(_COMPARED, painter.labels(_COMPARED, chosen))
            first, last = (
                np.concatenate(
                    list(painter.paint_points(directions.edited(points, {about.name: amount})))
                )
                for amount in (-1.0 if about.start is None else 0.0, 1.0)
            )
            change = torch.from_numpy(last.astype(np.float32) - first.astype(np.float32))
            averaged = nn.functional.adaptive_avg_pool2d(change.permute(0, 3, 1, 2), _AVERAGED)
            changes.append(nn.functional.normalize(averaged.flatten(), dim=0))
            update(number + 1)
    stacked = torch.stack(changes)
    return (stacked @ stacked.T).abs().clamp(max=1)


def _usual_difference(record: ModelRecord) -> list[str]:
    """From the most frequent class of each field to the next one."""
    usual = []
    for place, each in enumerate(record.labels):
        counts = np.zeros(len(each.classes))
        for row, count in zip(record.label_rows, record.label_counts, strict=True):
            if row[place] >= 0:
                counts[row[place]] += count
        first, second = np.argsort(-counts, kind="stable")[:2] if len(counts) > 1 else (0, 0)
        if first != second:
            usual.append(f"{each.name}={each.classes[first]},{each.classes[second]}")
    return usual


def _add_difference(found: _Found, text: str) -> None:
    """Add the direction from a class to another, such as `style=Impressionism,Ukiyo-e`."""
    record = found.record
    name, equals, both = text.partition("=")
    pairs = [
        (both[:place], both[place + 1 :]) for place, letter in enumerate(both) if letter == ","
    ]
    if not equals or not pairs:
        raise ImpastoError(
            f"--difference takes FIELD=CLASS,CLASS, such as style=Impressionism,Ukiyo-e, not '{text}'"
        )
    for first, second in pairs:  # names of classes may have commas too
        try:
            ((column, start),) = parse_classes(record, [f"{name}={first.strip()}"]).items()
            ((_, end),) = parse_classes(record, [f"{name}={second.strip()}"]).items()
            break
        except ImpastoError:
            if len(pairs) == 1:
                raise
    else:
        raise ImpastoError(f"--difference {text}: these are not two classes of {name}")
    if start == end:
        raise ImpastoError(f"--difference {text} names one class twice")
    classes = record.labels[column].classes
    labels = torch.full((2, len(record.labels)), -1)
    labels[0, column], labels[1, column] = start, end
    before, after = one_hot(labels, record.label_sizes)
    about = About(
        name=f"{classes[start]}-to-{classes[end]}",
        how=f"from {record.labels[column].name} {classes[start]} to {classes[end]}",
        first=0.0,
        last=1.0,
        start=f"{record.labels[column].name}={classes[start]}",
    )
    found.add(about, weights=after - before)


def _activations(painter: Painter) -> Activations | None:
    """What collects the activations; None, with a message, where the generator has no such layers."""
    labels = painter.labels([0], {})
    try:
        check_layers(painter.sampler.generator)
        device = painter.sampler.device
        return Activations(
            painter.sampler.generator, painter.latents([0]).to(device), labels.to(device)
        )
    except ImpastoError as error:
        say(f"note: {error}")
        return None


def _sampled(
    painter: Painter,
    wanted: Wanted,
    activations: Activations | None,
    progress: Progress,
) -> _Sample:
    """Generate pictures of seeds, and measure them."""
    seeds = range(wanted.samples)
    labels = painter.labels(seeds, {})
    attributes: list[Tensor] = []
    read: list[list[Tensor]] = [[] for _ in wanted.readings]
    done = 0
    with ExitStack() as stack:
        update = stack.enter_context(progress("pictures", len(seeds)))
        if activations is not None:
            # With its first picture a sampler also generates another, to find its portions.
            next(painter.paint(seeds[:1], labels[:1]))
            stack.enter_context(activations.collecting())
        for pixels in painter.paint(seeds, labels):
            if activations is not None:
                activations.keep(len(pixels))
            images = torch.from_numpy(pixels)
            attributes.append(measured(images))
            if done < MOST_READ:
                for values, readings in zip(read, wanted.readings, strict=True):
                    values.append(readings.of(images))
            done += len(pixels)
            update(done)
    kept = None if activations is None else activations.rows()
    read_whole = tuple(torch.cat(values) for values in read)
    return _Sample(painter.latents(seeds), labels, torch.cat(attributes), read_whole, kept)


def _within_classes(values: Tensor, labels: Tensor) -> Tensor:
    """Values [N, M] minus the mean of all that have the same labels [N, F]."""
    if not labels.shape[1]:
        return values - values.mean(0)
    _, groups = labels.unique(dim=0, return_inverse=True)
    sums = torch.zeros(int(groups.max()) + 1, values.shape[1], dtype=values.dtype)
    sums.index_add_(0, groups, values)
    return values - (sums / groups.bincount()[:, None])[groups]


def _add_fits(found: _Found, sample: _Sample, wanted: Sequence[Readings]) -> None:
    """Add the directions of attributes and readings: linear fits of what differs within classes."""
    named = [(name, "measured on generated pictures") for name in ATTRIBUTES]
    _add_fitted(found, sample, sample.attributes, named)
    for readings, values in zip(wanted, sample.read, strict=True):
        _add_fitted(found, sample, values, [(each.name, each.how) for each in readings.each])


def _add_fitted(
    found: _Found, sample: _Sample, values: Tensor, named: Sequence[tuple[str, str]]
) -> None:
    """Add the directions of values [n, M] of the first n pictures, with their names and how they were
    found."""
    rows = len(values)
    varied = _within_classes(values, sample.labels[:rows])
    result = fit(sample.latents[:rows], varied)
    for place, (name, how) in enumerate(named):
        if varied[:, place].abs().max() < _ROUNDING * values[:, place].abs().max().clamp(min=1):
            say(f"note: {name} is the same in all pictures, so it has no direction")
            continue
        about = About(name=name, how=how, correlation=round(float(result.correlation[place]), 4))
        found.add(about, result.weights[:, place])


def _add_closed_form(found: _Found, painter: Painter, count: int) -> None:
    generator, size = painter.sampler.generator, painter.record.latent.size
    labels = painter.labels([0], {}).to(painter.sampler.device)
    try:
        for number, each in enumerate(most_changing(generator, size, labels, count)):
            found.add(About(name=f"sefa{number + 1}", how="changes the first layer most"), each)
    except ImpastoError as error:
        say(f"note: {error}")


def strip(painter: Painter, directions: Directions, place: int, seed: int) -> Points:
    """The seven points of a direction's strip, evenly from its first amount to its last."""
    about = directions.about[place]
    chosen = {} if about.start is None else parse_classes(painter.record, [about.start])
    point = painter.points([seed], painter.labels([seed], chosen))
    amounts = np.linspace(about.first, about.last, STRIP).tolist()
    return joined([directions.edited(point, {about.name: amount}) for amount in amounts])


def save_strips(
    painter: Painter,
    directions: Directions,
    path: Path,
    seeds: Sequence[int] = (0,),
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write one PNG with a row of seven pictures for each direction and seed.

    Raises:
        ImpastoError: the path does not end in `.png`, or cannot be written.
    """
    rows, names = [], []
    for place, about in enumerate(directions.about):
        for seed in seeds:
            rows.append(strip(painter, directions, place, seed))
            names.append(f"{about.name}\n{about.first:g} to {about.last:g}")

    def batches() -> Iterator[np.ndarray]:
        done = 0
        for images in painter.paint_points(joined(rows)):
            done += len(images)
            progress(done)
            yield images

    save_grid_of(batches(), path, STRIP, beside=names)
