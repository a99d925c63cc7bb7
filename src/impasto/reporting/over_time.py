"""A run's grids: the newest, all over time, and the time-lapse."""

from dataclasses import dataclass

from markupsafe import Markup

from impasto.errors import ImpastoError
from impasto.reporting.elements import (
    Figure,
    PageImage,
    cell_tall,
    grid_figure,
    moment,
    pixel_class,
)
from impasto.reporting.figures_of_works import figures_of
from impasto.reporting.pictures import cut, data_uri, evenly, open_picture, picture_uri
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render
from impasto.reporting.timelapse import write_timelapse

_MOST_GRIDS = 24
# Largest sides in pixels of a grid shown whole; of larger ones the first pictures are shown.
_GRID_SIDE, _LAST_GRID_SIDE = 768, 2048
_EMBEDDED_VIDEO_BYTES = 8_000_000


@dataclass(frozen=True)
class Video:
    """The time-lapse in the page.

    Attributes:
        source: its address, or a data URI.
        megabytes: its size if it is a file beside the page; None if embedded.
    """

    source: str
    megabytes: int | None = None


def pictures_section(record: RunRecord, missing: list[str]) -> Markup:
    """The newest grid of generated pictures and that of real ones; absent ones are added to
    `missing`."""
    figures = []
    readable = ((seen, open_picture(path)) for seen, path in reversed(record.grids))
    seen, newest = next(((seen, grid) for seen, grid in readable if grid is not None), (0, None))
    if newest is None:
        missing.append("There are no sample grids in this run's folder (samples/fakes-*.png).")
    else:
        caption = f"Generated, after {moment(record, seen)}."
        description = "grid of generated pictures"
        figures.append(grid_figure(record, newest, caption, description, _LAST_GRID_SIDE, True))
    reals = open_picture(record.reals) if record.reals else None
    if reals is None:
        missing.append("There is no grid of real pictures (samples/reals.png).")
    else:
        caption, description = "Real pictures, as the network sees them.", "grid of real pictures"
        figures.append(grid_figure(record, reals, caption, description, _LAST_GRID_SIDE, True))
    return render("pictures", figures=figures, works=figures_of(record)) if figures else Markup()


def over_time_section(record: RunRecord, missing: list[str]) -> Markup:
    """Grids over time, with a slider and as a strip, and the time-lapse."""
    chosen = [record.grids[place] for place in evenly(len(record.grids), _MOST_GRIDS)]
    figures = []
    for seen, path in chosen:
        grid = open_picture(path)
        if grid is None:
            continue
        kept, shown, of = cut(grid, record.columns, _GRID_SIDE, cell_tall(record))
        note = "" if shown == of else f", first {shown} of {of}"
        kind, description = pixel_class(grid, record), f"grid after {seen:,} images"
        picture = PageImage(picture_uri(kept), description, kind)
        figures.append(Figure(picture, moment(record, seen) + note))
    if len(figures) < 2:
        return Markup()
    newest = figures[-1].picture
    return render(
        "over_time",
        figures=figures,
        viewer=PageImage("", "the chosen grid", newest.kind),
        newest=newest,
        works=figures_of(record),
        video=_video(record, missing),
        left_out=len(record.grids) - len(chosen),
    )


def _video(record: RunRecord, missing: list[str]) -> Video | None:
    """Write the time-lapse; if there is none, the reason is added to `missing`."""
    path = record.folder / "timelapse.mp4"
    try:
        frames = write_timelapse(
            record.grids, record.columns, path, lambda seen: moment(record, seen), cell_tall(record)
        )
    except ImpastoError as error:
        # The page is useful without it.
        missing.append(f"There is no time-lapse: {error}.")
        return None
    if not frames:
        missing.append("There is no time-lapse: fewer than two grids can be read.")
        return None
    content = path.read_bytes()
    if len(content) <= _EMBEDDED_VIDEO_BYTES:
        return Video(data_uri(content, "video/mp4"))
    return Video(path.name, round(len(content) / 1e6))
