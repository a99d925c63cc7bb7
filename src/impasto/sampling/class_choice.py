"""Which labels pictures are painted with: of one class, of every class, or as in the collection.

A *combination* is a row of labels, a class a field, that occurs among the training pictures; a model
remembers all of them with their counts, because not every style goes with every genre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError, choices
from impasto.formatting import one_line
from impasto.sampling.model import LabelRecord, ModelRecord

MAX_COLUMNS = 40
"""Classes shown side by side; of more, the most frequent ones."""


def labels_of_seeds(
    seeds: Sequence[int], record: ModelRecord, chosen: Mapping[int, int] | None = None
) -> Tensor:
    """A combination a seed, drawn as often as it occurs in the collection: [B, F] int64.

    A seed always draws the same one, so that it names a picture without any labels given. With
    classes chosen (column to class), it is drawn among the combinations that have them; where no
    picture has them together, among all, and these classes put in.
    """
    if not record.labels:
        return torch.zeros(len(seeds), 0, dtype=torch.int64)
    rows, counts = np.array(record.label_rows), np.array(record.label_counts, np.float64)
    chosen = chosen or {}
    if chosen:
        fits = np.all([rows[:, field] == number for field, number in chosen.items()], axis=0)
        if fits.any():
            rows, counts = rows[fits], counts[fits]
    ends = np.cumsum(counts / counts.sum())
    # A random state of their own, apart from that of the seed's latents.
    shares = [np.random.default_rng([seed, 1]).random() for seed in seeds]
    labels = rows[np.searchsorted(ends, shares).clip(max=len(ends) - 1)]
    for field, number in chosen.items():
        labels[:, field] = number
    return torch.from_numpy(labels)


def _commonest(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The row [F] of most pictures; of equally common ones the last in order, for -1 stands first."""
    most: np.ndarray = rows[np.lexsort((*rows.T[::-1], counts))[-1]]
    return most


def _position(names: Sequence[str], wanted: str, what: str) -> int:
    """Where a name is: exactly so, or as it is shown (models of earlier collections may have names
    with line breaks)."""
    shown = [one_line(name) for name in names]
    for known in (list(names), shown):
        if wanted in known:
            return known.index(wanted)
    raise ImpastoError(f"unknown {what} '{wanted}'; there is {choices(shown)}")


def field_of(record: ModelRecord, name: str) -> int:
    """The column of label field `name`.

    Raises:
        ImpastoError: the model is not conditioned on it; the message lists what it is conditioned on.
    """
    if not record.labels:
        raise ImpastoError("this model knows no classes: it was trained without labels")
    return _position([field.name for field in record.labels], name, "label field")


def parse_classes(record: ModelRecord, texts: Sequence[str]) -> dict[int, int]:
    """Texts such as `genre=landscape`, or `landscape` where there is one field only, as column to
    class.

    Raises:
        ImpastoError: an unknown field or class (the message lists those there are), or a field named
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


def class_numbers(record: ModelRecord, classes: Mapping[str, str]) -> dict[int, int]:
    """Label field to class, by names, as column to class.

    Raises:
        ImpastoError: an unknown field or class; the message lists those there are.
    """
    chosen: dict[int, int] = {}
    for name, wanted in classes.items():
        field = field_of(record, name)
        chosen[field] = _position(record.labels[field].classes, wanted, f"class of {name}")
    return chosen


def known_classes(record: ModelRecord, field: int) -> list[int]:
    """The classes of label field `field` that the model has seen pictures of."""
    return sorted({row[field] for row in record.label_rows} - {-1})


def every_class(record: ModelRecord, field: int, chosen: Mapping[int, int]) -> "ClassGrid":
    """The grid of label field `field`, with other fields' classes as `chosen`.

    Raises:
        ImpastoError: `chosen` says the class of `field` too, or the model has seen none of its
            classes.
    """
    name = record.labels[field].name
    if field in chosen:
        raise ImpastoError(
            f"--class chooses one {name} and --every-class all: leave one of them out"
        )
    rows, counts = np.array(record.label_rows), np.array(record.label_counts)
    if not (rows[:, field] >= 0).any():
        raise ImpastoError(f"every picture this model has seen is of unknown {name}")
    grid = ClassGrid.of(field, record.labels, rows, counts)
    for other, number in chosen.items():
        grid.labels[:, other] = number
    return grid


@dataclass(frozen=True)
class ClassGrid:
    """The same latents in every class of one field: a row a latent, a column a class."""

    classes: tuple[str, ...]
    """Names, a column each."""
    labels: Tensor
    """[K, F] a column's labels: its class, and in other fields those it occurs with most often."""
    rows: int

    @classmethod
    def of(
        cls, position: int, fields: Sequence[LabelRecord], rows: np.ndarray, counts: np.ndarray
    ) -> "ClassGrid":
        """The grid of the field in column `position`.

        Args:
            position: its column.
            fields: all label fields.
            rows: the combinations there are, [R, F].
            counts: how many pictures have each, [R].
        """
        sizes = np.bincount(
            rows[rows[:, position] >= 0, position],
            weights=counts[rows[:, position] >= 0],
            minlength=len(fields[position].classes),
        )
        frequent = np.sort(np.argsort(-sizes, kind="stable")[:MAX_COLUMNS])
        shown = [int(number) for number in frequent if sizes[number] > 0]
        of_class = [rows[:, position] == k for k in shown]
        labels = [_commonest(rows[mine], counts[mine]) for mine in of_class]
        return cls(
            tuple(fields[position].classes[k] for k in shown),
            torch.from_numpy(np.array(labels, np.int64).reshape(len(shown), len(fields))),
            8 if len(shown) <= 10 else 4,
        )

    def inputs(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [R * K, Z] and labels [R * K, F] of the grid's pictures, row by row, from latents
        [R, Z]."""
        count = len(self.classes)
        return latents.repeat_interleave(count, dim=0), self.labels.repeat(len(latents), 1)

    def record(self, latents: int) -> dict[str, Any]:
        """What `run.json` says of it."""
        return {"classes": list(self.classes), "rows": min(self.rows, latents)}
