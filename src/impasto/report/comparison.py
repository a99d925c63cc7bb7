"""Several runs side by side: the same latents, scores over time, tables that mark what is certain.

Scores are compared only where they were measured alike (`scores.Conditions`), and a value is marked as
the best only where its interval overlaps no other's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from impasto import __version__
from impasto.evaluation.column_names import (
    INFINITY,
    base_of,
    interval_text,
    kind_of,
    place_of,
    value_text,
)
from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.files import write_text
from impasto.formatting import counted, readable_time
from impasto.report.charts import Level, Line, chart
from impasto.report.elements import chart_card, image, moment, table
from impasto.report.evaluated import by_size, is_chief, levels_of, names_by_class
from impasto.report.findings import Counts, Floats
from impasto.report.pictures import picture_uri
from impasto.report.record import Record
from impasto.report.scores import (
    Alike,
    Conditions,
    Notes,
    about_heldout,
    best_of,
    cell,
    commonest_row,
    heldout_score,
    is_curve,
    judged,
    made_alike,
    replaces,
    title_of,
)

MOST_RUNS = 6
"""Lines that a chart can tell apart by their colours."""
_MOST_BANDS = 3
_OVER_SECONDS = ("fid", "fd", "kid")
_SMALL_SIDE = 128
_MOST_SETTINGS = 12
"""Of those that differ; more unfold."""


@dataclass(frozen=True)
class Asked:
    """What a person asked the scores to be of; None: whatever the runs share.

    Attributes:
        pictures: generated ones.
        per_class: of each class at least.
        reference: real pictures compared with, at most.
    """

    pictures: int | None = None
    per_class: int | None = None
    reference: int | None = None

    def fits(self, row: EvaluationRow) -> bool:
        told = row.reference
        return (
            self.pictures in (None, row.pictures.count)
            and self.per_class in (None, row.pictures.per_class)
            and (self.reference is None or told.pictures == min(self.reference, told.available))
        )


@dataclass(frozen=True)
class Compared:
    """A run that is compared, by one of its checkpoints.

    Attributes:
        record: of the run, as it was read.
        name: that no other of them has.
        images_seen: of the checkpoint.
        weights_sha256: of the checkpoint.
        asked: what its scores are to be of.
    """

    record: Record
    name: str
    images_seen: int
    weights_sha256: str
    asked: Asked = Asked()

    def of(self, collection_hash: str) -> list[EvaluationRow]:
        """Evaluations of the run on a collection."""
        return [row for row in self.record.evaluations if row.collection.hash == collection_hash]

    def scored(self, collection_hash: str) -> dict[Conditions, list[EvaluationRow]]:
        """Evaluations of the checkpoint on a collection, as they were asked for."""
        found: dict[Conditions, list[EvaluationRow]] = {}
        for row in self.of(collection_hash):
            if (
                row.subject.images_seen == self.images_seen
                and row.subject.weights_sha256 in (None, self.weights_sha256)
                and self.asked.fits(row)
            ):
                found.setdefault(Conditions.of(row), []).append(row)
        return found


def scored_alike(
    runs: Sequence[Compared], collection_hash: str
) -> list[dict[Conditions, EvaluationRow]]:
    """Of each run, the evaluations of its checkpoint on a collection, one of each kind: where there are
    several, one with as many pictures of each class as the other runs have, or else of most."""
    every = [run.scored(collection_hash) for run in runs]

    def chosen(key: Conditions, rows: Sequence[EvaluationRow]) -> EvaluationRow:
        portions = [
            {row.pictures.per_class for row in found[key]} for found in every if key in found
        ]
        shared = max(set.intersection(*portions), default=None)
        best, *others = [row for row in rows if shared in (None, row.pictures.per_class)]
        for row in others:
            best = row if replaces(row, best) else best
        return best

    return [{key: chosen(key, rows) for key, rows in found.items()} for found in every]


@dataclass(frozen=True)
class Pictures:
    """What several models paint of the same seeds.

    Attributes:
        drawn: of each model, uint8 [16, H, W, 3].
        by_class: (label field, class) -> of each model that knows it, its place and [8, H, W, 3].
        notes: what is not alike, a sentence each.
    """

    drawn: Sequence[np.ndarray]
    by_class: Mapping[tuple[str, str], Sequence[tuple[int, np.ndarray]]]
    notes: Sequence[str]


class _Drawing:
    """Draws charts over any axis; each gets names of its own in the page."""

    def __init__(self) -> None:
        self._drawn = 0

    def card(
        self,
        title: str,
        places: Counts | Floats,
        lines: Sequence[Line],
        name: str,
        axis: str,
        levels: Sequence[Level],
    ) -> str:
        kind = kind_of(name)
        drawing = chart(
            places,
            lines,
            identity=f"chart{self._drawn}",
            label=escape(f"{title} over {axis}", quote=True),
            bounds=(0.0, 1.0) if kind.share and base_of(name) != "copied" else None,
            from_zero=base_of(name) in ("diversity", "copied"),
            levels=levels,
            axis=axis,
        )
        self._drawn += 1
        better = (
            "Nearest to 1 is best."
            if kind.better == "nearest to 1"
            else (f"{kind.better.capitalize()} is better.")
        )
        return chart_card(title, drawing, better)


def write_comparison(
    runs: Sequence[Compared], pictures: Pictures, collection: str, collection_hash: str, out: Path
) -> list[str]:
    """Write one page that compares runs on a collection.

    Args:
        runs: two to six, as they were asked for.
        pictures: what they paint.
        collection: its name.
        collection_hash: its content hash.
        out: the HTML file.

    Returns:
        What was compared with what, and what could not be: a sentence each.

    Raises:
        ImpastoError: the page cannot be written.
    """
    tables = Tables(runs, collection_hash)
    overall, by_class, curves = tables.overall(), tables.by_class(), _curves(runs, collection_hash)
    says = tables.says
    body = [
        '<div class="missing">' + "".join(f"<p>{escape(text)}</p>" for text in says) + "</div>"
        if says
        else "",
        f"<section><h2>The runs</h2>{_facts(runs)}"
        f"<h3>Settings that differ</h3>{_settings(runs)}</section>",
        _pictures_section(runs, pictures),
        f"<section><h2>Scores</h2>{_MARKED}{overall}</section>",
        curves,
        f"<section><h2>Scores by class</h2>{_MARKED}{by_class}</section>" if by_class else "",
    ]
    names = " and ".join(run.name for run in runs) if len(runs) == 2 else f"{len(runs)} runs"
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        version=escape(__version__),
        what="comparison",
        title=escape(f"{names} compared (impasto)"),
        heading=escape(names),
        status=f"<p>On {escape(collection)}: the same latents, and scores by the same pictures.</p>",
        body="\n".join(filter(None, body)),
    )
    write_text(out, page)
    return says


# The runs themselves


def _facts(runs: Sequence[Compared]) -> str:
    """What was trained on what, for how long, on which machine."""

    def seconds(record: Record) -> str:
        told = record.series.get("seconds")
        if told is None or not np.isfinite(told).any():
            return ""
        return readable_time(float(told[np.isfinite(told)][-1]))

    def parameters(record: Record) -> str:
        count = record.count("parameters", "generator")
        return f"{count:,}" if count else ""

    def trained(record: Record) -> str:
        planned = record.images_planned
        of = f" of {planned:,}" if planned and planned > record.images_done else ""
        return f"{record.images_done:,}{of} images"

    def text(*names: str) -> Callable[[Record], str]:
        return lambda record: str(record.get(*names, default=""))

    facts: dict[str, Callable[[Record], str]] = {
        "Recipe": text("recipe"),
        "Trained on": text("collection", "name"),
        "Pictures": lambda record: f"{record.pictures:,}" if record.pictures else "",
        "Resolution": text("config", "resolution"),
        "Seed": text("config", "training", "seed"),
        "Trained": trained,
        "Training time": seconds,
        "Device": text("machine", "device"),
        "Generator's parameters": parameters,
    }
    if any(run.record.get("started_from") for run in runs):
        facts["Started from"] = text("started_from", "model")
    rows = [(name, [_word(of(run.record)) for run in runs]) for name, of in facts.items()]
    rows.append(("Checkpoint", [_word(moment(run.record, run.images_seen)) for run in runs]))
    return table(["", *(run.name for run in runs)], rows)


def _word(text: str) -> str:
    return f'<td class="words">{escape(text)}</td>'


def settings_that_differ(configs: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Dotted names of settings that are not the same in all, with each one's value as text."""
    # What is left out means what null means, and a term's name is in that of its settings.
    flat = [
        {
            name: text
            for name, text in _flat(config).items()
            if text != "null" and not name.endswith(".term")
        }
        for config in configs
    ]
    names = list(dict.fromkeys(name for each in flat for name in each))
    rows = [(name, [each.get(name, "") for each in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, dict) and value:
        parts = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        # Terms of the objective go by their names, as for --set.
        parts = [(str(item.get("term", place)), item) for place, item in enumerate(value)]
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {name: text}
    found: dict[str, str] = {}
    for key, item in parts:
        found |= _flat(item, f"{name}.{key}" if name else key)
    return found


def _settings(runs: Sequence[Compared]) -> str:
    rows = settings_that_differ([run.record.get("config", default={}) for run in runs])
    if not rows:
        return "<p>None: the runs have the same settings.</p>"
    found = table(
        ["", *(run.name for run in runs)],
        [(name, [_word(value) for value in values]) for name, values in rows],
    )
    if len(rows) <= _MOST_SETTINGS:
        return found
    return f"<details><summary>{len(rows)} settings</summary>{found}</details>"


# Pictures


def _pictures_section(runs: Sequence[Compared], pictures: Pictures) -> str:
    figures = "".join(
        f"<figure>{_grid(drawn, 4, f'seeds 0 to {len(drawn) - 1} of {run.name}')}"
        f"<figcaption>{escape(run.name)}, after {escape(moment(run.record, run.images_seen))}."
        "</figcaption></figure>"
        for run, drawn in zip(runs, pictures.drawn, strict=True)
    )
    notes = "".join(f"<p class='faint'>{escape(note)}</p>" for note in pictures.notes)
    asked = (
        " Each seed asks all of them for the same classes, where they know them by name."
        if pictures.by_class
        else ""
    )
    parts = [
        f"<p>The same place is the same seed, from 0 on.{asked}</p>{notes}"
        f'<div class="{"two" if len(runs) == 2 else "two three"}">{figures}</div>'
    ]
    fields = list(dict.fromkeys(field for field, _ in pictures.by_class))
    for field in fields:
        cards = ""
        for (name, cls), painted in pictures.by_class.items():
            if name != field:
                continue
            strips = "".join(
                f"<figcaption>{escape(runs[place].name)}</figcaption>"
                f"{_grid(drawn, len(drawn), f'{cls} by {runs[place].name}')}"
                for place, drawn in painted
            )
            cards += f'<figure class="card"><h5>{escape(cls)}</h5>{strips}</figure>'
        parts.append(f'<h3>By {escape(field)}</h3><div class="two pairs">{cards}</div>')
    return f"<section><h2>The same latents</h2>{''.join(parts)}</section>"


def _grid(pictures: np.ndarray, columns: int, description: str) -> str:
    """Pictures [N, side, side, 3] without gaps, `columns` in a row; N is a multiple of it."""
    rows, side = len(pictures) // columns, pictures.shape[1]
    joined = pictures.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    grid = Image.fromarray(joined.reshape(rows * side, columns * side, 3))
    return image(picture_uri(grid), description, "pixel fill" if side < _SMALL_SIDE else "fill")


# Tables

_MARKED = (
    "<p class='faint'>Beneath each value: its 95% interval, for another draw of as many pictures. ✓ "
    "marks a value as the best only where its interval overlaps none of the others'; where nothing is "
    "marked, these pictures do not tell the runs apart.</p>"
)


class Tables:
    """Scores of the checkpoints, only those measured alike in one table.

    `says` are sentences on what was not compared and why.
    """

    def __init__(self, runs: Sequence[Compared], collection_hash: str) -> None:
        self.runs = runs
        self.says: list[str] = []
        self._groups = self._grouped(scored_alike(runs, collection_hash))

    def _grouped(
        self, scored: Sequence[Mapping[Conditions, EvaluationRow]]
    ) -> list[tuple[Conditions, dict[int, EvaluationRow]]]:
        """Of each network, which runs were measured alike: of most runs, then of most pictures; and
        those that are left by themselves."""
        chosen: list[tuple[Conditions, dict[int, EvaluationRow]]] = []
        apart = []
        conditions = list(dict.fromkeys(key for found in scored for key in found))
        for place, found in enumerate(scored):
            if not found:
                self.says.append(
                    f"{self.runs[place].name} has no scores on this collection: it is in no table."
                )
        # Weights apart: two networks of one name are two networks.
        networks = list(dict.fromkeys((key.network, key.weights_sha256) for key in conditions))
        for network in networks:
            left = [key for key in conditions if (key.network, key.weights_sha256) == network]
            waiting = {n for n, found in enumerate(scored) if any(key in found for key in left)}
            first: Conditions | None = None
            while waiting:
                groups = [
                    (key, {n: scored[n][key] for n in sorted(waiting) if key in scored[n]})
                    for key in left
                ]
                key, rows = max(groups, key=lambda group: (len(group[1]), group[0].pictures))
                if not rows:
                    break
                chosen.append((key, rows))
                waiting -= set(rows)
                if first is not None:
                    apart.append(self._apart(key, rows, first))
                first = first or key
        resolutions = sorted({key.resolution for key, _ in chosen})
        measured = {n for _, rows in chosen for n in rows}
        if len(measured) > 1 and len(resolutions) == len(measured):
            apart = [
                "No scores are compared: the runs paint at different resolutions "
                f"({_and([str(side) for side in resolutions])} pixels), and scores depend on it."
            ]
        elif measured and not any(len(rows) > 1 for _, rows in chosen):
            apart.append(
                "No two runs were measured alike, so no scores are compared: evaluate them with the "
                "same pictures and reference."
            )
        # Of two networks, the same may have to be said.
        self.says += dict.fromkeys(apart)
        return chosen

    def _apart(self, key: Conditions, rows: Mapping[int, Any], others: Conditions) -> str:
        """Why scores stand in a table of their own."""
        names = _and(self._names(rows))
        own = "stand in a table of their own and are not compared with the others'."
        if key.resolution != others.resolution:
            verb = "paints" if len(rows) == 1 else "paint"
            return (
                f"{names} {verb} at {key.resolution} pixels, not at {others.resolution}, and scores "
                f"depend on it; so these {own}"
            )
        verb = "was" if len(rows) == 1 else "were"
        return f"{names} {verb} measured otherwise ({key}), so the scores {own}"

    def overall(self) -> str:
        if not self._groups:
            return "<p>None of the runs was evaluated on this collection.</p>"
        return "".join(self._overall(key, rows) for key, rows in self._groups)

    def _names(self, rows: Mapping[int, Any]) -> list[str]:
        return [self.runs[n].name for n in rows]

    def _overall(self, key: Conditions, rows: Mapping[int, EvaluationRow]) -> str:
        pairs = {
            pair for row in rows.values() for group in made_alike([row]) for pair in group.overall
        }
        pairs_in_order = sorted(pairs, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0]))
        real = _shared([_heldout(row, pairs_in_order) for row in rows.values()])
        notes, body, marked = Notes(), [], 0
        for place, (name, of) in enumerate(pairs_in_order):
            best = best_of(name, [row.score(name, of) for row in rows.values()])
            marked += best is not None
            cells = [
                cell(judged(row, name, of), notes, best=number == best)
                for number, row in enumerate(rows.values())
            ]
            if real:
                cells.append(cell(real[place], notes))
            body.append((title_of(name, of), [*cells, _word(kind_of(name).better)]))
            beneath = commonest_row(list(rows.values()), name, of, heldout=bool(real))
            if beneath is not None:
                body.append((beneath[0], [*beneath[1], _word("")]))
        verdict = ""
        if len(rows) > 1 and not marked:
            verdict = "<p>No run is certainly better than the others in any of these.</p>"
        says = f"<p class='faint'>{about_heldout(list(rows.values()))}</p>" if real else ""
        head = ["", *self._names(rows), *(["held-out real"] if real else []), "better is"]
        return (
            f"<h3>As {escape(key.network)} sees them</h3><p>{escape(str(key))}.</p>{says}"
            f"{table(head, body)}{verdict}{notes.html}"
        )

    def by_class(self) -> str:
        """A table a score, a row a class, a column a run, for every field they share."""
        return "".join(self._by_class(key, rows) for key, rows in self._groups)

    def _by_class(self, key: Conditions, rows: Mapping[int, EvaluationRow]) -> str:
        portions = {row.pictures.per_class for row in rows.values()}
        if len(rows) > 1 and len(portions) > 1:
            self.says.append(
                f"Scores by class, as {key.network} sees them, are of different numbers of pictures "
                "of each class: they are not compared."
            )
            return ""
        fields = dict.fromkeys(
            score.field
            for row in rows.values()
            for score in row.scores
            if score.cls and score.field
        )
        parts = ""
        for field in fields:
            mine = {n: row for n, row in rows.items() if names_by_class([row], field)}
            if len(rows) > 1 and len(mine) == 1:
                self.says.append(
                    f"Only {self._names(mine)[0]} paints by {field}: there is nothing to compare by "
                    "it, and its own report has the scores."
                )
            if not mine or len(mine) < min(2, len(rows)):
                continue
            names = names_by_class(list(mine.values()), field)
            shown = [name for name in names if is_chief(name)]
            first = "".join(self._class_table(name, field, mine) for name in shown)
            rest = "".join(
                self._class_table(name, field, mine) for name in names if name not in shown
            )
            parts += (
                f"<h3>By {escape(field)}, as {escape(key.network)} sees them</h3>"
                f'<div class="two">{first}</div>'
            )
            if rest:
                parts += (
                    f"<details><summary>More scores by {escape(field)}</summary>"
                    f'<div class="two">{rest}</div></details>'
                )
        return parts

    def _class_table(self, name: str, field: str, rows: Mapping[int, EvaluationRow]) -> str:
        found = dict.fromkeys(
            score.cls
            for row in rows.values()
            for score in row.scores
            if score.name == name and score.field == field and score.cls
        )
        classes = by_size(self.runs[0].record, field, [cls for cls in found if cls])
        real = _shared(
            [[heldout_score(row, name, field, cls) for cls in classes] for row in rows.values()]
        )
        notes, body = Notes(), []
        for place, cls in enumerate(classes):
            scores = [row.score(name, field, cls) for row in rows.values()]
            best = best_of(name, scores)
            cells = [cell(score, notes, best=number == best) for number, score in enumerate(scores)]
            body.append((cls, [*cells, *([cell(real[place], notes)] if real else [])]))
        better = kind_of(name).better
        says = f"{better} is {'best' if better == 'nearest to 1' else 'better'}"
        head = [field, *self._names(rows), *(["held-out real"] if real else [])]
        return (
            f"<div><h4>{escape(title_of(name))}, {says}</h4>{table(head, body)}{notes.html}</div>"
        )


def _heldout(row: EvaluationRow, pairs: Sequence[tuple[str, str | None]]) -> list[ScoreRow | None]:
    return [heldout_score(row, name, of) for name, of in pairs]


def _shared(columns: Sequence[Sequence[ScoreRow | None]]) -> list[ScoreRow | None]:
    """What held-out real pictures score, if all runs have the same to tell; else nothing."""

    def text(score: ScoreRow | None) -> tuple[str, str] | None:
        return None if score is None else (value_text(score), interval_text(score))

    first = list(columns[0])
    alike = all([text(score) for score in column] == list(map(text, first)) for column in columns)
    return first if alike and any(first) else []


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# Curves


def _curves(runs: Sequence[Compared], collection_hash: str) -> str:
    """Scores of all runs over images seen, and the chief ones over time of training too."""
    alike = [
        {group.conditions: group for group in made_alike(run.of(collection_hash))} for run in runs
    ]
    conditions = list(dict.fromkeys(key for groups in alike for key in groups))
    parts, drawing = "", _Drawing()
    for network in dict.fromkeys((key.network, key.weights_sha256) for key in conditions):
        mine = [key for key in conditions if (key.network, key.weights_sha256) == network]

        def worth(key: Conditions) -> tuple[int, int]:
            moments = [len(groups[key].rows) for groups in alike if key in groups]
            return sum(count >= 2 for count in moments), sum(moments)

        key = max(mine, key=worth)
        if not worth(key)[0]:
            continue
        groups = [found.get(key) for found in alike]
        absent = [run.name for run, group in zip(runs, groups, strict=True) if group is None]
        says = f"{key}. A line joins only what was measured so."
        if absent:
            verb = "was" if len(absent) == 1 else "were"
            says += f" {_and(absent)} {verb} never measured so, and {verb} left out."
        if len(runs) <= _MOST_BANDS:
            says += " Bands: 95% intervals."
        parts += (
            f"<h3>As {escape(network[0])} sees them</h3><p class='faint'>{escape(says)}</p>"
            f'<div class="two">{_cards(runs, groups, drawing)}</div>'
        )
    return f"<section><h2>Scores over time</h2>{parts}</section>" if parts else ""


def _cards(runs: Sequence[Compared], groups: Sequence[Alike | None], drawing: _Drawing) -> str:
    pairs = {pair for group in groups if group is not None for pair in group.overall}
    cards = ""
    seconds = [_seconds(run, group) for run, group in zip(runs, groups, strict=True)]
    for name, of in sorted(pairs, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0])):
        if name.endswith(INFINITY):
            continue
        lines = [
            group.line(name, of, title=run.name) if group is not None else None
            for run, group in zip(runs, groups, strict=True)
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
        cards += _joined(title, seen, lines, name, "images seen", drawing, levels)
        if base_of(name) in _OVER_SECONDS and all(
            at is not None for at, line in zip(seconds, lines, strict=True) if line is not None
        ):
            minutes = [None if at is None else at / 60 for at in seconds]
            cards += _joined(
                f"{title} by time of training",
                minutes,
                lines,
                name,
                "minutes of training",
                drawing,
                levels,
            )
    return cards


def _joined(
    title: str,
    places: Sequence[Counts | Floats | None],
    lines: Sequence[Line | None],
    name: str,
    axis: str,
    drawing: _Drawing,
    levels: Sequence[Level],
) -> str:
    """A card of lines that each have places of their own on the level axis."""
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
            # It keeps its place, so that a run has one colour in all charts.
            joined.append(Line("", nothing))
            continue
        wide = spread(at, line.values)
        assert wide is not None  # it has values
        joined.append(
            replace(line, values=wide, low=spread(at, line.low), high=spread(at, line.high))
        )
    return drawing.card(title, every, joined, name, axis, levels)


def _seconds(run: Compared, group: Alike | None) -> Floats | None:
    """Seconds of training at each moment of a group, by the rows of `stats.jsonl` around it."""
    told = run.record.series.get("seconds")
    if group is None or told is None or not np.isfinite(told).any():
        return None
    known = np.isfinite(told)
    at = np.interp(
        group.images_seen,
        np.concatenate([[0], run.record.images_seen[known]]),
        np.concatenate([[0.0], told[known]]),
    )
    return np.asarray(at, dtype=np.float64)


def sentence(runs: Sequence[Compared], collection: str) -> str:
    """`2 runs compared on masters: a after 1,000 images, b after 2,000 images`."""
    each = ", ".join(f"{run.name} after {run.images_seen:,} images" for run in runs)
    return f"{counted(len(runs), 'run')} compared on {collection}: {each}"
