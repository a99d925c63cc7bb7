"""How good the pictures are: the evaluations of a run, over time and as of now.

The rows come from `metrics.jsonl`, written by training itself and by `impasto evaluate`. Only what was
measured alike is joined by a line.
"""

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from impasto.evaluation.kinds import base_of, kind_of, place_of
from impasto.evaluation.record import EVALUATION_FOLDER, EvaluationRow, ScoreRow
from impasto.report.charts import Level
from impasto.report.curves import Charts
from impasto.report.elements import image, moment, table
from impasto.report.pictures import open_picture, picture_uri
from impasto.report.record import Record
from impasto.report.scores import Alike, Notes, cell, copied_by_chance, made_alike, title_of
from impasto.words import counted

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
        return (
            "<section><h2>Evaluation</h2><p class='faint'>Not evaluated yet: "
            f"<code>impasto evaluate {escape(record.name)}</code> measures how good the pictures are."
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
    also = "".join(f"<p class='faint'>{escape(_also(record, group))}</p>" for group in others)
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
        + also
    )


def _also(record: Record, group: Alike) -> str:
    """What else was measured, in words, for it must not be joined to the curves."""
    seen = [int(number) for number in group.images_seen]
    when = (
        f"after {moment(record, seen[0])}"
        if len(seen) == 1
        else f"at {len(seen)} moments from {seen[0]:,} to {seen[-1]:,} images"
    )
    where = "in the table below" if seen[-1] == _last_moment(record) else "in metrics.jsonl"
    return (
        f"Measured otherwise, {when}: {group.conditions}. These scores are not comparable with the "
        f"curves; they are {where}."
    )


def _last_moment(record: Record) -> int:
    return max(row.subject.images_seen or 0 for row in record.evaluations)


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
    heldout = group.heldout(name, of)
    if heldout is None or heldout.value is None:
        return []
    # The number: some scores depend on it.
    return [Level(f"{heldout.pictures:,} held-out real pictures", heldout.value)]


def _card(group: Alike, names: Sequence[tuple[str, str | None]], charts: Charts) -> str:
    """A chart of one score or of a few that belong together; '' where none was measured."""
    names = [pair for pair in names if group.line(*pair) is not None][:6]
    lines = [line for pair in names if (line := group.line(*pair)) is not None]
    if not lines:
        return ""
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
    """The newest scores, a table a feature network: of its last checkpoint, the most pictures."""
    newest: dict[str, EvaluationRow] = {}
    for group in groups:
        row = group.newest
        other = newest.get(row.network.name)
        if other is None or _rank(row) > _rank(other):
            newest[row.network.name] = row
    tables = "".join(
        _scores_table(record, row) for row in sorted(newest.values(), key=_rank, reverse=True)
    )
    return f"<h3>The newest scores</h3>{tables}"


def _rank(row: EvaluationRow) -> tuple[int, int, str]:
    return row.subject.images_seen or 0, row.pictures.count, row.created


def _scores_table(record: Record, row: EvaluationRow) -> str:
    group = made_alike([row])[0]
    notes = Notes()
    heldout = any(score.cls is None for score in row.heldout)
    rows = []
    for name, of in group.overall:
        score = row.score(name, of)
        assert score is not None  # its name is from there
        cells = [cell(score, notes)]
        if heldout:
            real = group.heldout(name, of)
            cells.append(cell(real, notes))
        cells.append(f'<td class="words">{escape(_better(name, row))}</td>')
        rows.append((title_of(name, of), cells))
    head = ["", "generated", *(["held-out real"] if heldout else []), "better is"]
    says = f"After {moment(record, row.subject.images_seen or 0)}: {group.conditions}."
    beneath = "Beneath each value: its 95% interval."
    if heldout:
        count = max(score.pictures for score in row.heldout)
        beneath += f" A perfect model would score what held-out real pictures score, {count:,} here"
        alike = max(count, row.pictures.count) <= 1.1 * min(count, row.pictures.count)
        beneath += (
            "." if alike else "; but FD, recall and coverage depend on the number of pictures."
        )
    notes_of_row = "".join(f"<p class='faint'>{escape(note)}.</p>" for note in row.notes)
    return (
        f"<h4>As {escape(row.network.name)} sees them</h4><p>{escape(says)}</p>"
        f"{notes_of_row}<p class='faint'>{beneath}</p>{table(head, rows)}{notes.html}"
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
            if other is None or _rank(group.newest) > _rank(other):
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
    """The sheets of the closest pairs of a generated and a training picture, of the last moment."""
    figures = ""
    folders = [
        (int(path.name), path)
        for path in (record.folder / EVALUATION_FOLDER).glob("*")
        if path.name.isdecimal() and any(path.glob("nearest-*.png"))
    ]
    if not folders:
        return ""
    seen, folder = max(folders)
    for path in sorted(folder.glob("nearest-*.png")):
        sheet = open_picture(path)
        if sheet is None:
            continue
        network = path.stem.removeprefix("nearest-")
        says = next(
            (
                row.memorisation.get("sentences")
                for row in reversed(record.evaluations)
                if row.subject.images_seen == seen
                and row.network.name == network
                and row.memorisation is not None
            ),
            None,
        )
        caption = f"After {moment(record, seen)}, as {network} sees them."
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


def sentence(text: str) -> str:
    """A line of a table's text as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


# By class, for the section of classes

_BY_CLASS_CHARTS = ("fid", "fd", "kid", "top1")
"""Kinds of scores shown over time by class; the table beneath has all."""
CLASSES_IN_A_CHART = 6


def class_charts(record: Record, field: str, classes: Sequence[str], charts: Charts) -> str:
    """Scores by class over time, a line a class; '' where fewer than two moments were measured."""
    groups = made_alike(record.evaluations)
    if not groups or len(groups[0].rows) < 2:
        return ""
    group, cards = groups[0], ""
    for name in names_by_class(group.rows, field):
        if base_of(name) not in _BY_CLASS_CHARTS or name.endswith("-infinity"):
            continue
        lines = [
            # Six bands on top of each other would hide the lines; the table has the intervals.
            replace(line, low=None, high=None)
            for cls in classes
            if (line := group.line(name, field, cls, title=cls)) is not None
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
    return f'<div class="two">{cards}</div>' if cards else ""


def class_table(record: Record, field: str, classes: Sequence[str]) -> str:
    """The newest scores by class, a row a class; '' where none was measured."""
    rows = [
        group.newest
        for group in made_alike(record.evaluations)
        if names_by_class([group.newest], field)
    ]
    if not rows:
        return ""
    row = max(rows, key=_rank)
    names = names_by_class([row], field)
    notes = Notes()
    lines = []
    for cls in classes:
        scores = [row.score(name, field, cls) for name in names]
        if any(score is not None for score in scores):
            lines.append((cls, [_counted(scores), *(cell(score, notes) for score in scores)]))
    if not lines:
        return ""
    group = made_alike([row])[0]
    return (
        f"<p class='faint'>After {escape(moment(record, row.subject.images_seen or 0))}, as "
        f"{escape(group.conditions.network)} sees them. Beneath each value: its 95% interval.</p>"
        f"{table([field, 'pictures', *(title_of(name) for name in names)], lines)}{notes.html}"
    )


def names_by_class(rows: Sequence[EvaluationRow], field: str) -> list[str]:
    """Names of the scores by class of a field, in the order of tables."""
    names = {
        score.name
        for row in rows
        for score in row.scores
        if score.field == field and score.cls is not None and base_of(score.name) != "accuracy"
    }
    return sorted(names, key=lambda name: (place_of(name), name))
