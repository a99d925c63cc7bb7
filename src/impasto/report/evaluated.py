"""How good the pictures are: the evaluations of a run, over time and as of now.

The rows come from `metrics.jsonl`, written by training itself and by `impasto evaluate`. Only what was
measured alike is joined by a line.
"""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from impasto.evaluation.column_names import INFINITY, base_of, kind_of, place_of
from impasto.evaluation.record import EVALUATION_FOLDER, EvaluationRow, ScoreRow
from impasto.formatting import counted, quoted
from impasto.report.charts import Level
from impasto.report.curves import Charts
from impasto.report.elements import image, moment, table
from impasto.report.pictures import open_picture, picture_uri
from impasto.report.record import Record
from impasto.report.scores import (
    Alike,
    Notes,
    about_heldout,
    best_founded,
    cell,
    commonest_row,
    copied_by_chance,
    foundation,
    is_curve,
    judged,
    made_alike,
    title_of,
)

# Kinds of scores that share a chart, each with one of its own otherwise; in the order of the page.
_CHARTS = (
    ("fid", "fd"),
    ("kid",),
    ("is",),
    ("top1",),
    ("precision", "recall"),
    ("density",),
    ("coverage",),
    ("diversity",),
    ("copied",),
)


def evaluation_section(record: Record, charts: Charts) -> str:
    """Scores over time, the newest ones as tables, who can name the classes, what was copied."""
    groups = made_alike(record.evaluations)
    if not groups:
        # A page may be shared, and an absolute path tells of the machine.
        run = quoted(record.name if record.folder.is_absolute() else record.folder)
        return (
            "<section><h2>Evaluation</h2><p class='faint'>Not evaluated yet: "
            f"<code>impasto evaluate {escape(run)}</code> measures how good the pictures are."
            "</p></section>"
        )
    parts = [
        _over_time(record, groups, charts),
        _newest(record, groups),
        _judges(record, groups),
        _copied(record),
    ]
    return f"<section><h2>Evaluation</h2>{''.join(parts)}</section>"


# Over time


def _over_time(record: Record, groups: list[Alike], charts: Charts) -> str:
    """Charts of what was measured at most moments; other networks' beneath, folded."""
    shown, folded = groups[0], []
    if len(shown.rows) < 2:
        return ""
    seen = {shown.conditions.network}
    for group in groups[1:]:
        if len(group.rows) >= 2 and group.conditions.network not in seen:
            seen.add(group.conditions.network)
            folded.append(group)
    others = [group for group in groups if group is not shown and group not in folded]
    says = f"{counted(len(shown.rows), 'checkpoint')}: {shown.conditions}."
    if any(row.during_training for row in shown.rows):
        says += " Measured during training."
    bands = "Bands: 95% intervals, for another draw of as many pictures."
    return (
        f"<h3>Scores over time</h3><p>{escape(says)}</p><p class='faint'>{bands}</p>"
        f'<div class="two">{_cards(shown, charts)}</div>'
        + "".join(
            "<details><summary>Scores over time, as "
            f"{escape(group.conditions.network)} sees it</summary>"
            f"<p>{escape(str(group.conditions))}.</p>"
            f'<div class="two">{_cards(group, charts)}</div></details>'
            for group in folded
        )
        + _otherwise(record, groups, others)
    )


def _otherwise(record: Record, groups: Sequence[Alike], others: Sequence[Alike]) -> str:
    """What else was measured, as a list, for it must not be joined to the curves."""
    if not others:
        return ""
    tables = best_founded(groups, record.collection_hash)
    items = ""
    for group in others:
        seen = [int(number) for number in group.images_seen]
        when = (
            f"after {moment(record, seen[0])}"
            if len(seen) == 1
            else f"at {len(seen)} moments from {seen[0]:,} to {seen[-1]:,} images"
        )
        where = "; in the table below" if group in tables else ""
        items += f"<li>{escape(f'{when}: {group.conditions}{where}')}</li>"
    return (
        "<p class='faint'>Measured otherwise, and not comparable with the curves (all numbers are in "
        f"metrics.jsonl):</p><ul class='notes'>{items}</ul>"
    )


def _cards(group: Alike, charts: Charts) -> str:
    cards = ""
    for bases in _CHARTS:
        names = [pair for pair in group.overall if base_of(pair[0]) in bases]
        # Those of the judges by themselves: their classes are the collection's own.
        cards += _card(group, [pair for pair in names if pair[1] is None], charts)
        cards += _card(group, [pair for pair in names if pair[1] is not None], charts)
    return cards


def levels_of(group: Alike, name: str, of: str | None) -> list[Level]:
    """What a score is to be compared with: what it should be, or what held-out real pictures have."""
    if base_of(name) == "diversity":
        return [Level("as varied as real ones", 1.0)]
    if base_of(name) == "copied":
        return [Level("nothing copied", copied_by_chance(group.newest))]
    levels = []
    heldout = group.heldout(name, of)
    if heldout is not None and heldout.value is not None:
        # The number: some scores depend on it.
        levels.append(Level(f"{heldout.pictures:,} held-out real pictures", heldout.value))
    made = group.made_baseline(of) if base_of(name) == "top1" else None
    return levels if made is None else [Level(f"always the commonest {of}", made), *levels]


def _card(group: Alike, names: Sequence[tuple[str, str | None]], charts: Charts) -> str:
    """A chart of one score or of a few that belong together; '' where none was measured twice."""
    curves = [
        (pair, line) for pair in names if (line := group.line(*pair)) is not None and is_curve(line)
    ][:6]
    if not curves:
        return ""
    names, lines = [pair for pair, _ in curves], [line for _, line in curves]
    name, of = names[0]
    kinds = list(dict.fromkeys(kind_of(name) for name, _ in names))
    title = lines[0].name
    if len(kinds) > 1:
        title = " and ".join(kind.title for kind in kinds)
    elif of is not None and len(lines) > 1:
        title = title_of(name)
        lines = [
            replace(line, name=str(field)) for line, (_, field) in zip(lines, names, strict=True)
        ]
    alone = len(kinds) == 1 and (of is None or len(lines) == 1)
    levels = levels_of(group, name, of) if alone else []
    explanations = " ".join(kind.explanation for kind in kinds)
    better = (
        "" if kinds[0].better == "nearest to 1" else f" {kinds[0].better.capitalize()} is better."
    )
    shares = all(kind.share for kind in kinds) and "copied" not in base_of(name)
    return charts.draw(
        title,
        group.images_seen,
        lines,
        explanations + better,
        bounds=(0.0, 1.0) if shares else None,
        from_zero=base_of(name) in ("diversity", "copied"),
        levels=levels,
    )


# As of now


def _newest(record: Record, groups: list[Alike]) -> str:
    """The newest scores, a table a feature network: of its best founded evaluation."""
    tables = "".join(
        _scores_table(record, group.newest)
        for group in best_founded(groups, record.collection_hash)
    )
    return f"<h3>The newest scores</h3>{tables}"


def _scores_table(record: Record, row: EvaluationRow) -> str:
    group = made_alike([row])[0]
    notes = Notes()
    heldout = any(score.cls is None for score in row.heldout)
    rows = []
    for name, of in group.overall:
        cells = [cell(judged(row, name, of), notes)]
        if heldout:
            cells.append(cell(group.heldout(name, of), notes))
        cells.append(f'<td class="words">{escape(_better(name, row))}</td>')
        rows.append((title_of(name, of), cells))
        if (beneath := commonest_row([row], name, of, heldout=heldout)) is not None:
            rows.append((beneath[0], [*beneath[1], '<td class="words"></td>']))
    head = ["", "generated", *(["held-out real"] if heldout else []), "better is"]
    says = f"After {moment(record, row.subject.images_seen or 0)}: {group.conditions}."
    intervals = f"Beneath each value: its 95% interval. {about_heldout([row])}"
    notes_of_row = "".join(f"<p class='faint'>{escape(note)}.</p>" for note in row.notes)
    return (
        f"<h4>As {escape(row.network.name)} sees them</h4><p>{escape(says)}</p>"
        f"{notes_of_row}<p class='faint'>{intervals}</p>{table(head, rows)}{notes.html}"
    )


def _better(name: str, row: EvaluationRow) -> str:
    better = kind_of(name).better
    if base_of(name) == "copied":
        return f"{better}; about {100 * copied_by_chance(row):.2g}% if nothing is copied"
    return better


# Who can name the classes


def _judges(record: Record, groups: list[Alike]) -> str:
    """GANGogh's table: the discriminator's accuracy on held-out pictures beside the judge's."""
    named: dict[str, EvaluationRow] = {}
    for group in groups:
        for judge in group.newest.judges:
            other = named.get(judge.field)
            own = record.collection_hash
            if other is None or foundation(group.newest, own) > foundation(other, own):
                named[judge.field] = group.newest
    parts = [_judge_table(record, field, row) for field, row in named.items()]
    if not parts:
        return ""
    return (
        "<h3>Who can name the classes</h3>"
        "<p class='faint'>The judge is a classifier of real pictures, made for this; Top-1 and its "
        "Inception Score are as good as it is. Beside it, the run's own discriminator. Both name "
        f"held-out real pictures.</p>{''.join(parts)}"
    )


def _judge_table(record: Record, field: str, row: EvaluationRow) -> str:
    judge = next(judge for judge in row.judges if judge.field == field)
    notes = Notes()
    columns = [
        name
        for name in ("accuracy-judge", "accuracy-discriminator")
        if any((score.name, score.field) == (name, field) for score in row.scores)
    ]
    overall = [row.score(name, field) for name in columns]
    if not overall and judge.accuracy is not None:
        columns = ["accuracy-judge"]
        overall = [_overall(judge.accuracy, judge.low, judge.high, judge.pictures, field)]
    rows = [("all classes", [_counted(overall), *(cell(score, notes) for score in overall)])]
    absent = []
    for name in by_size(record, field, judge.classes):
        scores = [row.score(column, field, name) for column in columns]
        if any(score is not None and score.pictures for score in scores):
            rows.append((name, [_counted(scores), *(cell(score, notes) for score in scores)]))
        else:
            absent.append(name)
    head = [field, "pictures", *(column.removeprefix("accuracy-") for column in columns)]
    says = []
    if judge.pictures:
        sources = f" of {counted(judge.sources, 'source picture')}" if judge.sources else ""
        says.append(f"{counted(judge.pictures, 'held-out picture')}{sources}.")
    if judge.baseline is not None:
        says.append(f"Always naming the commonest class gets {100 * judge.baseline:.0f}%.")
    if absent:
        says.append(f"None of {', '.join(absent)}.")
    if judge.warning and not any(score and score.warning == judge.warning for score in overall):
        says.append(sentence(judge.warning))
    return (
        f"<h4>By {escape(field)}</h4><p class='faint'>{escape(' '.join(says))}</p>"
        f"{table(head, rows)}{notes.html}"
    )


def _overall(
    value: float, low: float | None, high: float | None, pictures: int, field: str
) -> ScoreRow:
    return ScoreRow(
        name="accuracy-judge",
        field=field,
        value=value,
        low=low,
        high=high,
        pictures=pictures,
        reference=0,
    )


def _counted(scores: Sequence[ScoreRow | None]) -> str:
    counts = [score.pictures for score in scores if score is not None]
    return f"<td>{max(counts):,}</td>" if counts else "<td></td>"


def by_size(record: Record, field: str, classes: Sequence[str]) -> list[str]:
    """Classes of a label field, those of most training pictures first."""
    sizes = {
        name: count
        for known in record.fields
        if known.name == field
        for name, count in known.classes
    }
    return sorted(classes, key=lambda name: -sizes.get(name, 0))


# What was copied


def _copied(record: Record) -> str:
    """The sheets of the closest pairs of a generated and a training picture, one a feature network: of
    the best founded evaluation that has one."""
    shown: dict[str, tuple[EvaluationRow, Path]] = {}
    rows = [row for row in record.evaluations if row.subject.kind != "pictures"]
    for row in sorted(rows, key=lambda row: foundation(row, record.collection_hash))[::-1]:
        if row.network.name not in shown and (path := _sheet(record, row)) is not None:
            shown[row.network.name] = row, path
    figures = ""
    for row, path in shown.values():
        sheet = open_picture(path)
        if sheet is None:
            continue
        says = (row.memorisation or {}).get("sentences")
        when = moment(record, row.subject.images_seen or 0)
        caption = f"After {when}, as {row.network.name} sees them."
        if isinstance(says, list):
            caption += "".join(f" {sentence(str(text))}" for text in says)
        figures += (
            f"<figure>{image(picture_uri(sheet), 'closest pairs of a generated and a training picture')}"
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    if not figures:
        return ""
    return (
        "<h3>Nearest to the training pictures</h3><p class='faint'>The generated pictures that lie "
        "closest to a training picture, side by side with it: is it a copy, or only alike?</p>"
        f"{figures}"
    )


def _sheet(record: Record, row: EvaluationRow) -> Path | None:
    """The sheet that an evaluation left, if it is there."""
    if row.during_training:
        return None
    if row.folder is not None:
        path = record.folder / row.folder / "nearest.png"
        return path if path.is_file() else None
    # Of rows that do not say where it lies, those of one moment wrote over each other's.
    seen, network = row.subject.images_seen, row.network.name
    newest = next(
        other
        for other in reversed(record.evaluations)
        if other.folder is None
        and not other.during_training
        and (other.subject.images_seen, other.network.name) == (seen, network)
    )
    path = record.folder / EVALUATION_FOLDER / f"{seen or 0:012d}" / f"nearest-{network}.png"
    return path if newest is row and path.is_file() else None


def sentence(text: str) -> str:
    """A line of a table's text as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


# By class, for the section of classes

_BY_CLASS_CHARTS = ("fid", "fd", "kid", "top1")
"""Kinds of scores shown over time by class; the tables beneath have all."""
CHIEF_BY_CLASS = ("fid", "fd", "kid", "top1", "precision", "recall", "diversity")
"""Kinds of scores by class that are shown at once; the others unfold."""
CLASSES_IN_A_CHART = 6


def class_charts(record: Record, field: str, classes: Sequence[str], charts: Charts) -> str:
    """Scores by class over time, a line a class; '' where none was measured at two moments."""
    found = (
        _class_charts(group, field, classes, charts) for group in made_alike(record.evaluations)
    )
    cards = next(filter(None, found), "")
    return f'<div class="two">{cards}</div>' if cards else ""


def _class_charts(group: Alike, field: str, classes: Sequence[str], charts: Charts) -> str:
    cards = ""
    for name in names_by_class(group.rows, field):
        if base_of(name) not in _BY_CLASS_CHARTS or name.endswith(INFINITY):
            continue
        lines = [
            # Six bands on top of each other would hide the lines; the table has the intervals.
            replace(line, low=None, high=None)
            for cls in classes
            if (line := group.line(name, field, cls, title=cls)) is not None and is_curve(line)
        ]
        if not lines:
            continue
        levels = []
        if base_of(name) == "top1":
            levels = [
                Level("by chance", 1 / len(judge.classes))
                for judge in group.newest.judges
                if judge.field == field and judge.classes
            ]
        kind = kind_of(name)
        cards += charts.draw(
            f"{title_of(name)} by {field}",
            group.images_seen,
            lines,
            f"{kind.better.capitalize()} is better. Intervals are in the table below.",
            bounds=(0.0, 1.0) if kind.share else None,
            levels=levels,
        )
    return cards


def class_table(record: Record, field: str, classes: Sequence[str]) -> str:
    """The newest scores by class, a row a class; '' where none was measured."""
    rows = [
        group.newest
        for group in made_alike(record.evaluations)
        if names_by_class([group.newest], field)
    ]
    if not rows:
        return ""
    row = max(rows, key=lambda row: foundation(row, record.collection_hash))
    names = names_by_class([row], field)
    chief = [name for name in names if is_chief(name)]
    shown = _class_table(row, field, classes, chief or names)
    rest = _class_table(row, field, classes, [name for name in names if name not in chief])
    if not shown:
        return ""
    more = f"<details><summary>More scores by {escape(field)}</summary>{rest}</details>"
    return (
        f"<p class='faint'>After {escape(moment(record, row.subject.images_seen or 0))}, as "
        f"{escape(row.network.name)} sees them. Beneath each value: its 95% interval.</p>"
        f"{shown}{more if chief and rest else ''}"
    )


def is_chief(name: str) -> bool:
    """Whether a score by class is shown at once."""
    return base_of(name) in CHIEF_BY_CLASS and not name.endswith(INFINITY)


def _class_table(
    row: EvaluationRow, field: str, classes: Sequence[str], names: Sequence[str]
) -> str:
    """These scores, a row a class; '' where none was measured."""
    notes = Notes()
    lines = []
    for cls in classes:
        scores = [row.score(name, field, cls) for name in names]
        if any(score is not None for score in scores):
            lines.append((cls, [_counted(scores), *(cell(score, notes) for score in scores)]))
    # Who sees or judges them is said above, once for all.
    heads = [title_of(name, by_whom=False) for name in names]
    return f"{table([field, 'pictures', *heads], lines)}{notes.html}"


def names_by_class(rows: Sequence[EvaluationRow], field: str) -> list[str]:
    """Names of the scores by class of a field, in the order of tables."""
    names = {
        score.name
        for row in rows
        for score in row.scores
        if score.field == field and score.cls is not None and base_of(score.name) != "accuracy"
    }
    return sorted(names, key=lambda name: (place_of(name), name))
