"""Compare runs' scores over images seen, epochs or iterations, and the main ones over training time
too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from impasto.diagnosis.curves import Counts, Floats
from impasto.evaluation.record import EvaluationRow
from impasto.evaluation.score_kinds import INFINITY, base_of, kind_in, place_of, title_of
from impasto.formatting import counted
from impasto.reporting.axes import IMAGES, NAMES, Axis, AxisChoice, axes_of
from impasto.reporting.charts import Level, Line, chart
from impasto.reporting.compared import Compared, at_own_resolutions, listed, size_of
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


@dataclass(frozen=True)
class _Over:
    """What a chart is drawn over: a unit, and its values at each run's moments."""

    axis: Axis
    places: Sequence[Counts | Floats | None]


class _Drawing:
    """Draws cards, with unique ids in the page."""

    def __init__(self, rows: Sequence[EvaluationRow]) -> None:
        self._drawn, self._rows = 0, rows

    def card(
        self,
        title: str,
        over: Sequence[_Over],
        lines: Sequence[Line | None],
        name: str,
        levels: Sequence[Level],
    ) -> Card:
        """A card with a chart for each unit, of which the page shows one."""
        kind = kind_in(name, self._rows)
        drawings = []
        for each in over:
            places, joined = _joined(each.places, lines)
            drawing = chart(
                places,
                joined,
                identity=f"chart{self._drawn}",
                label=f"{title} over {each.axis.label}",
                bounds=(0.0, 1.0) if kind.share and base_of(name) != "copied" else None,
                from_zero=base_of(name) in ("diversity", "copied"),
                levels=levels,
                axes=(each.axis,),
                shown_in=each.axis.name,
            )
            self._drawn += 1
            drawings.append(drawing)
        return Card(title, Markup().join(drawings), kind.sentence)


def axis_choice(runs: Sequence[Compared]) -> AxisChoice:
    """The units that the files of all runs tell."""
    units = [_units(run) for run in runs]
    axes = []
    for name in NAMES:
        if not all(name in unit for unit in units):
            continue
        each = [unit[name] for unit in units]
        if any(axis.explanation != each[0].explanation for axis in each):
            lengths = [
                f"{counted(round(axis.images), 'image')} in {run.name}"
                for axis, run in zip(each, runs, strict=True)
            ]
            text = f"One {name.removesuffix('s')}: {listed(lengths)}."
            each[0] = replace(each[0], explanation=text)
        axes.append(each[0])
    return AxisChoice(axes)


def _units(run: Compared) -> dict[str, Axis]:
    return {axis.name: axis for axis in axes_of(run.record)}


def curves(runs: Sequence[Compared], collection_hash: str, choice: AxisChoice) -> list[Curves]:
    """Scores of all runs over each unit of the choice, and the main ones over training time too."""
    alike = at_own_resolutions(
        [{group.conditions: group for group in made_alike(run.of(collection_hash))} for run in runs]
    )
    conditions = list(dict.fromkeys(key for groups in alike for key in groups))
    rows = [row for groups in alike for group in groups.values() for row in group.rows]
    found, drawing = [], _Drawing(rows)
    for network in dict.fromkeys((key.network, key.weights_sha256) for key in conditions):
        mine = [key for key in conditions if (key.network, key.weights_sha256) == network]

        def worth(key: Conditions) -> tuple[int, int, int]:
            moments = [len(groups[key].rows) for groups in alike if key in groups]
            return sum(count >= 2 for count in moments), sum(moments), len(key.sizes)

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
        found.append(Curves(network[0], says, _cards(runs, groups, drawing, choice)))
    return found


def _cards(
    runs: Sequence[Compared],
    groups: Sequence[Alike | None],
    drawing: _Drawing,
    choice: AxisChoice,
) -> list[Card]:
    pairs = {pair for group in groups if group is not None for pair in group.overall}
    cards = []
    sides = [None if group is None else size_of(group.newest) for group in groups]
    several = len({side for side in sides if side is not None}) > 1
    titles = [
        f"{run.name} ({side} pixels)" if several else run.name
        for run, side in zip(runs, sides, strict=True)
    ]
    over = [_Over(axis, _places(runs, groups, axis)) for axis in choice.axes]
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
        levels = next(
            levels_of(group, name, of)
            for group, line in zip(groups, lines, strict=True)
            if group is not None and line is not None
        )
        if several and base_of(name) != "diversity":
            levels = []  # those of real pictures depend on the resolution
        cards.append(drawing.card(title, over, lines, name, levels))
        if base_of(name) in _OVER_SECONDS and all(
            at is not None for at, line in zip(seconds, lines, strict=True) if line is not None
        ):
            minutes = [None if at is None else at / 60 for at in seconds]
            timed = _Over(Axis("", "minutes of training"), minutes)
            title = f"{title} by time of training"
            cards.append(drawing.card(title, [timed], lines, name, levels))
    return cards


def _places(
    runs: Sequence[Compared], groups: Sequence[Alike | None], axis: Axis
) -> list[Counts | Floats | None]:
    """Each run's moments in a unit, of its own length for each run."""
    found: list[Counts | Floats | None] = []
    for run, group in zip(runs, groups, strict=True):
        if group is None:
            found.append(None)
        elif axis.name == IMAGES.name:
            found.append(group.images_seen)
        else:
            found.append(group.images_seen / _units(run)[axis.name].images)
    return found


def _joined(
    places: Sequence[Counts | Floats | None], lines: Sequence[Line | None]
) -> tuple[Counts | Floats, list[Line]]:
    """Lines that each have their own horizontal values, with common ones."""
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
    return every, joined


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
