"""The data that a run was trained on: its classes, and what becomes of a painting."""

import contextlib
from html import escape
from pathlib import Path

from pydantic import ValidationError

from impasto.collection import Collection
from impasto.collection.provenance import in_words, taken_out_since
from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.report.elements import image, percent
from impasto.report.pictures import photo_uri, picture_uri
from impasto.report.preprocessing import before_and_after
from impasto.report.record import LabelField, Record
from impasto.sampling.model import CollectionRecord

_MOST_CLASSES = 30


def data_section(record: Record) -> str:
    """The collection, a painting before and after preprocessing, and the classes of each field."""
    bars = "".join(_classes_html(record, field) for field in record.fields if field.classes)
    parts = [
        _provenance_html(record),
        _preprocessing_html(record),
        f'<div class="two">{bars}</div>'
        if bars
        else '<p class="faint">The collection has no labels.</p>',
    ]
    pictures = record.pictures
    says = f" of {pictures:,} pictures" if pictures else ""
    name = record.get("collection", "name", default="not named in run.json")
    return (
        f"<section><h2>Data</h2><p>Collection <strong>{escape(str(name))}</strong>{says}.</p>"
        f"{''.join(parts)}</section>"
    )


def _provenance_html(record: Record) -> str:
    """Licences, artists, copies, and what was taken out."""
    known = record.get("collection", default={})
    said: list[str] = []
    # Runs from before this was noted have less; they are shown all the same.
    with contextlib.suppress(ValidationError, TypeError):
        told = {name: known[name] for name in CollectionRecord.model_fields if name in known}
        said = in_words(CollectionRecord.model_validate(told).model_dump())
    if since := taken_out_since_trained(record):
        said.append(f"{since}.")
    return "".join(f'<p class="faint">{escape(sentence)}</p>' for sentence in said)


def taken_out_since_trained(record: Record) -> str:
    """That pictures were taken out of the run's collection after it began, a sentence without its full
    stop; '' if none were, or the collection is no longer there."""
    known = record.get("collection", default={})
    path = known.get("path") if isinstance(known, dict) else None
    if not isinstance(path, str):
        return ""
    try:
        since = taken_out_since(Collection.open(Path(path)), known)
    except ImpastoError:
        return ""
    return since and f"After this run began, {since}; it has seen them still"


def _preprocessing_html(record: Record) -> str:
    pair, reason = before_and_after(record)
    if pair is None:
        return (
            "<h3>From the painting to what the network sees</h3>"
            f'<p class="faint">Not shown: {escape(reason)}.</p>'
        )
    width, height = pair.size
    side = pair.after.width
    before = image(photo_uri(pair.before, 640), f"the source picture {pair.title}")
    after = picture_uri(pair.after, exact=True)
    return (
        "<h3>From the painting to what the network sees</h3>"
        '<div class="around">'
        f'<figure style="max-width: min(100%, 34rem)">{before}<figcaption>{escape(pair.title)}, '
        f"{width:,} × {height:,} pixels. {escape(pair.says)}</figcaption></figure>"
        f'<figure style="width: min(100%, 20rem)">'
        f"{image(after, 'the same picture as the network sees it', 'pixel fill')}"
        f"<figcaption>What the network sees: {side} × {side} pixels, each value from 0 to 255 as one "
        "from -1 to 1.</figcaption></figure></div>"
    )


def uneven(field: LabelField) -> str:
    """How unevenly the pictures are spread over the classes, a sentence; '' if they are not."""
    sizes = sorted(((count, name) for name, count in field.classes if count > 0), reverse=True)
    if len(sizes) < 2 or sizes[0][0] < 3 * sizes[-1][0]:
        return ""
    # As many classes as, from the largest down, hold half of the pictures.
    half, held = 0, 0
    while 2 * held < field.known:
        held += sizes[half][0]
        half += 1
    (most, largest), (least, smallest) = sizes[0], sizes[-1]
    very = "Very uneven: " if most >= 10 * least else ""
    share = percent(held / field.known)
    many = f"it holds {share} of all" if half == 1 else f"{half} classes hold {share} of all"
    times = f"{largest} has {most / least:,.0f} times as many pictures as {smallest}"
    return f"{very}{times}, and {many}; what is rare is learnt badly."


def _turns(record: Record, field: LabelField) -> str:
    """How often the run shows which class, a sentence; '' where it shows every picture as often."""
    if record.turns != field.name:
        return ""
    if record.balance == field.name:
        return "This run shows all classes equally often."
    return (
        "This run shows classes in proportion to the square root of their pictures; each one's share of "
        "what is shown stands behind its pictures."
    )


def _classes_html(record: Record, field: LabelField) -> str:
    """Bars of how many training pictures each class has, the largest first."""
    pairs = sorted(field.classes, key=lambda pair: (-pair[1], pair[0]))
    shown, rest = pairs[:_MOST_CLASSES], pairs[_MOST_CLASSES:]
    # Where all are shown equally often, there is nothing to say of each.
    shares = {} if record.balance == field.name else record.shown(field)
    bars = [(name, count, shares.get(name, 0), "bar") for name, count in shown]
    if rest:
        share = sum(shares.get(name, 0) for name, _ in rest)
        bars.append((counted(len(rest), "other"), sum(n for _, n in rest), share, "bar rest"))
    unknown = (record.pictures or 0) - field.known
    if unknown > 0:
        bars.append(("not known", unknown, shares.get(None, 0), "bar rest"))
    most = max(count for _, count, _, _ in bars) or 1
    rows = "".join(
        f'<span>{escape(name)}</span><div><div class="{kind}" style="width: '
        f'{100 * count / most:.1f}%"></div></div><span class="n">{count:,}'
        f"{f', {share:.1%}' if shares else ''}</span>"
        for name, count, share, kind in bars
    )
    empty = sum(count == 0 for _, count in pairs)
    sentences = [
        f"{len(pairs)} class{'es' if len(pairs) > 1 else ''}.",
        f"{empty} without a picture for training." if empty else "",
        uneven(field),
        _turns(record, field),
    ]
    says = " ".join(sentence for sentence in sentences if sentence)
    return (
        f'<div class="card"><h3>By {escape(field.name)}</h3><p class="faint">{escape(says)}</p>'
        f'<div class="classes">{rows}</div></div>'
    )
