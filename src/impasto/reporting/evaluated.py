"""The evaluations of a run, over time and the newest ones.

The rows come from `metrics.jsonl`, written by training itself and by `impasto evaluate`. Lines join
only scores with equal conditions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from impasto.evaluation.by_size import (
    of_all_sizes,
    of_several_sizes,
    shares,
    with_all_sizes,
)
from impasto.evaluation.record import (
    EVALUATION_FOLDER,
    EvaluationRow,
    ScoreRow,
    copied_by_chance,
)
from impasto.evaluation.score_kinds import base_of, kind_in, title_of
from impasto.formatting import counted, quoted
from impasto.reporting.charts import Level
from impasto.reporting.curves import Charts
from impasto.reporting.elements import (
    Card,
    Figure,
    PageImage,
    PageTable,
    moment,
    run_in_commands,
    words,
)
from impasto.reporting.pictures import open_picture, picture_uri
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render
from impasto.reporting.scores import (
    Alike,
    TableNotes,
    about_heldout,
    best_founded,
    cell,
    commonest_row,
    foundation,
    is_curve,
    judged,
    made_alike,
)
from impasto.reporting.scores_by_class import by_size, counts

# Kinds of scores that share a chart, in the order of the page.
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


@dataclass(frozen=True)
class OverTime:
    """Charts of evaluations with equal conditions, and these conditions."""

    network: str
    conditions: str
    cards: list[Card]


@dataclass(frozen=True)
class Explained:
    """A table with a heading and explanations."""

    heading: str
    says: list[str]
    table: PageTable


def evaluation_section(record: RunRecord, charts: Charts) -> Markup:
    """Scores over time, the newest ones as tables, judges, and copies."""
    groups = made_alike(with_all_sizes(record.evaluations))
    if not groups:
        command = f"impasto evaluate {quoted(run_in_commands(record))}"
        return render("evaluation", command=command, over_time=[])
    over_time, others = _over_time(groups, charts)
    return render(
        "evaluation",
        command="",
        choice=charts.choice,
        works=charts.works,
        over_time=over_time,
        during_training=any(row.during_training for row in groups[0].rows),
        otherwise=_otherwise(record, groups, others) if over_time else [],
        newest=[
            _scores_table(record, group.newest)
            for group in best_founded(groups, record.collection_hash)
        ],
        sizes=_sizes(record),
        judges=_judges(record, made_alike(record.evaluations)),
        copied=_copied(record),
    )


# Over time


def _over_time(groups: list[Alike], charts: Charts) -> tuple[list[OverTime], list[Alike]]:
    """Charts of the group with most moments, then other networks'; and the groups not drawn."""
    if len(groups[0].rows) < 2:
        return [], groups
    drawn: dict[str, Alike] = {groups[0].conditions.network: groups[0]}
    for group in groups[1:]:
        if len(group.rows) >= 2:
            drawn.setdefault(group.conditions.network, group)
    shown = list(drawn.values())
    first = f"{counted(len(shown[0].rows), 'checkpoint')}: {shown[0].conditions}."
    captions = [first, *(f"{group.conditions}." for group in shown[1:])]
    return [
        OverTime(group.conditions.network, conditions, _cards(group, charts))
        for group, conditions in zip(shown, captions, strict=True)
    ], [group for group in groups if group not in shown]


def _otherwise(record: RunRecord, groups: Sequence[Alike], others: Sequence[Alike]) -> list[str]:
    """A list of evaluations under other conditions, which the curves do not include."""
    tables = best_founded(groups, record.collection_hash)
    items = []
    for group in others:
        seen = [int(number) for number in group.images_seen]
        when = (
            f"after {moment(record, seen[0])}"
            if len(seen) == 1
            else f"at {len(seen)} moments from {seen[0]:,} to {seen[-1]:,} images"
        )
        where = "; in the table below" if group in tables else ""
        items.append(f"{when}: {group.conditions}{where}")
    return items


def _cards(group: Alike, charts: Charts) -> list[Card]:
    cards = []
    for bases in _CHARTS:
        names = [pair for pair in group.overall if base_of(pair[0]) in bases]
        # The judges' scores apart: their classes are the collection's.
        cards += _card(group, [pair for pair in names if pair[1] is None], charts)
        cards += _card(group, [pair for pair in names if pair[1] is not None], charts)
    return cards


def levels_of(group: Alike, name: str, of: str | None) -> list[Level]:
    """The reference lines of a score: its ideal value, or that of held-out pictures."""
    if base_of(name) == "diversity":
        return [Level("as varied as real ones", 1.0)]
    if base_of(name) == "copied":
        return [Level("nothing copied", copied_by_chance(group.newest))]
    levels = []
    heldout = group.heldout(name, of)
    if heldout is not None and heldout.value is not None:
        # With the number of pictures, because some scores depend on it.
        levels.append(Level(f"{heldout.pictures:,} held-out real pictures", heldout.value))
    made = group.made_baseline(of) if base_of(name) == "top1" else None
    return levels if made is None else [Level(f"always the commonest {of}", made), *levels]


def _card(group: Alike, names: Sequence[tuple[str, str | None]], charts: Charts) -> list[Card]:
    """A chart of one or a few related scores; no chart if none was measured twice."""
    curves = [
        (pair, line) for pair in names if (line := group.line(*pair)) is not None and is_curve(line)
    ][:6]
    if not curves:
        return []
    names, lines = [pair for pair, _ in curves], [line for _, line in curves]
    name, of = names[0]
    kinds = list(dict.fromkeys(kind_in(name, group.rows) for name, _ in names))
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
    better = "" if kinds[0].better == "nearest to 1" else f" {kinds[0].sentence}"
    shares = all(kind.share for kind in kinds) and "copied" not in base_of(name)
    card = charts.draw(
        title,
        group.images_seen,
        lines,
        explanations + better,
        bounds=(0.0, 1.0) if shares else None,
        from_zero=base_of(name) in ("diversity", "copied"),
        levels=levels,
    )
    return [card]


# As of now


def _scores_table(record: RunRecord, row: EvaluationRow) -> Explained:
    """The newest scores by one feature network, of its best founded evaluation."""
    group = made_alike([row])[0]
    notes = TableNotes()
    heldout = any(score.cls is None for score in row.heldout)
    rows = []
    for name, of in group.overall:
        cells = [cell(judged(row, name, of), notes)]
        if heldout:
            cells.append(cell(group.heldout(name, of), notes))
        cells.append(words(_better(name, row)))
        rows.append((title_of(name, of), cells))
        if (beneath := commonest_row([row], name, of, heldout=heldout)) is not None:
            rows.append((beneath[0], [*beneath[1], words("")]))
    head = ["", "generated", *(["held-out real"] if heldout else []), "better is"]
    says = [
        f"After {moment(record, row.subject.images_seen or 0)}: {group.conditions}.",
        *(f"{note}." for note in row.notes),
        f"Beneath each value: its 95% interval. {about_heldout([row])}",
    ]
    return Explained(f"As {row.network.name} sees them", says, PageTable(head, rows, notes.texts))


def _better(name: str, row: EvaluationRow) -> str:
    better = kind_in(name, [row]).better
    if base_of(name) == "copied":
        return f"{better}; about {100 * copied_by_chance(row):.2g}% if nothing is copied"
    return better


# Each of several sizes


def _sizes(record: RunRecord) -> list[Explained]:
    """For a run of several sizes, a table by feature network with the newest scores of each size and
    their mean."""
    newest: dict[str, list[EvaluationRow]] = {}
    for rows in of_several_sizes(record.evaluations):
        before = newest.get(rows[0].network.name)
        own = record.collection_hash
        if before is None or foundation(rows[0], own) > foundation(before[0], own):
            newest[rows[0].network.name] = rows
    return [_sizes_table(record, rows) for rows in newest.values()]


def _sizes_table(record: RunRecord, rows: Sequence[EvaluationRow]) -> Explained:
    notes = TableNotes()
    table, whole = [], of_all_sizes(rows)
    for name, of in made_alike([whole])[0].overall:
        # The mean first: a narrow page shows the first columns.
        cells = [cell(judged(row, name, of), notes) for row in (whole, *rows)]
        table.append((title_of(name, of), cells))
    head = ["", "all sizes", *(str(row.collection.resolution) for row in rows)]
    first, unscored = rows[0], _unscored(record, rows)
    weights = ", ".join(f"{share:.0%}" for share in shares(rows))
    says = [
        f"After {moment(record, first.subject.images_seen or 0)}: "
        f"{counted(first.pictures.count, 'generated picture')} of each size against the real pictures "
        "of that size.",
        f"All sizes: the mean, each weighted by its share of the real pictures ({weights}).",
        *([unscored] if unscored else []),
    ]
    heading = f"As {first.network.name} sees each size"
    return Explained(heading, says, PageTable(head, table, notes.texts))


def _unscored(record: RunRecord, rows: Sequence[EvaluationRow]) -> str:
    """A sentence on sizes of the run without scores; '' if there are none."""
    scored = {str(row.collection.resolution) for row in rows}
    sizes = record.get("config", "buckets", default=[])
    missing = [str(size) for size in sizes if str(size) not in scored]
    return f"Not scored, and not in the mean: {', '.join(missing)}." if missing else ""


# Accuracy on classes


def _judges(record: RunRecord, groups: list[Alike]) -> list[Explained]:
    """GANGogh's table: the discriminator's accuracy on held-out pictures beside the judge's."""
    named: dict[str, EvaluationRow] = {}
    for group in groups:
        for judge in group.newest.judges:
            other = named.get(judge.field)
            own = record.collection_hash
            if other is None or foundation(group.newest, own) > foundation(other, own):
                named[judge.field] = group.newest
    return [_judge_table(record, field, row) for field, row in named.items()]


def _judge_table(record: RunRecord, field: str, row: EvaluationRow) -> Explained:
    judge = next(judge for judge in row.judges if judge.field == field)
    notes = TableNotes()
    columns = [
        name
        for name in ("accuracy-judge", "accuracy-discriminator")
        if any((score.name, score.field) == (name, field) for score in row.scores)
    ]
    overall = [row.score(name, field) for name in columns]
    if not overall and judge.accuracy is not None:
        columns = ["accuracy-judge"]
        overall = [_overall(judge.accuracy, judge.low, judge.high, judge.pictures, field)]
    rows = [("all classes", [counts(overall), *(cell(score, notes) for score in overall)])]
    absent = []
    for name in by_size(record, field, judge.classes):
        scores = [row.score(column, field, name) for column in columns]
        if any(score is not None and score.pictures for score in scores):
            rows.append((name, [counts(scores), *(cell(score, notes) for score in scores)]))
        else:
            absent.append(name)
    head = [field, "pictures", *(column.removeprefix("accuracy-") for column in columns)]
    says = []
    if judge.pictures:
        sources = f" of {counted(judge.sources, 'source picture')}" if judge.sources else ""
        several = record.get("config", "buckets", default=[])
        of_size = f", of {row.collection.resolution} pixels" if several else ""
        says.append(f"{counted(judge.pictures, 'held-out picture')}{sources}{of_size}.")
    if judge.baseline is not None:
        says.append(f"Always naming the commonest class gets {100 * judge.baseline:.0f}%.")
    if absent:
        says.append(f"None of {', '.join(absent)}.")
    if judge.warning and not any(score and score.warning == judge.warning for score in overall):
        says.append(sentence(judge.warning))
    return Explained(f"By {field}", [" ".join(says)], PageTable(head, rows, notes.texts))


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


# Copies


def _copied(record: RunRecord) -> list[Figure]:
    """The sheets of closest pairs, one for each feature network and size, of the best founded
    evaluation that has one."""
    shown: dict[tuple[str, str], tuple[EvaluationRow, Path]] = {}
    rows = [row for row in record.evaluations if row.subject.kind != "pictures"]
    for row in sorted(rows, key=lambda row: foundation(row, record.collection_hash))[::-1]:
        key = row.network.name, str(row.collection.resolution)
        if key not in shown and (path := _sheet(record, row)) is not None:
            shown[key] = row, path
    several = len({size for _, size in shown}) > 1
    figures = []
    for row, path in shown.values():
        sheet = open_picture(path)
        if sheet is None:
            continue
        says = (row.memorisation or {}).get("sentences")
        when = moment(record, row.subject.images_seen or 0)
        of_size = f", {row.collection.resolution} pixels" if several else ""
        caption = f"After {when}{of_size}, as {row.network.name} sees them."
        if isinstance(says, list):
            caption += "".join(f" {sentence(str(text))}" for text in says)
        description = "closest pairs of a generated and a training picture"
        figures.append(Figure(PageImage(picture_uri(sheet), description), caption))
    return figures


def _sheet(record: RunRecord, row: EvaluationRow) -> Path | None:
    """An evaluation's sheet, if it exists."""
    if row.during_training:
        return None
    if row.folder is not None:
        path = record.folder / row.folder / "nearest.png"
        return path if path.is_file() else None
    # Older rows without a folder overwrote each other's at one moment.
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
