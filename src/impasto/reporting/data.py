"""A run's training data: its classes, and a painting before and after preprocessing."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from pydantic import ValidationError

from impasto.collection import Collection
from impasto.collection.provenance import in_words, taken_out_since
from impasto.errors import ImpastoError
from impasto.formatting import counted, percent
from impasto.reporting.elements import Figure, PageImage
from impasto.reporting.figures_of_works import figures_of
from impasto.reporting.pictures import photo_uri, picture_uri
from impasto.reporting.preprocessing import before_and_after
from impasto.reporting.record import RunLabels, RunRecord
from impasto.reporting.rendering import render
from impasto.sampling.model import CollectionRecord

_MOST_CLASSES = 30


@dataclass(frozen=True)
class ClassBar:
    """A bar: its name, its length in per cent, its number, and whether it is a class's."""

    name: str
    length: float
    number: str
    is_class: bool


@dataclass(frozen=True)
class FieldBars:
    """The classes of a label field by their numbers of pictures, and a few sentences on them."""

    field: str
    says: str
    bars: list[ClassBar]


def data_section(record: RunRecord) -> Markup:
    """The collection, a painting before and after preprocessing, and the classes of each field."""
    pair, reason = _before_and_after(record)
    return render(
        "data",
        works=figures_of(record),
        name=record.get("collection", "name", default="not named in run.json"),
        pictures=f"{record.pictures:,}" if record.pictures else "",
        provenance=_provenance(record),
        pair=pair,
        reason=reason,
        fields=[_bars(record, field) for field in record.fields if field.classes],
    )


def _provenance(record: RunRecord) -> list[str]:
    """Licences, artists, copies, and removed pictures, a sentence each."""
    known = record.get("collection", default={})
    said: list[str] = []
    # Older runs have fewer entries.
    with contextlib.suppress(ValidationError, TypeError):
        recorded = {name: known[name] for name in CollectionRecord.model_fields if name in known}
        said = in_words(CollectionRecord.model_validate(recorded).model_dump())
    if since := taken_out_since_trained(record):
        said.append(f"{since}.")
    return said


def taken_out_since_trained(record: RunRecord) -> str:
    """A sentence, without full stop, on pictures removed from the collection after the run began;
    '' if none were, or the collection is gone."""
    known = record.get("collection", default={})
    path = known.get("path") if isinstance(known, dict) else None
    if not isinstance(path, str):
        return ""
    try:
        since = taken_out_since(Collection.open(Path(path)), known)
    except ImpastoError:
        return ""
    return since and f"After this run began, {since}; it has seen them still"


def _before_and_after(record: RunRecord) -> tuple[list[Figure], str]:
    """A painting in its source and as the network's input; or the reason why there is none."""
    pair, reason = before_and_after(record)
    if pair is None:
        return [], reason
    width, height = pair.size
    before = PageImage(photo_uri(pair.before, 640), f"the source picture {pair.title}")
    address = picture_uri(pair.after, exact=True)
    after = PageImage(address, "the same picture as the network sees it", "pixel fill")
    return [
        Figure(before, f"{pair.title}, {width:,} × {height:,} pixels. {pair.says}"),
        Figure(
            after,
            f"What the network sees: {pair.after.width} × {pair.after.height} pixels, each "
            "value from 0 to 255 as one from -1 to 1.",
        ),
    ], ""


def uneven(field: RunLabels) -> str:
    """A sentence on the imbalance of the classes; '' if they are balanced."""
    sizes = sorted(((count, name) for name, count in field.classes if count > 0), reverse=True)
    if len(sizes) < 2 or sizes[0][0] < 3 * sizes[-1][0]:
        return ""
    # The number of largest classes that hold half of the pictures.
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


def _turns(record: RunRecord, field: RunLabels) -> str:
    """A sentence on the balancing of classes; '' without balancing."""
    if record.turns != field.name:
        return ""
    if record.balance == field.name:
        return "This run shows all classes equally often."
    return (
        "This run shows classes in proportion to the square root of their pictures; each one's share of "
        "what is shown stands behind its pictures."
    )


def _bars(record: RunRecord, field: RunLabels) -> FieldBars:
    """Bars of how many training pictures each class has, the largest first."""
    pairs = sorted(field.classes, key=lambda pair: (-pair[1], pair[0]))
    shown, rest = pairs[:_MOST_CLASSES], pairs[_MOST_CLASSES:]
    # With equal frequencies, shares are not shown.
    shares = {} if record.balance == field.name else record.shown(field)
    bars = [(name, count, shares.get(name, 0), True) for name, count in shown]
    if rest:
        share = sum(shares.get(name, 0) for name, _ in rest)
        bars.append((counted(len(rest), "other"), sum(n for _, n in rest), share, False))
    unknown = (record.pictures or 0) - field.known
    if unknown > 0:
        bars.append(("not known", unknown, shares.get(None, 0), False))
    most = max(count for _, count, _, _ in bars) or 1
    empty = sum(count == 0 for _, count in pairs)
    sentences = [
        f"{counted(len(pairs), 'class')}.",
        f"{empty} without a picture for training." if empty else "",
        uneven(field),
        _turns(record, field),
    ]
    return FieldBars(
        field.name,
        " ".join(sentence for sentence in sentences if sentence),
        [
            ClassBar(
                name,
                100 * count / most,
                f"{count:,}{f', {share:.1%}' if shares else ''}",
                is_class,
            )
            for name, count, share, is_class in bars
        ],
    )
