"""What `impasto sample` does with points that are kept, named and chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

    from impasto.cli._sampling import Options
    from impasto.exploring.favourites import Named
    from impasto.sampling.painter import Painter
    from impasto.sampling.points import Points

AMONG, COUNT = "0-1023", 15
SPREAD = 0.3


@dataclass(frozen=True)
class Target:
    """Where pictures go, and what is kept of them."""

    folder: Path
    """Of the model."""
    out: Path
    """Folder for one PNG a picture, without a grid."""
    grid: Path | None
    captions: bool
    save_points: Path | None
    keep: str | None
    """Name of the favourites."""

    @property
    def needs_points(self) -> bool:
        """Whether all points are needed at once."""
        return self.captions or self.save_points is not None or self.keep is not None

    def keep_points(self, painter: Painter, points: Points) -> None:
        """Keep the points, as asked for."""
        from impasto.exploring.favourites import keep_favourites

        if self.keep is not None:
            path, names = keep_favourites(self.folder, painter.record, self.keep, points)
            shown = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            typer.echo(f"kept as {shown} in {quoted(path)}")
        if self.save_points is not None:
            typer.echo(f"points in {quoted(points.save(self.save_points))}")

    def paint(
        self,
        painter: Painter,
        points: Points,
        names: list[str],
        captions: list[str],
        note: str = "",
    ) -> None:
        """Generate a picture for each point.

        Args:
            painter: of the model.
            points: of the pictures.
            names: of the files, where there is no grid.
            captions: in a grid, without the classes.
            note: end of the line that says where they are.
        """
        from impasto.sampling.output import save_grid_of, save_pictures

        self.keep_points(painter, points)
        pictures = painter.paint_points(points)
        if self.grid is not None:
            save_grid_of(
                pictures, self.grid, captions=captions_of(points, captions) if self.captions else ()
            )
        else:
            texts = (points.text(number) for number in range(len(points)))
            save_pictures(pictures, names, self.out, texts)
        typer.echo(f"{counted(len(points), 'picture')} in {quoted(self.grid or self.out)}{note}")


def captions_of(points: Points, names: list[str]) -> list[list[str]]:
    """The lines below each picture: its name, and its classes where they differ."""
    from impasto.sampling.points import differing_classes

    return [list(lines) for lines in zip(names, differing_classes(points), strict=True)]


def centre_of(
    painter: Painter,
    options: Options,
    named: Named,
    chosen: dict[int, int],
    mixtures: dict[int, dict[int, float]],
) -> Points:
    """The point of a seed, in the chosen classes; or that of a file, or of a favourite, in its own."""
    from impasto.sampling.class_choice import mixed

    def of_seeds(seeds: list[int]) -> Points:
        return painter.points(seeds, mixed(painter.record, painter.labels(seeds, chosen), mixtures))

    if not named.seeds:
        options.leave_out("the point of a file or favourite has classes of its own", "classes")
    return named.made(of_seeds)


def _given(painter: Painter, options: Options, folder: Path) -> tuple[Points, list[str]] | None:
    """The points of files and favourites with names for them; None where none are given."""
    from impasto.exploring.favourites import chosen_favourites
    from impasto.sampling.points import joined, load_all_points

    found: list[Points] = []
    names: list[str] = []
    if files := [*(options.points or []), *(options.like or [])]:
        found = [load_all_points(files, painter.record, "sample")]
        names = [f"point-{number:04d}" for number in range(len(found[0]))]
    if options.favourites is not None:
        more, points = chosen_favourites(folder, painter.record, options.favourites)
        found, names = [*found, points], [*names, *more]
    return (joined(found), names) if found else None


def paint_points_of(
    painter: Painter,
    options: Options,
    target: Target,
    seeds: list[int],
    chosen: dict[int, int],
    mixtures: dict[int, dict[int, float]],
) -> None:
    """Generate seeds, variations, or points that are given, moved as `--edit` asks."""
    from impasto.exploring.directions import Directions, note_beyond, parse_edits, usual_path
    from impasto.exploring.favourites import parse_point
    from impasto.exploring.mixing import variations_of
    from impasto.sampling.class_choice import mixed
    from impasto.sampling.output import seed_name

    captions = list(map(str, seeds))
    if options.variations is not None:
        named = parse_point(options.variations, target.folder, painter.record)
        centre = centre_of(painter, options, named, chosen, mixtures)
        spread = SPREAD if options.spread is None else options.spread
        points = variations_of(painter, centre, seeds, spread)
        target.paint(painter, points, [f"variation-{seed_name(seed)}" for seed in seeds], captions)
        return
    given = _given(painter, options, target.folder)
    if given is not None:
        points, names = given
        captions = names
    else:
        labels = mixed(painter.record, painter.labels(seeds, chosen), mixtures)
        names = [seed_name(seed) for seed in seeds]
        if not (options.edit or target.needs_points):
            paint_seeds(painter, seeds, labels, target, names)
            return
        points = painter.points(seeds, labels)
    if options.edit:
        edits = parse_edits(options.edit)
        found = Directions.load(options.directions or usual_path(target.folder), painter.record)
        before, points = points, found.edited(points, edits)
        if (note := note_beyond(before, points, captions)) is not None:
            typer.echo(note, err=True)
    target.paint(painter, points, names, captions)


def paint_seeds(
    painter: Painter, seeds: list[int], labels: torch.Tensor, target: Target, names: list[str]
) -> None:
    """Generate a picture for each seed, with labels [B, F] or class weights [B, K]. Latents are drawn a
    batch at a time, so any number of seeds fits."""
    from impasto.sampling.output import save_grid_of, save_pictures

    pictures = painter.paint(seeds, labels)
    if target.grid is not None:
        save_grid_of(pictures, target.grid)
    else:
        save_pictures(pictures, names, target.out, painter.texts(seeds, labels))
    typer.echo(f"{counted(len(seeds), 'picture')} in {quoted(target.grid or target.out)}")


def paint_alike(
    painter: Painter,
    options: Options,
    target: Target,
    chosen: dict[int, int],
    mixtures: dict[int, dict[int, float]],
    default: Path,
) -> None:
    """Generate the pictures most like one: into the grid `default` if neither a grid nor a folder is
    asked for."""
    from impasto.cli._sampling import seeds_of
    from impasto.exploring.favourites import parse_point
    from impasto.exploring.likeness import most_alike
    from impasto.features import load_network
    from impasto.progress import shown
    from impasto.sampling.class_choice import mixed
    from impasto.sampling.output import seed_name, slugs

    named = parse_point(options.more_like or "", target.folder, painter.record)
    wanted = centre_of(painter, options, named, chosen, mixtures)
    seeds = seeds_of(options.among or AMONG, every_class=False, candidates=None)
    found = most_alike(
        painter,
        wanted,
        seeds,
        mixed(painter.record, painter.labels(seeds, chosen), mixtures),
        load_network("lite0", device=painter.sampler.device),
        count=options.count or COUNT,
        progress=shown,
    )
    for line in found.lines():
        typer.echo(line)
    (stem,) = slugs([named.stem])
    if options.out is None:
        grid = options.grid or default.with_name(f"{default.name}-like-{stem}.png")
        target = replace(target, grid=grid, captions=True)
    names = [f"like-{stem}", *map(seed_name, found.seeds)]
    away = [f"{seed}: {far:.1f}" for seed, far in zip(found.seeds, found.distances, strict=True)]
    note = f": the one of {named.stem}, and the {len(found.seeds)} most like it"
    target.paint(painter, found.points, names, [named.stem, *away], note)
