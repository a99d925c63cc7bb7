"""`impasto inspect`: what is in a collection, in numbers and in pictures."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._shared import CollectionArgument
from impasto.formatting import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

    from impasto.collection import Collection, LabelField
    from impasto.collection.duplicates.sheets import GroupMember

_BARS = 40
"""Most classes of a field in a chart."""
_BOXES = 20
"""Most missing letters that are printed."""


def command(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option(help="Folder for the PNGs.", metavar="FOLDER")] = Path(),
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read every file and compare its checksum. Takes a while."),
    ] = False,
    duplicates: Annotated[
        bool,
        typer.Option("--duplicates", help="Also draw groups of duplicates."),
    ] = False,
) -> None:
    """Print what is in a collection; draw a contact sheet and its classes.

    The contact sheet and the chart of the classes are PNGs.
    """
    from impasto.collection import Collection, open_or_pack
    from impasto.collection.overview import contact_sheet, summary
    from impasto.files import write_bytes
    from impasto.fonts import missing

    opened = open_or_pack("masters", 64) if collection == "masters" else Collection.open(collection)
    typer.echo(summary(opened))
    if verify:
        opened.verify(everything=True)
        typer.echo("\nverified: every file is as it was packed")
    typer.echo("")

    stem = re.sub(r"[^\w.-]+", "-", opened.name).strip("-.") or "collection"
    sheet = out / f"{stem}-contact-sheet.png"
    write_bytes(sheet, _png(contact_sheet(opened)))
    typer.echo(f"contact sheet: {quoted(sheet)}")
    if duplicates:
        _write_duplicates(opened, out, stem)
    if not opened.fields:
        typer.echo("chart of classes: none, as the collection has no labels")
        return
    drawn = _chart(opened)
    if drawn is None:
        typer.echo(
            "chart of classes: not drawn; it takes matplotlib: pip install 'impasto[report]'"
        )
        return
    chart = out / f"{stem}-classes.png"
    write_bytes(chart, drawn)
    typer.echo(f"chart of classes: {quoted(chart)}")
    if boxes := missing(_names(opened)):
        some = boxes if len(boxes) <= _BOXES else f"{boxes[:_BOXES]} ..."
        typer.echo(
            f"note: no font here has {some}, drawn as boxes; Noto Sans CJK has Chinese, Japanese and "
            "Korean, Noto Emoji has signs"
        )


def _write_duplicates(collection: "Collection", out: Path, stem: str) -> None:
    """Draw the groups of duplicates, and the sets of alike pictures."""
    from impasto.collection.duplicates.sheets import alike_groups, duplicate_groups

    groups, sets = duplicate_groups(collection), alike_groups(collection)
    if not groups:
        typer.echo("duplicates: none")
    else:
        sheets = _write_pages(
            collection, groups, out / f"{stem}-duplicates", "group", "those least alike"
        )
        typer.echo(f"duplicates: {sheets}, the kept in green frames")
    if sets:
        sheets = _write_pages(collection, sets, out / f"{stem}-alike", "set", "the largest")
        typer.echo(f"alike (too little detail to decide): {sheets}, all kept")


def _write_pages(
    collection: "Collection", groups: "list[list[GroupMember]]", path: Path, noun: str, first: str
) -> str:
    """Draw groups page by page; gives their place and number as text."""
    from impasto.collection.duplicates.sheets import GROUPS, PAGES, pages
    from impasto.files import write_bytes
    from impasto.formatting import counted

    several = len(groups) > GROUPS
    names = []
    for number, page in enumerate(pages(collection, groups), start=1):
        names.append(path.with_name(f"{path.name}{f'-{number:02}' if several else ''}.png"))
        write_bytes(names[-1], _png(page))
    shown = min(len(groups), GROUPS * PAGES)
    of_all = "" if shown == len(groups) else f" of {len(groups):,}, {first}"
    where = f"{names[0]} to {names[-1].name}" if several else str(names[0])
    return f"{where}: {counted(shown, noun)}{of_all}"


def _png(image: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(field: "LabelField") -> list[tuple[int, str]]:
    """Count and name of the classes in the chart, the most frequent last."""
    # A stable sort keeps equal counts in the order of their names.
    by_count = sorted(zip(field.counts, field.classes, strict=True), key=lambda pair: -pair[0])
    return by_count[:_BARS][::-1]


def _names(collection: "Collection") -> list[str]:
    """All names in the chart."""
    fields = collection.fields
    return [text for field in fields for text in (field.name, *(name for _, name in _shown(field)))]


def _as_written(name: str, most: int | None = None) -> str:
    """A name for matplotlib: on one line, shortened, with dollar signs escaped."""
    from impasto.formatting import one_line

    name = one_line(name)
    if most is not None and len(name) > most:
        name = name[: most - 1] + "…"
    return name.replace("$", r"\$")


def _chart(collection: "Collection") -> bytes | None:
    """A PNG of bar charts of the classes, one for each field; None without matplotlib."""
    try:
        # Not pyplot, which would look for a display.
        from matplotlib.figure import Figure
    except ImportError:
        return None
    from impasto.fonts import chart_fonts

    fields = collection.fields
    most = max(min(len(field.classes), _BARS) for field in fields)
    buffer = io.BytesIO()
    with chart_fonts(_names(collection)):
        size = (5.5 * len(fields), 1.2 + 0.26 * most)
        figure = Figure(figsize=size, layout="constrained", dpi=110)
        for column, field in enumerate(fields, start=1):
            _draw_field(figure.add_subplot(1, len(fields), column), field, most)
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_field(axes: "Axes", field: "LabelField", most: int) -> None:
    """Draw the bars of one field's classes, with room for `most`."""
    shown = _shown(field)
    bars = axes.barh(range(len(shown)), [count for count, _ in shown], color="#3b6ea5")
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set_yticks(range(len(shown)), [_as_written(name, 32) for _, name in shown], fontsize=9)
    axes.margins(x=0.15)
    axes.set_ylim(len(shown) - most - 0.6, len(shown) - 0.4)
    axes.set_xlabel("pictures for training")
    more = len(field.classes) - len(shown)
    title = field.name if not more else f"{field.name} (and {more} classes more)"
    axes.set_title(_as_written(title), fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
