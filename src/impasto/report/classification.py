"""The discriminator as a classifier: what `impasto classify` left in a run's folder, if it was run."""

from html import escape
from typing import Any

from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.report.elements import image, percent
from impasto.report.pictures import open_picture, picture_uri
from impasto.report.record import Record


def classifier_html(record: Record) -> str:
    """Accuracy and confusion of each label field; '' where nothing was measured."""
    cards = []
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
        picture = open_picture(record.folder / f"confusion-{name}.png")
        drawn = (
            image(picture_uri(picture, exact=True), f"confusion of the classes of {field}")
            if picture is not None
            else ""
        )
        cards.append(
            f'<figure class="card"><h4>{escape(field)}: {percent(accuracy)} named right</h4>'
            f"{drawn}<figcaption>{escape(_about(measured))}</figcaption></figure>"
        )
    if not cards:
        return ""
    return f'<h3>The discriminator as a classifier</h3><div class="two">{"".join(cards)}</div>'


def _about(measured: dict[str, Any]) -> str:
    """Which pictures were named, and what the number may be compared with; as far as told."""
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
