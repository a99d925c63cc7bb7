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
        field = path.stem.removeprefix("classify-")
        try:
            measured = read_json(path, "measurement")
        except ImpastoError:
            continue
        accuracy = _share(measured, "accuracy")
        if accuracy is None:
            continue
        picture = open_picture(record.folder / f"confusion-{field}.png")
        drawn = (
            image(picture_uri(picture, exact=True), f"confusion of the classes of {field}")
            if picture is not None
            else ""
        )
        cards.append(
            f'<figure class="card"><h4>{escape(field)}: {percent(accuracy)} named right</h4>{drawn}'
            f"</figure>"
        )
    if not cards:
        return ""
    return f'<h3>The discriminator as a classifier</h3><div class="two">{"".join(cards)}</div>'


def _share(measured: Any, name: str) -> float | None:
    value = measured.get(name) if isinstance(measured, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        return None
    return float(value)
