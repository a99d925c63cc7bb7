"""`impasto pack`: a collection from a folder of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.formatting import counted, one_line, quoted

MAX_PIXELS = 200_000_000

if TYPE_CHECKING:
    from impasto.collection import PackReport


def command(
    source: Annotated[
        str,
        typer.Argument(
            help=(
                "A folder of pictures, or an archive of one (zip, tar), with folders by "
                "class or a table metadata.csv for labels; a table (CSV, TSV, JSON Lines); "
                "parquet; StyleGAN's zip; WebDataset tars; .npz; CIFAR's archive; ArtGAN's "
                "WikiArt lists; or 'masters', the 21 paintings that come with impasto. On disk, "
                "or read where it lies: s3://, gs://, hf://datasets/OWNER/NAME, https://."
            ),
            metavar="SOURCE",
        ),
    ],
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DEST",
            help=(
                "The collection's folder: new, empty, or an earlier pack of this source, "
                "which is updated."
            ),
        ),
    ],
    resolution: Annotated[
        str,
        typer.Option(
            help=(
                "Side of the packed pictures, or width x height such as 192x256; several, such as "
                "64,256 or 96x128,192x256, are made in one pass."
            ),
            metavar="PIXELS",
        ),
    ] = "64",
    labels: Annotated[
        str | None,
        typer.Option(
            help=(
                "Label fields. With a table: its columns, such as style,genre. With "
                "folders: a name for each level of folders, or name=2 for level 2."
            ),
            metavar="FIELDS",
        ),
    ] = None,
    names_encoding: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODING",
            help=(
                "Encoding of file names in a zip or tar that does not state it, such as "
                "cp932 for a zip from Japanese Windows."
            ),
            show_default="UTF-8, else a guess",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help=(
                "Pack only pictures that meet a condition on labels and columns, such as "
                "\"style = 'Impressionism' and year >= 1870\"."
            ),
            metavar="CONDITION",
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASSES",
            help=(
                "Merge classes: 'style: Ukiyo-e = Shin-hanga | Sosaku-hanga', or a CSV file"
                " with columns field, from, to. May be repeated."
            ),
        ),
    ] = None,
    min_class: Annotated[
        int,
        typer.Option(
            help="Pictures of classes with fewer source pictures lose their label.", metavar="N"
        ),
    ] = 1,
    fit: Annotated[
        str,
        typer.Option(
            help=(
                "How a picture gets its size. crop: its centre. squash: all of it, "
                "proportions ignored. pad: all of it on a background. tiles: many "
                "overlapping parts at several scales, and mirrored, for small "
                "collections. aspect: the centre, in the nearest of a few proportions that are chosen "
                "from the pictures; all sizes have about as many pixels as the square."
            ),
            metavar="crop|squash|pad|tiles|aspect",
        ),
    ] = "crop",
    heldout: Annotated[
        float,
        typer.Option(
            help=(
                "Share of source pictures held out from training, from 0 to below 1. A "
                "source's own test part is always held out."
            ),
            metavar="SHARE",
        ),
    ] = 0.1,
    seed: Annotated[
        int, typer.Option(help="Seed of the choice of held-out pictures.", metavar="N")
    ] = 0,
    duplicates: Annotated[
        str,
        typer.Option(
            help=(
                "Which copies are excluded. exact: identical pixels once packed. near: "
                "other files of the same picture. features: crops, margins and watermarks "
                "too, found by Lite0."
            ),
            metavar="none|exact|near|features",
        ),
    ] = "near",
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Pack this picture although it is a copy of another. Its path is that in "
            "duplicates.csv. May be repeated.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Do not pack this picture. May be repeated."),
    ] = None,
    background: Annotated[
        str,
        typer.Option(
            help=(
                "Colour behind transparent pixels and around padded pictures: a name, or #rrggbb."
            ),
            metavar="COLOUR",
        ),
    ] = "white",
    max_upscale: Annotated[
        float,
        typer.Option(
            help="Leave out pictures that would have to be enlarged by more than this.",
            metavar="FACTOR",
        ),
    ] = 1.25,
    max_pixels: Annotated[
        int,
        typer.Option(
            help="Leave out pictures with more pixels than this, without decoding them.",
            metavar="N",
        ),
    ] = MAX_PIXELS,
    max_seconds: Annotated[
        float,
        typer.Option(
            help="Leave out pictures that take longer than this to decode.", metavar="SECONDS"
        ),
    ] = 60,
    salvage: Annotated[
        bool,
        typer.Option(
            "--salvage", help="Pack what can be decoded of truncated files; the rest is grey."
        ),
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Decode JPEGs at full size: slower, hardly better.")
    ] = False,
    encoding: Annotated[
        str,
        typer.Option(
            help=(
                "How pixels are stored. webp is lossless, jpeg is smaller and lossy. auto: "
                "raw below 256 pixels, webp from there."
            ),
            metavar="auto|raw|webp|jpeg",
        ),
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(help="Number of processes.", show_default="one for each core", metavar="N"),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help=(
                "Pack share I of N; other machines with access to the same disk pack the "
                "other shares. The last one to finish puts the collection together."
            ),
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help=(
                "Pack on a dask cluster, given by its scheduler's address, such as "
                "tcp://host:8786. All machines must see SOURCE and DEST under the same path."
            ),
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The collection's name.", show_default="that of its folder", metavar="NAME"
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Pack pictures into a collection of squares or rectangles, ready for training.

    After an interruption the same command continues. After pictures were added to the source, it
    decodes only the new ones.
    """
    from impasto.api.collections import PackSettings, pack, pack_on, pack_shard
    from impasto.cli._dask import dask_executor
    from impasto.collection.replacing import collection_folder, work_folder
    from impasto.errors import StoppedError

    settings = PackSettings(
        resolution=resolution,
        labels=labels,
        names_encoding=names_encoding,
        where=where,
        merge=merge or (),
        min_class=min_class,
        fit=fit,
        heldout=heldout,
        seed=seed,
        duplicates=duplicates,
        keep=keep or (),
        exclude=exclude or (),
        background=background,
        max_upscale=max_upscale,
        max_pixels=max_pixels,
        max_seconds=max_seconds,
        salvage=salvage,
        exact=exact,
        encoding=encoding,
        workers=workers,
        name=name,
    )
    _check_dask(dask, shard, workers)
    try:
        if dask is not None:
            with dask_executor(dask) as executor:
                report = pack_on(executor, source, destination, **settings)
        elif shard is None:
            report = pack(source, destination, **settings)
        else:
            ended = pack_shard(source, destination, _shard(shard), **settings)
            if isinstance(ended, int):
                typer.echo(_still_to_do(shard, ended))
                return
            report = ended
    except KeyboardInterrupt:
        work = work_folder(collection_folder(destination))
        if not work.exists():
            raise
        raise StoppedError(
            f"stopped; what is done is kept in {work}: the same command goes on from there"
        ) from None
    for line in report_lines(report, destination):
        typer.echo(line)


def _check_dask(dask: str | None, shard: str | None, workers: int | None) -> None:
    from impasto.errors import ImpastoError

    if dask is None:
        return
    if shard is not None:
        raise ImpastoError("--dask and --shard are two ways to share the work; give one of them")
    if workers is not None:
        raise ImpastoError(
            "--workers has no meaning with --dask; the cluster's workers and their threads do the work"
        )


def _still_to_do(shard: str, count: int) -> str:
    return (
        f"shard {shard} is done; {counted(count, 'picture')} to do by the others, of which the last to "
        "end puts the collection together (so does the same command without --shard)"
    )


def _shard(text: str) -> tuple[int, int]:
    from impasto.errors import ImpastoError

    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ImpastoError(f"--shard takes which of how many, such as 1/4, not '{text}'")
    return int(number), int(of)


def report_lines(report: "PackReport", destination: Path) -> list[str]:
    """The result of packing as lines of text."""
    packed, views = report.collection, report.collection.views()
    train = sum(len(view.train_indices) for view in views)
    heldout = sum(len(view.heldout_indices) for view in views)
    sizes = f"{packed.resolution} px" if len(views) == 1 else f"{len(views)} sizes"
    train_sources = report.source_count - report.heldout_source_count
    lines = [
        f"{packed.name}: {counted(train + heldout, 'picture')} of {sizes} "
        f"from {counted(report.source_count, 'source picture')} ({packed.fit}), "
        f"in {report.seconds:.1f} s"
        + (f", {report.known:,} of them packed before" if report.known else ""),
        f"  training  {train:,} from {counted(train_sources, 'source picture')}",
        f"  held out  {heldout:,} from {counted(report.heldout_source_count, 'source picture')}"
        if heldout
        else "  held out  none",
    ]
    lines += [f"  {field.name}: {counted(len(field.classes), 'class')}" for field in packed.fields]
    if report.left_out:
        lines.append(
            f"left out: {len(report.left_out):,}, listed in {quoted(destination / 'left-out.csv')}"
        )
        lines += [f"  {count:,} {reason}" for reason, count in report.reasons().items()]
        path, reason = report.left_out[0]
        lines.append(f"  such as {one_line(path)} ({reason})")
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"look at it: impasto inspect {quoted(destination)}")
    return lines
