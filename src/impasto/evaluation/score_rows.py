"""Scores as rows of a record, of all pictures or of one class, with warnings."""

from collections.abc import Mapping
from typing import get_args

import numpy as np
import torch

from impasto.errors import ImpastoError, choices, near
from impasto.evaluation.accuracy import FieldResult
from impasto.evaluation.memorisation import Memorisation
from impasto.evaluation.record import Better, ScoreRow
from impasto.features import FeatureNetwork
from impasto.metrics import Sample, Score, metric_module, scores
from impasto.metrics.inception_score import inception_score_splits
from impasto.registry import names


def part(sample: Sample, places: np.ndarray) -> Sample:
    """The part of a sample at these positions."""
    some = torch.from_numpy(places)
    return Sample(sample.features[some], None if sample.logits is None else sample.logits[some])


def metrics_for(sample: Sample) -> list[str]:
    """The metrics whose needs the sample meets."""
    return [
        name
        for name in names("metrics")
        if sample.logits is not None or "logits" not in metric_module(name).NEEDS
    ]


def better_ends_of(metric: str, width: int) -> Mapping[str, Better]:
    """Which end of each score is better, as the metric's file declares it.

    Raises:
        ImpastoError: it declares another thing, or one of a score that the metric does not have.
    """
    module = metric_module(metric)
    ends, scored = getattr(module, "BETTER", {}), module.ranges(width)
    if not isinstance(ends, Mapping):
        raise ImpastoError(
            f"BETTER of the metric '{metric}' is no dict by score, such as {{'gap': 'lower'}}"
        )
    for name, end in ends.items():
        if name not in scored:
            raise ImpastoError(
                f"BETTER of the metric '{metric}' names no score of it: {near(name, scored)}"
            )
        if end not in get_args(Better):
            raise ImpastoError(
                f"BETTER of the metric '{metric}' says '{end}' of {name}; there is "
                f"{choices(list(get_args(Better)))}"
            )
    return ends


def score_rows(
    network: FeatureNetwork,
    fakes: Sample,
    reals: Sample,
    field: str | None = None,
    cls: str | None = None,
) -> list[ScoreRow]:
    """All scores of pictures, overall or of one class; without pictures, rows with a warning and no
    value."""
    generated = fakes.moments.count if fakes.moments else len(fakes.features)
    there = reals.moments.count if reals.moments else len(reals.features)
    rows = []
    for metric in metrics_for(fakes):
        module, ends = metric_module(metric), better_ends_of(metric, network.width)
        compares = "logits" not in module.NEEDS
        if generated == 0 or (compares and there == 0):
            kind = "generated" if generated == 0 else "real"
            empty = f"no {kind} picture of {field} {cls}" if cls else f"no {kind} picture"
            found = [Score(name, None, None, None, empty) for name in module.ranges(network.width)]
        else:
            found = scores(metric, fakes, reals if compares else None)
        rows += [
            ScoreRow(
                name=network.score_name(each.name),
                field=field,
                cls=cls,
                value=each.value,
                low=each.low,
                high=each.high,
                deviation=deviation_of(each, fakes),
                pictures=generated,
                reference=there if compares else 0,
                warning=each.warning,
                better=ends.get(each.name),
            )
            for each in found
        ]
    return rows


def copied_row(network: FeatureNetwork, memory: Memorisation) -> ScoreRow:
    """The share of copies as a row."""
    low, high = memory.interval or (None, None)
    return ScoreRow(
        name=network.score_name("copied"),
        value=memory.copied,
        low=low,
        high=high,
        pictures=len(memory.samples.distance),
        reference=len(memory.reference.rows),
        warning=memory.warning,
    )


def deviation_of(score: Score, fakes: Sample) -> float | None:
    """The deviation of an Inception Score over ten parts; None for other scores or few pictures."""
    if score.name != "is" or fakes.logits is None or len(fakes.logits) < 100:
        return None
    # A folder's pictures may be sorted by class.
    order = torch.randperm(len(fakes.logits), generator=torch.Generator().manual_seed(0))
    return inception_score_splits(fakes.logits.double().softmax(dim=1), order=order)[1]


def accuracy_rows(name: str, result: FieldResult) -> list[ScoreRow]:
    """An accuracy as rows: overall first, then by class."""
    rows = [
        ScoreRow(
            name=name,
            field=result.field,
            value=result.accuracy,
            low=result.interval[0],
            high=result.interval[1],
            pictures=result.pictures,
            reference=0,
            warning=result.warning,
        )
    ]
    for each in result.by_class:
        low, high = each.interval or (None, None)
        rows.append(
            ScoreRow(
                name=name,
                field=result.field,
                cls=each.name,
                value=each.accuracy,
                low=low,
                high=high,
                pictures=each.pictures,
                reference=0,
                warning=None if each.pictures else f"no picture of {result.field} {each.name}",
            )
        )
    return rows
