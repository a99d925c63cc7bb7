"""Exploring a model: `walk`, `mix` and `canvas`."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from impasto.device import choose_device
from impasto.exploring.canvases import CanvasOptions, canvas_of
from impasto.exploring.frames import check_target
from impasto.exploring.mixing import mix_of
from impasto.exploring.walk_options import RADIUS, WalkOptions, film_of
from impasto.exploring.walks import Style
from impasto.sampling import Model
from impasto.sampling.class_choice import class_numbers
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from impasto.sampling.seeds import check_seeds


def painter_of(
    model: str | PathLike[str] | Model, truncation: float | None, device: str, batch: int
) -> Painter:
    """The painter of a model, or of the model that a path stands for."""
    if not isinstance(model, Model):
        model = Model.load(model, choose_device(device))
    return Painter.of(model, truncation=truncation, batch=batch)


def walk(
    model: str | PathLike[str] | Model,
    destination: str | PathLike[str],
    seeds: Iterable[int] = (),
    *,
    points: Iterable[str | PathLike[str] | Points] = (),
    around: bool = False,
    radius: float = RADIUS,
    classes: Mapping[str, Sequence[str]] | None = None,
    seconds: float | None = None,
    fps: int = 30,
    loop: bool = False,
    straight: bool = False,
    easing: bool = False,
    even: bool = False,
    audio: str | PathLike[str] | None = None,
    beats: Iterable[float] = (),
    truncation: float | None = None,
    grid: tuple[int, int] = (1, 1),
    scale: int | None = None,
    device: str = "auto",
    batch: int = 64,
) -> Path:
    """Write a video whose pictures change smoothly from seed to seed; gives its path.

    Args:
        model: a loaded model, which keeps its device; or a run, a checkpoint, a model folder, a
            model of the hub as `hf:OWNER/NAME`, or the word `masters`.
        destination: an `.mp4`, `.gif` or `.webp`; or a folder for PNGs, where frames there are kept.
        seeds: to walk through; 0 to 3 if there are no points either.
        points: points, files of points, or PNGs that impasto painted, in place of seeds.
        around: walk in a loop around one seed or point instead.
        radius: with `around`, the distance of the loop; 1 is as far as another seed.
        classes: the classes to go through by label field; by default those of the seeds and points.
        seconds: length of the video. None: that of `audio`, or up to the last of `beats`, or 12.
        fps: frames a second.
        loop: go back to the first point, so that the video repeats.
        straight: take the shortest way between neighbouring points instead of a curve.
        easing: slow down at each point.
        even: make pictures change at the same pace throughout, measured by features of `lite0`.
        audio: sound whose loudness drives the speed, or with `around` the radius; MP4s get it.
        beats: seconds at which the seeds after the first are reached, in turn, whatever the loudness.
        truncation: of the seeds' latents; see `Model.sample`.
        grid: columns and rows of walks side by side; the seeds are distributed among them in order.
        scale: enlarge each pixel so many times. None: 1, but in an MP4 up to 512 pixels a side.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures computed at a time.

    Raises:
        ImpastoError: no such model, class or point, a value out of range, no PyAV, or an unusable file.
    """
    target = Path(destination).expanduser()
    check_target(target, fps)
    style, given, times = Style(loop, not straight, easing), list(points), list(beats)
    options = WalkOptions(
        list(seeds), given, around, radius, style, even, classes or {}, *grid, audio, times
    )
    painter = painter_of(model, truncation, device, batch)
    film_of(painter, options, seconds=seconds, rate=fps, scale=scale).write(target)
    return target


def mix(
    model: str | PathLike[str] | Model,
    coarse: Iterable[int],
    fine: Iterable[int],
    at: int | None = None,
    classes: Mapping[str, str] | None = None,
    *,
    truncation: float | None = None,
    device: str = "auto",
    batch: int = 64,
) -> np.ndarray:
    """Pictures, uint8 [R, C, H, W, 3], with the coarse levels of one seed and the fine ones of another.

    Args:
        model: as in `walk`; its generator must take a latent at each level, as the flagships' do.
        coarse: R seeds, which determine composition and classes.
        fine: C seeds, which determine colours and outlines.
        at: first level of the generator that takes the fine seed, from 1; or the side of its maps, such
            as 16. None: half of the levels.
        classes: see `Model.sample`.
        truncation: of the seeds' latents.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures computed at a time.

    Raises:
        ImpastoError: no model, an unknown class, a seed out of range, or no such level.
    """
    painter = painter_of(model, truncation, device, batch)
    chosen = class_numbers(painter.record, classes or {})
    rows, columns = (
        painter.points(numbers, painter.labels(numbers, chosen))
        for numbers in (check_seeds(coarse), check_seeds(fine))
    )
    return mix_of(painter, rows, columns, at).images(painter)


def canvas(
    model: str | PathLike[str] | Model,
    width: int,
    height: int,
    seeds: Iterable[int] = (),
    *,
    points: Iterable[str | PathLike[str] | Points] = (),
    layout: tuple[int, int] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    variety: float | None = None,
    tile: bool = False,
    truncation: float | None = None,
    device: str = "auto",
) -> np.ndarray:
    """A picture of any size, uint8 [height, width, 3], whose latents and classes change from place to
    place.

    Args:
        model: as in `walk`.
        width: pixels, at least the width of the model's pictures.
        height: pixels, at least the height of the model's pictures.
        seeds: laid out over the canvas; from 0 on, one for each picture's area, if there are no points
            either.
        points: points, files of points, or PNGs that impasto painted, in place of seeds.
        layout: columns and rows of the seeds. None: one row, along the longer side.
        classes: label field to the classes from left to right; by default those of the seeds and points.
        variety: how much the composition changes from one picture's area to the next beyond what seeds
            change, 0 to 1. None: 1 if the network takes its latent at several levels, otherwise 0.6.
        tile: whether the picture continues at its opposite edges. Sides are multiples of those of the
            model's pictures then.
        truncation: of the latents; see `Model.sample`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        ImpastoError: no model, its network makes pictures of one size only, an unknown class, or a value
            out of range.
    """
    options = CanvasOptions(
        width,
        height,
        list(seeds),
        list(points),
        layout,
        classes or {},
        variety,
        tile,
    )
    return canvas_of(painter_of(model, truncation, device, 64), options).paint()
