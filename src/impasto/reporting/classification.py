"""The results of `impasto classify` in a run's folder, if there are any."""

from dataclasses import dataclass
from typing import Any

from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.formatting import percent
from impasto.reporting.elements import PageImage
from impasto.reporting.pictures import open_picture, picture_uri
from impasto.reporting.record import RunRecord


@dataclass(frozen=True)
class FieldAccuracy:
    """The discriminator's accuracy for a label field.

    Attributes:
        field: its name.
        accuracy: as text.
        confusion: the picture of the confusion matrix, if there is one.
        about: the classified pictures, in words.
    """

    field: str
    accuracy: str
    confusion: PageImage | None
    about: str


def classifier(record: RunRecord) -> list[FieldAccuracy]:
    """Accuracy and confusion matrix of each classified label field."""
    found = []
    for path in sorted(record.folder.glob("classify-*.json")):
        name = path.stem.removeprefix("classify-")
        try:
            measured = read_json(path, "measurement")
        except ImpastoError:
            continue
        accuracy = _share(measured, "accuracy")
        if accuracy is None:
            continue
        field = str(measured.get("field", name))
        drawn = open_picture(record.folder / f"confusion-{name}.png")
        description = f"confusion of the classes of {field}"
        picture = PageImage(picture_uri(drawn, exact=True), description) if drawn else None
        found.append(FieldAccuracy(field, percent(accuracy), picture, _about(measured)))
    return found


def _about(measured: dict[str, Any]) -> str:
    """The classified pictures and the baselines, as far as known."""
    parts = []
    pictures, sources = _count(measured, "pictures"), _count(measured, "sources")
    if pictures:
        kind = {"heldout": " held-out", "train": " training"}.get(str(measured.get("split")), "")
        parts.append(f"{pictures:,}{kind} picture{'s' if pictures > 1 else ''}")
        if sources and sources < pictures:
            parts[0] += f" of {sources:,} source picture{'s' if sources > 1 else ''}"
    seen = _count(measured, "images_seen")
    if seen:
        parts.append(f"named after {seen:,} images of training")
    baseline = _share(measured, "baseline")
    if baseline is not None:
        parts.append(f"always naming the commonest class gets {percent(baseline)}")
    return f"{', '.join(parts)}." if parts else ""


def _count(measured: dict[str, Any], name: str) -> int | None:
    value = measured.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _share(measured: Any, name: str) -> float | None:
    value = measured.get(name) if isinstance(measured, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        return None
    return float(value)
