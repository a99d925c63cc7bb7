"""Compare runs' scores over images seen, and the main ones over training time too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from impasto.diagnosis.curves import Counts, Floats
from impasto.evaluation.record import EvaluationRow
from impasto.evaluation.score_kinds import INFINITY, base_of, kind_in, place_of, title_of
from impasto.reporting.charts import Level, Line, chart
from impasto.reporting.compared import Compared, at_own_resolutions, listed
from impasto.reporting.elements import Card
from impasto.reporting.evaluated import levels_of
from impasto.reporting.scores import Alike, Conditions, is_curve, made_alike

_MOST_BANDS = 3
_OVER_SECONDS = ("fid", "fd", "kid")


@dataclass(frozen=True)
class Curves:
    """The charts of one feature network, and their conditions."""

    network: str
    says: str
    cards: list[Card]


class _Drawing:
    """Draws charts over any axis, with unique ids in the page."""

    def __init__(self, rows: Sequence[EvaluationRow]) -> None:
        self._drawn, self._rows = 0, rows

    def card(
        self,
        title: str,
        places: Counts | Floats,
        lines: Sequence[Line],
        name: str,
        axis: str,
        levels: Sequence[Level],
    ) -> Card:
        kind = kind_in(name, self._rows)
        drawing = chart(
            places,
            lines,
            identity=f"chart{self._drawn}",
            label=f"{title} over {axis}",
            bounds=(0.0, 1.0) if kind.share and base_of(name) != "copied" else None,
            from_zero=base_of(name) in ("diversity", "copied"),
            levels=levels,
            axis=axis,
        )
        self._drawn += 1
        return Card(title, drawing, kind.sentence)


def curves(runs: Sequence[Compared], collection_hash: str) -> list[Curves]:
    """Scores of all runs over images seen, and the main ones over training time too."""
    alike = at_own_resolutions(
        [{group.conditions: group for group in made_alike(run.of(collection_hash))} for run in runs]
    )
    conditions = list(dict.fromkeys(key for groups in alike for key in groups))
    rows = [row for groups in alike for group in groups.values() for row in group.rows]
    found, drawing = [], _Drawing(rows)
    for network in dict.fromkeys((key.network, key.weights_sha256) for key in conditions):
        mine = [key for key in conditions if (key.network, key.weights_sha256) == network]

        def worth(key: Conditions) -> tuple[int, int]:
            moments = [len(groups[key].rows) for groups in alike if key in groups]
            return sum(count >= 2 for count in moments), sum(moments)

        key = max(mine, key=worth)
        if not worth(key)[0]:
            continue
        groups = [made.get(key) for made in alike]
        absent = [run.name for run, group in zip(runs, groups, strict=True) if group is None]
        says = f"{key}. A line joins only what was measured so."
        if absent:
            verb = "was" if len(absent) == 1 else "were"
            says += f" {listed(absent)} {verb} never measured so, and {verb} left out."
        if len(runs) <= _MOST_BANDS:
            says += " Bands: 95% intervals."
        found.append(Curves(network[0], says, _cards(runs, groups, drawing)))
    return found


def _cards(
    runs: Sequence[Compared], groups: Sequence[Alike | None], drawing: _Drawing
) -> list[Card]:
    pairs = {pair for group in groups if group is not None for pair in group.overall}
    cards = []
    sides = [None if group is None else group.newest.collection.resolution for group in groups]
    several = len({side for side in sides if side is not None}) > 1
    titles = [
        f"{run.name} ({side} pixels)" if several else run.name
        for run, side in zip(runs, sides, strict=True)
    ]
    seconds = [_seconds(run, group) for run, group in zip(runs, groups, strict=True)]
    for name, of in sorted(pairs, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0])):
        if name.endswith(INFINITY):
            continue
        lines = [
            group.line(name, of, title=title) if group is not None else None
            for title, group in zip(titles, groups, strict=True)
        ]
        if len(runs) > _MOST_BANDS:
            lines = [line and replace(line, low=None, high=None) for line in lines]
        if not any(line is not None and is_curve(line) for line in lines):
            continue
        title = title_of(name, of)
        seen = [None if group is None else group.images_seen for group in groups]
        levels = next(
            levels_of(group, name, of)
            for group, line in zip(groups, lines, strict=True)
            if group is not None and line is not None
        )
        if several and base_of(name) != "diversity":
            levels = []  # those of real pictures depend on the resolution
        cards.append(_joined(title, seen, lines, name, "images seen", drawing, levels))
        if base_of(name) in _OVER_SECONDS and all(
            at is not None for at, line in zip(seconds, lines, strict=True) if line is not None
        ):
            minutes = [None if at is None else at / 60 for at in seconds]
            title, axis = f"{title} by time of training", "minutes of training"
            cards.append(_joined(title, minutes, lines, name, axis, drawing, levels))
    return cards


def _joined(
    title: str,
    places: Sequence[Counts | Floats | None],
    lines: Sequence[Line | None],
    name: str,
    axis: str,
    drawing: _Drawing,
    levels: Sequence[Level],
) -> Card:
    """A card of lines that each have their own horizontal values."""
    every = np.unique(
        np.concatenate(
            [
                at
                for at, line in zip(places, lines, strict=True)
                if at is not None and line is not None
            ]
        )
    )

    def spread(at: Counts | Floats, values: Floats | None) -> Floats | None:
        if values is None:
            return None
        wide = np.full(len(every), np.nan)
        wide[np.searchsorted(every, at)] = values
        return wide

    nothing = np.full(len(every), np.nan)
    joined = []
    for at, line in zip(places, lines, strict=True):
        if at is None or line is None:
            # An empty line keeps its place, so that a run has one colour in all charts.
            joined.append(Line("", nothing))
            continue
        wide = spread(at, line.values)
        assert wide is not None  # it has values
        joined.append(
            replace(line, values=wide, low=spread(at, line.low), high=spread(at, line.high))
        )
    return drawing.card(title, every, joined, name, axis, levels)


def _seconds(run: Compared, group: Alike | None) -> Floats | None:
    """Seconds of training at each moment of a group, interpolated from `stats.jsonl`."""
    seconds = run.record.series.get("seconds")
    if group is None or seconds is None or not np.isfinite(seconds).any():
        return None
    known = np.isfinite(seconds)
    at = np.interp(
        group.images_seen,
        np.concatenate([[0], run.record.images_seen[known]]),
        np.concatenate([[0.0], seconds[known]]),
    )
    return np.asarray(at, dtype=np.float64)
