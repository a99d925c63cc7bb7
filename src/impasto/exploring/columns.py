"""Columns of a collection, such as the year, as functions of pictures' features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError, near
from impasto.evaluation.gather import Progress, silent
from impasto.evaluation.reference import collection_features
from impasto.exploring.linear import Fit, fit
from impasto.features import FeatureNetwork
from impasto.formatting import counted
from impasto.resolution import Resolution

MOST_READ = 1024
"""Pictures whose features are computed, real ones and generated ones."""
_LEAST = 20
"""Pictures that a column must be known of."""


@dataclass(frozen=True)
class Column:
    """A column, read from features by a linear function."""

    name: str
    fit: Fit

    @property
    def how(self) -> str:
        """How it is read, in words."""
        return (
            f"read from features (correlation {float(self.fit.correlation[0]):.2f} on real pictures "
            "held out)"
        )

    def __call__(self, features: Tensor) -> Tensor:
        """The column's value [N] of features [N, D]."""
        return self.fit(features)[:, 0]


def values_of(table: Sequence[Mapping[str, str]], asked: str) -> np.ndarray:
    """The values of a column for each source, NaN where there is none.

    Args:
        table: the sources' rows.
        asked: a column of numbers, such as `year`; or one with a value, such as
            `artist=Katsushika Hokusai`, which is 1 for the sources that have it and 0 for others.

    Raises:
        ImpastoError: there is no such column or value, or its cells are no numbers.
    """
    name, equals, value = asked.partition("=")
    columns = list(table[0]) if table else []
    if name not in columns:
        raise ImpastoError(f"the collection has no column {near(name, columns)}")
    cells = [row[name].strip() for row in table]
    if equals:
        if value not in cells:
            raise ImpastoError(f"no picture has {name} {near(value, filter(None, cells))}")
        return np.array([np.nan if not cell else float(cell == value) for cell in cells])
    numbers = np.array([_number(cell) for cell in cells])
    if not np.isfinite(numbers).any():
        raise ImpastoError(
            f"column {name} has no numbers; name one of its values, such as "
            f"--column '{name}={next(filter(None, cells), 'VALUE')}'"
        )
    return numbers


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan


def learn_column(
    collection: Collection,
    network: FeatureNetwork,
    asked: str,
    *,
    resolution: Resolution,
    progress: Progress = silent,
) -> Column:
    """Fit a column to the features of the training pictures.

    Pictures of one source are held out together, so the correlation is that of new sources.

    Args:
        collection: of real pictures.
        network: whose features it is read from.
        asked: see `values_of`.
        resolution: of the generated pictures.
        progress: shows the computing of features.

    Raises:
        ImpastoError: see `values_of`; or it is known of too few pictures.
    """
    of_source = values_of(collection.source_table(), asked)
    (reference,) = collection_features(
        [network], collection, resolution=resolution, limit=MOST_READ, progress=progress
    )
    values = torch.from_numpy(of_source[reference.sources])
    known = torch.isfinite(values)
    if int(known.sum()) < _LEAST or values[known].unique().numel() < 2:
        raise ImpastoError(
            f"{asked} is known of {counted(int(known.sum()), 'training picture')}, with "
            f"{counted(values[known].unique().numel(), 'value')}; that is too little to learn it"
        )
    sources = torch.from_numpy(reference.sources)[known]
    features = torch.as_tensor(reference.sample.features)[known]
    return Column(asked, fit(features, values[known][:, None], sources))
