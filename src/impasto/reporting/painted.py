"""Several models' pictures of the same latents and classes (needs torch)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from impasto.reporting.comparison import Pictures
from impasto.resolution import Resolution
from impasto.sampling.bucket_grids import in_rows
from impasto.sampling.class_choice import known_classes, rows_of_seeds
from impasto.sampling.model import ModelRecord
from impasto.sampling.painter import Painter

DRAWN, OF_A_CLASS = 16, 8
"""Number of seeds, from 0 on: with the classes that the first model draws for them, and of each
class."""
MOST_CLASSES = 8
"""Most classes of a label field, the most frequent ones."""


def side_by_side(
    models: Sequence[Path], *, device: torch.device | str = "cpu", batch: int = 64
) -> Pictures:
    """Generate the pictures of seeds 0 and on with every model.

    Args:
        models: model folders.
        device: device to run on.
        batch: pictures at a time.

    Raises:
        ImpastoError: a model is damaged.
    """
    painters = [Painter.load(folder, device, batch=batch) for folder in models]
    records = [painter.record for painter in painters]
    leader = next((record for record in records if record.labels), records[0])
    drawn = [_of_all_sizes(painter, leader) for painter in painters]
    by_class = {}
    for field, cls in common_classes(records):
        names = [{field: cls}] * OF_A_CLASS
        by_class[field, cls] = [
            (place, _painted(painter, range(OF_A_CLASS), names))
            for place, painter in enumerate(painters)
            if chosen(painter.record, {field: cls})
        ]
    return Pictures(drawn, by_class, _notes(records))


def names_of(record: ModelRecord, row: Sequence[int]) -> dict[str, str]:
    """A row of labels by name: field to class, without unknown ones."""
    return {
        field.name: field.classes[number]
        for field, number in zip(record.labels, row, strict=True)
        if number >= 0
    }


def chosen(record: ModelRecord, names: Mapping[str, str]) -> dict[int, int]:
    """Names as a model's columns and classes, if it has them."""
    return {
        column: field.classes.index(names[field.name])
        for column, field in enumerate(record.labels)
        if names.get(field.name) in field.classes
    }


def common_classes(records: Sequence[ModelRecord]) -> list[tuple[str, str]]:
    """(field, class), by name, of classes that at least two models were trained on; for each field
    the most frequent ones over all models' training pictures."""
    knowing: dict[tuple[str, str], list[int]] = {}
    for record in records:
        rows, counts = np.array(record.label_rows), np.array(record.label_counts)
        for column, field in enumerate(record.labels):
            for number in known_classes(record, column):
                pictures = int(counts[rows[:, column] == number].sum())
                knowing.setdefault((field.name, field.classes[number]), []).append(pictures)
    fields = list(dict.fromkeys(field for field, _ in knowing))
    found = []
    for name in fields:
        common = [
            (-sum(counts), cls)
            for (field, cls), counts in knowing.items()
            if field == name and len(counts) > 1
        ]
        found += [(name, cls) for _, cls in sorted(common)[:MOST_CLASSES]]
    return found


def _of_all_sizes(painter: Painter, leader: ModelRecord) -> np.ndarray:
    """The pictures of the first seeds, with the classes that the leader draws for them; of several sizes
    rows of each, with the same seeds, and classes as the leader draws them for this size."""
    record, generator = painter.record, painter.sampler.generator
    if not record.buckets:
        return _painted(painter, range(DRAWN), _drawn(leader, DRAWN))

    def pictures(size: Resolution, count: int) -> np.ndarray:
        generator.paint_as(size)  # type: ignore[operator]
        of_size = replace(painter, record=record.of_size(size))
        return _painted(of_size, range(count), _drawn(leader.of_size(size), count))

    try:
        return in_rows(record.resolution, record.buckets, DRAWN, pictures)
    finally:
        generator.paint_as(record.resolution)  # type: ignore[operator]


def _drawn(record: ModelRecord, count: int) -> list[dict[str, str]]:
    """The classes, by name, of the first seeds."""
    return [names_of(record, row) for row in rows_of_seeds(range(count), record).tolist()]


def _painted(
    painter: Painter, seeds: Sequence[int], asked: Sequence[Mapping[str, str]]
) -> np.ndarray:
    labels = torch.cat(
        [
            painter.labels([seed], chosen(painter.record, names))
            for seed, names in zip(seeds, asked, strict=True)
        ]
    )
    return np.concatenate(list(painter.paint(list(seeds), labels)))


def _notes(records: Sequence[ModelRecord]) -> list[str]:
    notes = []
    if any(record.latent != records[0].latent for record in records):
        notes.append(
            "The generators take different latents, so the same seed is not the same noise for all."
        )
    if any(record.resolution != records[0].resolution for record in records):
        notes.append("The generators paint at different sizes; here they are shown equally large.")
    if any(record.buckets for record in records):
        notes.append(
            "A generator of several sizes paints rows of each, of the same seeds; of a class it paints "
            "the size with the most training pictures."
        )
    if any(not record.labels for record in records) and any(record.labels for record in records):
        notes.append("Those that were trained without labels cannot be asked for a class.")
    return notes
