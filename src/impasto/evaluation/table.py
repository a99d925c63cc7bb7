"""An evaluation as text."""

from collections.abc import Sequence

from impasto.evaluation.by_size import of_all_sizes, shares
from impasto.evaluation.record import PICTURE, EvaluationRow, ScoreRow
from impasto.evaluation.score_kinds import (
    INFINITY,
    KINDS,
    base_of,
    interval_text,
    kind_of,
    place_of,
    value_text,
)
from impasto.formatting import counted, padded, terminal_width


def place(row: ScoreRow) -> tuple[bool, int, bool, str]:
    """A score's sort key in tables."""
    # The judge's Inception Score comes with the judge's scores.
    return (row.name.endswith(("-judge", "-discriminator")), *place_of(row.name), row.name)


def lines(row: EvaluationRow) -> list[str]:
    """An evaluation as lines of text."""
    return [
        *_heading(row),
        "",
        *_overall(row),
        *_judges(row),
        *_memory(row),
        *_classes(row),
        *warnings(row),
        "",
        better_ends(row.scores),
    ]


def lines_of_sizes(rows: Sequence[EvaluationRow]) -> list[str]:
    """The overall scores of several sizes as one, as lines of text."""
    sizes = ", ".join(
        f"{row.collection.resolution} {share:.0%}"
        for row, share in zip(rows, shares(rows), strict=True)
    )
    whole = of_all_sizes(rows)
    return [
        f"all sizes, seen by {whole.network.name}: the mean of their scores, each weighted by its share "
        f"of the real pictures ({sizes})",
        "",
        *_overall(whole),
        *warnings(whole),
    ]


def better_ends(scores: Sequence[ScoreRow]) -> str:
    """A line on which scores are better high, low or near 1."""
    kinds = {**KINDS, **{base_of(each.name): kind_of(each.name, scores) for each in scores}}
    lower, nearest, unknown = (
        ", ".join(base for base, kind in kinds.items() if kind.better == better)
        for better in ("lower", "nearest to 1", "unknown")
    )
    not_known = f"; not known: {unknown}" if unknown else ""
    return f"lower is better: {lower}; nearest to 1: {nearest}{not_known}; higher: all others"


_OVER_TIME = ("fd", "fid", "kid", "precision", "recall", "coverage", "diversity", "top1", "copied")


def over_time(rows: Sequence[EvaluationRow]) -> list[str]:
    """A table of overall scores with a row for each evaluation, such as a run's checkpoints."""
    scores = [
        {(each.name, each.field): each for each in row.scores if each.cls is None} for row in rows
    ]
    names = [
        (each.name, each.field)
        for each in sorted((each for of in scores for each in of.values()), key=place)
        if base_of(each.name) in _OVER_TIME and not each.name.endswith(INFINITY)
    ]
    names = list(dict.fromkeys(names))
    heads = [name if field is None else f"{name}, {field}" for name, field in names]
    cells = [["images", *heads]]
    for row, of in zip(rows, scores, strict=True):
        seen = f"{row.subject.images_seen:,}" if row.subject.images_seen is not None else ""
        cells.append([seen, *(value_text(of[name]) if name in of else "" for name in names)])
    return _columns(cells)


def _heading(row: EvaluationRow) -> list[str]:
    seen = row.subject.images_seen
    after = "" if seen is None else f" after {seen:,} images"
    some = ""
    if row.reference.available > row.reference.pictures:
        some = f" (of {row.reference.available:,})"
    seeds = ""
    if row.subject.kind != "pictures":
        first = row.pictures.first_seed
        seeds = f", seeds {first} to {first + row.pictures.count - 1}"
        if row.pictures.truncation is not None:
            seeds += f", truncation {row.pictures.truncation:g}"
        if row.pictures.made_with is not None:
            seeds += f", {row.pictures.made_with}"
    elif row.pictures.fit is not None:
        seeds = f", brought to size by {row.pictures.fit}"
    return [
        f"{row.subject.name}{after}: {counted(row.pictures.count, 'picture')}{seeds}",
        f"against {counted(row.reference.pictures, PICTURE[row.reference.split])}{some} of "
        f"{counted(row.reference.sources, 'source picture')} of {row.collection.name} at "
        f"{row.collection.resolution} px, seen by {row.network.name}"
        + ("" if isinstance(row.collection.resolution, int) else ", squashed to squares"),
    ]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: the first to the left, the others to the right."""
    widths = [max(terminal_width(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            padded(cell, width) if place == 0 else " " * (width - terminal_width(cell)) + cell
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _overall(row: EvaluationRow) -> list[str]:
    heldout = {(each.name, each.field): each for each in row.heldout if each.cls is None}
    heads = ["", "value", "95% interval"]
    if heldout:
        count = next(iter(heldout.values())).pictures
        heads.append(f"{count:,} held-out real")
    cells = [heads]
    for each in sorted(row.scores, key=place):
        if each.cls is not None:
            continue
        name = each.name if each.field is None else f"{each.name}, {each.field}"
        cells_of_row = [name, value_text(each), interval_text(each)]
        if heldout:
            real = heldout.get((each.name, each.field))
            cells_of_row.append("" if real is None else value_text(real))
        if each.deviation is not None:
            cells_of_row[2] += f" (deviation {each.deviation:.2g})"
        cells.append(cells_of_row)
    return [f"  {line}" for line in _columns(cells)]


def _judges(row: EvaluationRow) -> list[str]:
    found = []
    for judge in row.judges:
        if judge.accuracy is None:
            found.append(f"  {judge.field}: {judge.warning}")
            continue
        low, high, always = judge.low or 0.0, judge.high or 1.0, judge.baseline or 0.0
        found.append(
            f"  {judge.field}: names {judge.accuracy:.1%} of {judge.pictures:,} held-out pictures of "
            f"{counted(judge.sources, 'source picture')} correctly ({low:.1%} to {high:.1%}; always "
            f"naming the commonest class: {always:.1%})"
        )
        if judge.made_baseline is not None:
            found.append(
                f"    naming all generated pictures alike would get a Top-1 of {judge.made_baseline:.1%}"
            )
        if judge.warning:
            found.append(f"    {judge.warning}")
    return ["", "judges, to compare top1-judge and is-judge with", *found] if found else []


def _memory(row: EvaluationRow) -> list[str]:
    sentences = (row.memorisation or {}).get("sentences", [])
    return ["", "copies", *[f"  {sentence}" for sentence in sentences]] if sentences else []


_BY_CLASS = ("fd", "fid", "kid", "precision", "recall", "coverage", "diversity", "top1", "accuracy")


def _classes(row: EvaluationRow) -> list[str]:
    """A table for each label field: a row for each class, a column for each score."""
    lines: list[str] = []
    for field in made_fields(row):
        of_field = [each for each in row.scores if each.field == field and each.cls is not None]
        mine = sorted(of_field, key=place)
        names = [
            name
            for name in dict.fromkeys(each.name for each in mine)
            if base_of(name) in _BY_CLASS and not name.endswith(INFINITY)
        ]
        cells = [[str(field), "made", "real", *names]]
        for cls in dict.fromkeys(each.cls for each in mine):
            of = {each.name: each for each in mine if each.cls == cls}
            made = max((e.pictures for n, e in of.items() if base_of(n) != "accuracy"), default=0)
            # Held-out accuracies have no reference, nor do classes without generated pictures.
            real = max(each.reference for each in of.values())
            cells.append(
                [
                    str(cls),
                    f"{made:,}",
                    f"{real:,}" if real or made else "",
                    *(value_text(of[name]) if name in of else "" for name in names),
                ]
            )
        lines += ["", *_columns(cells)]
    return lines


def made_fields(row: EvaluationRow) -> list[str | None]:
    """The label fields that pictures were generated with."""
    return list(
        dict.fromkeys(
            each.field
            for each in row.scores
            if each.cls is not None and base_of(each.name) != "accuracy" and each.pictures
        )
    )


def warnings(row: EvaluationRow) -> list[str]:
    """Each warning once, with the scores it concerns, below a heading; empty if there are none."""
    scores = row.scores
    about: dict[str, list[str]] = {}
    for each in scores:
        if each.warning and each.cls is None:
            name = each.name if each.field is None else f"{each.name}, {each.field}"
            about.setdefault(each.warning, []).append(name)
    lines = [f"  {note}" for note in row.notes]
    lines += [f"  {', '.join(names)}: {warning}" for warning, names in about.items()]
    doubts = {each.warning for each in row.heldout if each.warning and "held-out" in each.warning}
    lines += [f"  the column of held-out pictures: {doubt}" for doubt in sorted(doubts)]
    fields = made_fields(row)
    of_classes = sorted(
        {f"{each.cls}" for each in scores if each.cls and each.warning and each.field in fields}
    )
    if of_classes:
        shown = ", ".join(of_classes[:6]) + (", ..." if len(of_classes) > 6 else "")
        count = f"{len(of_classes)} class{'es' if len(of_classes) > 1 else ''}"
        lines.append(
            f"  {count} ({shown}): too few pictures for some scores to mean much; metrics.jsonl has "
            "each one's reason and interval"
        )
    return ["", "notes", *lines] if lines else []
