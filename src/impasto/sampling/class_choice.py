"""The labels that images are generated with: of one class, of every class, or as in the collection.
Torch is imported only where tensors are made, so that ONNX models are sampled without it.

A *combination* is a row of labels, one class a field, that occurs among the training images. A
model saves all combinations with their counts, because not every style occurs with every genre. A
model of several sizes also saves the counts of each size, because their classes differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import ImpastoError, choices, near
from impasto.formatting import one_line
from impasto.resolution import Resolution, width_and_height
from impasto.sampling.records import LabelRecord, ModelRecord

if TYPE_CHECKING:
    from torch import Tensor

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?"
_WEIGHTED = re.compile(rf"\s*({_NUMBER})\s*\*\s*(.+?)\s*")
_BETWEEN = re.compile(rf"\+(?=\s*{_NUMBER}\s*\*)")
"""The signs between the parts of a mixture; class names may have plus signs too."""
_SUM_WITHIN = 1e-3
"""How far from 1 the weights of a mixture may sum, as rounded ones do (three times 0.333)."""
MAX_COLUMNS = 40
"""The most columns of a class grid. With more classes, the most frequent ones are shown."""


def labels_of_seeds(
    seeds: Sequence[int], record: ModelRecord, chosen: Mapping[int, int] | None = None
) -> Tensor:
    """Labels [B, F] of the seeds as a tensor; see `rows_of_seeds`."""
    import torch

    return torch.from_numpy(rows_of_seeds(seeds, record, chosen))


def rows_of_seeds(
    seeds: Sequence[int], record: ModelRecord, chosen: Mapping[int, int] | None = None
) -> np.ndarray:
    """Labels [B, F] int64: one combination a seed, drawn with its frequency in the collection, or among
    the pictures of the record's size; see `ModelRecord.combinations`.

    A seed always draws the same combination for a size, so a seed determines an image without given
    labels.

    Args:
        seeds: one an image.
        record: of the model.
        chosen: classes by column of their field. The combination is drawn among those that have
            them. Where none has them all, it is drawn among all combinations, and these classes
            replace its own.
    """
    if not record.labels:
        return np.zeros((len(seeds), 0), np.int64)
    known, numbers = zip(*record.combinations, strict=True)
    rows, counts = np.array(known), np.array(numbers, np.float64)
    chosen = chosen or {}
    if chosen:
        fits = np.all([rows[:, field] == number for field, number in chosen.items()], axis=0)
        if fits.any():
            rows, counts = rows[fits], counts[fits]
    ends = np.cumsum(counts / counts.sum())
    # A random state of its own, independent of that of the seed's latents.
    shares = [np.random.default_rng([seed, 1]).random() for seed in seeds]
    labels: np.ndarray = rows[np.searchsorted(ends, shares).clip(max=len(ends) - 1)]
    for field, number in chosen.items():
        labels[:, field] = number
    return labels


def _commonest(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The row [F] with the most images; of equally frequent rows the last in order, since -1
    sorts first."""
    most: np.ndarray = rows[np.lexsort((*rows.T[::-1], counts))[-1]]
    return most


def _loosely(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.casefold())


def _position(names: Sequence[str], wanted: str, what: str) -> int:
    """Index of a name: exact, or as displayed (models of earlier collections may have names with
    line breaks); else the only one with the same letters, whatever their case, and with blanks,
    underscores or hyphens at the same places."""
    shown = [one_line(name) for name in names]
    for known in (list(names), shown):
        if wanted in known:
            return known.index(wanted)
    alike = [place for place, name in enumerate(shown) if _loosely(name) == _loosely(wanted)]
    if len(alike) == 1:
        return alike[0]
    raise ImpastoError(f"unknown {what} {near(wanted, shown)}")


def field_of(record: ModelRecord, name: str) -> int:
    """The column of label field `name`.

    Raises:
        ImpastoError: the model is not conditioned on this field; the message lists its label
            fields.
    """
    if not record.labels:
        raise ImpastoError("this model knows no classes: it was trained without labels")
    return _position([field.name for field in record.labels], name, "label field")


def parse_classes(record: ModelRecord, texts: Sequence[str]) -> dict[int, int]:
    """Classes by column, from texts such as `genre=landscape`, or `landscape` with a single label
    field.

    Raises:
        ImpastoError: an unknown field or class (the message lists the valid ones), or a field
            twice.
    """
    chosen: dict[int, int] = {}
    for text in texts:
        name, equals, wanted = text.partition("=")
        if not equals:
            if len(record.labels) > 1:
                names = choices([field.name for field in record.labels])
                raise ImpastoError(
                    f"--class takes FIELD=CLASS here, not '{text}'; there is {names}"
                )
            name, wanted = (record.labels[0].name if record.labels else ""), text
        field = field_of(record, name)
        if field in chosen:
            raise ImpastoError(f"--class names {name} twice; a picture has one class in a field")
        classes = record.labels[field].classes
        chosen[field] = _position(classes, wanted, f"class of {name}")
    return chosen


def _check_sum(text: str, field: LabelRecord, weights: Mapping[int, float]) -> None:
    """
    Raises:
        ImpastoError: the weights of a mixture do not sum to 1, as those that the model learned do.
    """
    total = sum(weights.values())
    if abs(total - 1) <= _SUM_WITHIN:
        return
    scaled = {number: weight / total for number, weight in weights.items()} if total > 0 else {}
    parts = [f"{weight:.4g}*{field.classes[number]}" for number, weight in scaled.items()]
    such = f", such as {field.name}={'+'.join(parts)}" if parts and math.isfinite(total) else ""
    raise ImpastoError(f"the weights in '{text}' sum to {total:.4g}; they must sum to 1{such}")


def parse_mixtures(
    record: ModelRecord, texts: Sequence[str]
) -> tuple[dict[int, int], dict[int, dict[int, float]]]:
    """Classes and mixtures of classes by column, from texts as `parse_classes` takes them, or such as
    `style=0.6*Ukiyo-e+0.4*Cubism`.

    Raises:
        ImpastoError: as `parse_classes`; or a mixture names a class twice, or its weights do not sum
            to 1.
    """
    plain: list[str] = []
    mixtures: dict[int, dict[int, float]] = {}
    for text in texts:
        name, equals, wanted = text.partition("=")
        if not equals:
            name, wanted = (record.labels[0].name if len(record.labels) == 1 else ""), text
        parts = [_WEIGHTED.fullmatch(part) for part in _BETWEEN.split(wanted)]
        if not all(parts) or not name:
            plain.append(text)
            continue
        field = field_of(record, name)
        weights: dict[int, float] = {}
        for part in filter(None, parts):
            number = _position(record.labels[field].classes, part[2], f"class of {name}")
            if number in weights:
                raise ImpastoError(f"--class names {part[2]} twice in '{text}'")
            weights[number] = float(part[1])
        if field in mixtures:
            raise ImpastoError(f"--class names {name} twice; give all its classes in one mixture")
        _check_sum(text, record.labels[field], weights)
        mixtures[field] = weights
    chosen = parse_classes(record, plain)
    for field in mixtures.keys() & chosen.keys():
        name = record.labels[field].name
        raise ImpastoError(f"--class names {name} twice; give all its classes in one mixture")
    return chosen, mixtures


def mixed(
    record: ModelRecord, labels: Tensor, mixtures: Mapping[int, Mapping[int, float]]
) -> Tensor:
    """Labels [B, F] with mixtures of classes in some fields, as class weights [B, K]; the labels
    themselves without mixtures."""
    import torch

    return (
        torch.from_numpy(weights_of_rows(record, labels.numpy(), mixtures)) if mixtures else labels
    )


def weights_of_rows(
    record: ModelRecord, labels: np.ndarray, mixtures: Mapping[int, Mapping[int, float]]
) -> np.ndarray:
    """Class weights [B, K1 + K2 + ...] float32 of labels [B, F], with mixtures of classes in some
    fields. An unknown label (-1) is all zeros in its field."""
    blocks = [np.zeros((len(labels), 0), np.float32)]
    for field, size in enumerate(record.label_sizes):
        block = (labels[:, field, None] == np.arange(size)).astype(np.float32)
        if field in mixtures:
            block[:] = 0
            for number, weight in mixtures[field].items():
                block[:, number] = weight
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def class_numbers(record: ModelRecord, classes: Mapping[str, str]) -> dict[int, int]:
    """Classes by column, from the names of label fields and classes.

    Raises:
        ImpastoError: an unknown field or class (the message lists the valid ones), or a class
            without its field.
    """
    if not isinstance(classes, Mapping):
        raise ImpastoError(
            f'classes are given by label field, such as {{"style": "Ukiyo-e"}}, not {classes!r}'
        )
    chosen: dict[int, int] = {}
    for name, wanted in classes.items():
        field = field_of(record, name)
        chosen[field] = _position(record.labels[field].classes, wanted, f"class of {name}")
    return chosen


def known_classes(record: ModelRecord, field: int) -> list[int]:
    """The classes of label field `field` that occur among the training images, sorted."""
    return sorted({row[field] for row in record.label_rows} - {-1})


def columns_of(record: ModelRecord, field: int, chosen: Mapping[int, int]) -> Columns:
    """Every class of label field `field`: its name, and labels in the other fields.

    Args:
        record: of the model.
        field: its column.
        chosen: classes of other fields, by column.

    Raises:
        ImpastoError: `chosen` has a class of `field` too, or no training image has a class in it.
    """
    name = record.labels[field].name
    if field in chosen:
        raise ImpastoError(
            f"--class chooses one {name} and --every-class all: leave one of them out"
        )
    rows, counts = np.array(record.label_rows), np.array(record.label_counts)
    if not (rows[:, field] >= 0).any():
        raise ImpastoError(f"every picture this model has seen is of unknown {name}")
    names, labels = _columns(field, record.labels, rows, counts)
    for other, number in chosen.items():
        labels[:, other] = number
    return names, labels


def every_class(record: ModelRecord, field: int, chosen: Mapping[int, int]) -> ClassGrid:
    """The class grid of label field `field`; see `columns_of`."""
    return ClassGrid.made(*columns_of(record, field, chosen))


Columns = tuple[tuple[str, ...], np.ndarray]
"""Names of classes, and labels [K, F] of each: the class, and its most frequent combination in the other
fields."""


def _columns(
    position: int, fields: Sequence[LabelRecord], rows: np.ndarray, counts: np.ndarray
) -> Columns:
    """The classes of the field in column `position`; see `ClassGrid.of`."""
    sizes = np.bincount(
        rows[rows[:, position] >= 0, position],
        weights=counts[rows[:, position] >= 0],
        minlength=len(fields[position].classes),
    )
    frequent = np.sort(np.argsort(-sizes, kind="stable")[:MAX_COLUMNS])
    shown = [int(number) for number in frequent if sizes[number] > 0]
    of_class = [rows[:, position] == k for k in shown]
    labels = [_commonest(rows[mine], counts[mine]) for mine in of_class]
    return (
        tuple(fields[position].classes[k] for k in shown),
        np.array(labels, np.int64).reshape(len(shown), len(fields)),
    )


@dataclass(frozen=True)
class ClassGrid:
    """The same latents in every class of one field: one row a latent, one column a class."""

    classes: tuple[str, ...]
    """Names of the classes, one a column."""
    labels: Tensor
    """[K, F] labels of the columns: the class, and its most frequent combination in the other
    fields."""
    rows: int
    """Number of latents."""

    @classmethod
    def of(
        cls, position: int, fields: Sequence[LabelRecord], rows: np.ndarray, counts: np.ndarray
    ) -> ClassGrid:
        """The grid of the field in column `position`.

        Args:
            position: the field's column.
            fields: all label fields.
            rows: all combinations, [R, F].
            counts: number of images of each combination, [R].
        """
        return cls.made(*_columns(position, fields, rows, counts))

    @classmethod
    def made(cls, names: tuple[str, ...], labels: np.ndarray) -> ClassGrid:
        """The grid of these columns."""
        import torch

        return cls(names, torch.from_numpy(labels), 8 if len(names) <= 10 else 4)

    def inputs(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [R * K, Z] and labels [R * K, F] of the grid's images, row by row, from latents
        [R, Z]."""
        count = len(self.classes)
        return latents.repeat_interleave(count, dim=0), self.labels.repeat(len(latents), 1)

    def record(self, latents: int, sizes: Sequence[Resolution] = ()) -> dict[str, Any]:
        """The grid's entry in `run.json`, for this number of latents; with several sizes also their
        widths and heights, in the order in which the rows take turns."""
        rows = max(min(self.rows, latents), len(sizes))
        turns = {"sizes": list(map(width_and_height, sizes))} if sizes else {}
        return {"classes": list(self.classes), "rows": rows, **turns}
