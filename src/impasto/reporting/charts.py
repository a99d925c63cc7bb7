"""Charts over images seen, epochs or iterations, as SVG in the page's light or dark colours."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from impasto.diagnosis.curves import Counts, Floats
from impasto.errors import ImpastoError
from impasto.fonts import chart_fonts
from impasto.formatting import one_line
from impasto.reporting.axes import IMAGES, Axis

# matplotlib draws with these placeholders, which are replaced by the page's CSS variables, so that
# one drawing serves both colour schemes.
_COLOURS = {
    "#0a0b01": "var(--ink)",
    "#0a0b02": "var(--faint)",
    "#0a0b03": "var(--rule)",
    "#0a0b04": "var(--line-1)",
    "#0a0b05": "var(--line-2)",
    "#0a0b06": "var(--alarm)",
    "#0a0b07": "var(--line-3)",
    "#0a0b08": "var(--line-4)",
    "#0a0b09": "var(--line-5)",
    "#0a0b0a": "var(--line-6)",
}
_INK, _FAINT, _RULE = "#0a0b01", "#0a0b02", "#0a0b03"
_LINES = ("#0a0b04", "#0a0b05", "#0a0b07", "#0a0b08", "#0a0b09", "#0a0b0a")
_ALARM = "#0a0b06"

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _FAINT,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _FAINT,
    "ytick.labelcolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _RULE,
    "grid.linewidth": 0.5,
}

# Most points of a line; a chart is some 700 pixels wide.
_RAW_BINS = 300
_SMOOTH_POINTS = 300
# Beginning of the class of what the page shows with one unit only.
_SHOWN_IN = "in-"
# Letters that fit above a chart; each line's sample counts as six.
_LEGEND_LETTERS = 66


@dataclass(frozen=True)
class Line:
    """A curve: its name and its values [N]; non-finite ones are left out.

    Attributes:
        low, high: [N] ends of an interval around each value, drawn as a band.
        smooth: whether a smoothed line is drawn over the faint values; else the values are drawn
            with dots.
    """

    name: str
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    smooth: bool = True


@dataclass(frozen=True)
class Mark:
    """A marked moment: images seen, and a short text above."""

    images: int
    text: str


@dataclass(frozen=True)
class Level:
    """A horizontal reference line, such as chance, named in the legend."""

    name: str
    height: float


def require_matplotlib() -> None:
    """Raises: ImpastoError: matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImpastoError(
            "a report needs matplotlib; install it with pip install 'impasto[report]'"
        ) from error


def envelope(
    images_seen: Counts | Floats, values: Floats, bins: int = _RAW_BINS
) -> tuple[Counts | Floats, Floats]:
    """The lowest and highest value of each of `bins` equal ranges, in order, so that a thinned line
    shows every spike.

    At most two points a bin; fewer values are unchanged.
    """
    if len(values) <= 2 * bins:
        return images_seen, values
    edges = np.linspace(0, len(values), bins + 1).astype(np.int64)
    places: list[int] = []
    for start, stop in pairwise(edges.tolist()):
        part = values[start:stop]
        places += sorted({int(start + part.argmin()), int(start + part.argmax())})
    return images_seen[places], values[places]


def smoothed(values: Floats) -> Floats:
    """Moving average over a thirtieth of the rows (three or more), mirrored at the ends."""
    half = max(1, len(values) // 60)
    if len(values) < 5:
        return values
    padded = np.pad(values, half, mode="symmetric")
    totals = np.concatenate([[0.0], np.cumsum(padded)])
    return (totals[2 * half + 1 :] - totals[: -2 * half - 1]) / (2 * half + 1)


def _short(number: float) -> str:
    """12000 as 12k, 2500000 as 2.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"


def chart(
    images_seen: Counts | Floats,
    lines: Sequence[Line],
    marks: Sequence[Mark] = (),
    *,
    identity: str,
    label: str,
    bounds: tuple[float, float] | None = None,
    from_zero: bool = False,
    levels: Sequence[Level] = (),
    shaded_until: int = 0,
    end: float | None = None,
    axes: Sequence[Axis] = (IMAGES,),
    shown_in: str = "",
) -> Markup:
    """Curves as an SVG element: values faint, smoothed lines strong.

    Args:
        images_seen: [N]; or the values of another horizontal axis.
        lines: up to six.
        marks: vertical lines at moments, such as findings.
        identity: a word unique in the page, for ids in the element.
        label: a description for screen readers.
        bounds: of the vertical axis; by default from the values. Values that span more than a
            factor of 50 get a logarithmic axis.
        from_zero: start the vertical axis at 0.
        levels: up to two dotted horizontal lines.
        shaded_until: images seen up to which the background is shaded.
        end: of the horizontal axis; by default the last of `images_seen`.
        axes: units of the horizontal axis. `images_seen` is in the first one; the page switches
            between the labels of all.
        shown_in: name of the unit with which the page shows this chart; with every one if empty.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    named = [*(line.name for line in lines), *(level.name for level in levels)]
    texts = [*named, *(axis.label for axis in axes), *(mark.text for mark in marks)]
    style: dict[Any, Any] = _STYLE | {"svg.hashsalt": identity}
    with mpl.rc_context(style), chart_fonts(texts):
        # Small, so that its letters are readable on a phone, where it is not scaled.
        figure = Figure(figsize=(4.7, 2.7), layout="constrained")
        plot = figure.add_subplot()
        drawn: list[Floats] = []
        for line, colour in zip(lines, _LINES, strict=False):
            drawn += _line(plot, images_seen, line, colour)
        # The same range in every chart.
        plot.set_xlim(0, 1.02 * float(images_seen[-1] if end is None else end))
        _level_axes(plot, axes, whole=images_seen.dtype.kind in "iu")
        if shaded_until:
            plot.axvspan(0, shaded_until, color=_RULE, alpha=0.5, linewidth=0, zorder=0)
        _levels_and_marks(plot, levels, marks)
        _scale(plot, drawn, bounds, from_zero)
        if drawn:
            _legend(figure, named)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), identity, label, shown_in)


def _line(axes: Any, images_seen: Counts | Floats, line: Line, colour: str) -> list[Floats]:
    """Draw a line and its band; gives the drawn values, none if no value is finite."""
    keep = np.isfinite(line.values)
    images, values = images_seen[keep], line.values[keep]
    if not len(values):
        return []
    drawn = [values]
    if line.low is not None and line.high is not None:
        drawn += _band(axes, images, line.low[keep], line.high[keep], colour)
    if not line.smooth:
        dots = "o" if len(values) <= 60 else None
        looks = {"color": colour, "linewidth": 1.7, "marker": dots, "markersize": 3.5}
        axes.plot(images, values, label=one_line(line.name), **looks)
        return drawn
    dots = "o" if len(values) <= 12 else None
    faint = {"color": colour, "linewidth": 0.8, "alpha": 0.45, "marker": dots, "markersize": 3}
    axes.plot(*envelope(images, values), **faint)
    step = max(1, len(values) // _SMOOTH_POINTS)
    axes.plot(
        np.append(images[::step], images[-1]),
        np.append(smoothed(values)[::step], smoothed(values)[-1]),
        color=colour,
        linewidth=1.7,
        marker="o" if len(values) == 1 else None,
        label=one_line(line.name),
    )
    return drawn


def _level_axes(plot: Any, axes: Sequence[Axis], *, whole: bool) -> None:
    """Label the horizontal axis in each unit, one over the other, of which the page shows one."""
    first, *others = axes
    plot.grid(True, axis="y")
    plot.set_axisbelow(True)
    _level_axis(plot.xaxis, first, whole=whole)
    if others:
        plot.xaxis.set_gid(f"{_SHOWN_IN}{first.name}")
    for axis in others:
        second = plot.secondary_xaxis("bottom", functions=_scaled(first.images / axis.images))
        _level_axis(second.xaxis, axis, whole=False)
        second.set_gid(f"{_SHOWN_IN}{axis.name}")


def _scaled(factor: float) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """Multiplication by a factor, and its inverse."""
    return lambda values: values * factor, lambda values: values / factor


def _level_axis(axis: Any, unit: Axis, *, whole: bool) -> None:
    """Label an axis with its unit and short numbers, integers for counts."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_label_text(unit.label)
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=whole))


def _levels_and_marks(plot: Any, levels: Sequence[Level], marks: Sequence[Mark]) -> None:
    for level, dots in zip(levels, ((1, 2), (4, 2)), strict=False):
        plot.axhline(
            level.height,
            color=_FAINT,
            linewidth=1.2,
            linestyle=(0, dots),
            label=one_line(level.name),
        )
    for mark in marks:
        plot.axvline(mark.images, color=_ALARM, linewidth=1, linestyle=(0, (4, 3)))
        plot.annotate(
            one_line(mark.text),
            (mark.images, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=_ALARM,
            fontweight="bold",
        )


def _legend(figure: Any, names: Sequence[str]) -> None:
    """The legend above the chart, with as many columns as fit."""
    longest = max(map(len, names))
    figure.legend(
        loc="outside upper left",
        ncols=max(1, min(3, _LEGEND_LETTERS // (longest + 6))),
        frameon=False,
        handlelength=1.2,
        fontsize=9,
    )


def _band(
    axes: Any, images: Counts | Floats, low: Floats, high: Floats, colour: str
) -> list[Floats]:
    """Draw the intervals of a line; gives their ends, if there are any."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return []
    ends = [low[known], high[known]]
    if known.sum() == 1:
        axes.vlines(images[known], *ends, color=colour, linewidth=1.2, alpha=0.6)
    else:
        axes.fill_between(images[known], *ends, color=colour, alpha=0.18, linewidth=0)
    return ends


def _scale(
    axes: Any, drawn: Sequence[Floats], bounds: tuple[float, float] | None, from_zero: bool
) -> None:
    """Set the vertical axis to its bounds, from zero, or by the drawn values."""
    if bounds is not None:
        axes.set_ylim(*bounds)
    elif from_zero:
        axes.set_ylim(bottom=0)
    elif drawn:
        _scale_by(axes, np.concatenate(drawn))


def _scale_by(axes: Any, values: Floats) -> None:
    """Use a logarithmic vertical axis if a few values would flatten the others."""
    usual = float(np.median(np.abs(values))) or 1.0
    if float(np.abs(values).max()) <= 50 * usual:
        return
    if float(values.min()) > 0:
        axes.set_yscale("log")
    else:
        axes.set_yscale("symlog", linthresh=usual)


def _inline(svg: str, identity: str, label: str, shown_in: str) -> Markup:
    """Convert an SVG file to an element of the page, in the page's colours."""
    root = ElementTree.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            # A style sheet in it would apply to the whole page, which has these rules itself.
            if _plain(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _plain(element.tag)
        attributes = {_plain(name): text for name, text in element.attrib.items()}
        if attributes.get("id", "").startswith(_SHOWN_IN):
            attributes["class"] = attributes.pop("id")
        element.attrib.clear()
        element.attrib.update({n: _for_page(n, text, identity) for n, text in attributes.items()})
    # Without width and height it fills its column.
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": label}
    if shown_in:
        root.attrib["class"] = f"{_SHOWN_IN}{shown_in}"
    return Markup(ElementTree.tostring(root, encoding="unicode").strip())


def _plain(name: str) -> str:
    """A name without its XML namespace, which HTML does not need."""
    return name.rpartition("}")[2]


def _for_page(name: str, text: str, identity: str) -> str:
    """An attribute's text for the page."""
    # Ids must be unique in the page.
    if name == "id":
        return f"{identity}-{text}"
    if name == "href":
        return text.replace("#", f"#{identity}-", 1)
    text = text.replace("url(#", f"url(#{identity}-")
    # Two decimals are enough for a line.
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)
    for stand_in, variable in _COLOURS.items():
        text = text.replace(stand_in, variable)
    return re.sub(r"font-family: [^;]*", "font-family: var(--sans)", text)
