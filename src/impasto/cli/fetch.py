"""`impasto fetch`: files of a hub repository, a file by its address, or pictures by a table of URLs."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.formatting import counted, quoted, readable_time

if TYPE_CHECKING:
    from impasto.fetching.file import FilesReport
    from impasto.fetching.table import PictureOptions, PicturesReport, Table

_REASONS = 10
"""Reasons of failures that are printed, the most frequent."""


def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="hf:datasets/OWNER/NAME[@REVISION][/PATH] or its address on the hub; the address "
            "of a file; a table of URLs (CSV with a column url, or an address a line, # before "
            "comments); or "
            "wikiart:style/NAME, genre/NAME, media/NAME, artist/NAME or wikiart:all. Several "
            "wikiart: listings may be given; a picture in more than one gets all their labels.",
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to fetch into.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help=(
                "Fetch only files of a repository that match, such as '*.parquet'. May be repeated."
            ),
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Expected SHA-256 of a file.", metavar="DIGEST")
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            help="Requests per second to one host, for pictures; 0: no limit.", metavar="N"
        ),
    ] = 1.0,
    per_host: Annotated[
        int, typer.Option(help="Simultaneous requests to one host.", metavar="N")
    ] = 1,
    retries: Annotated[
        int, typer.Option(help="Number of retries after the first try.", metavar="N")
    ] = 5,
    timeout: Annotated[
        float,
        typer.Option(
            help="Time to wait for a connection and between bytes. Not for files of the hub.",
            metavar="SECONDS",
        ),
    ] = 30.0,
    max_mb: Annotated[
        float | None,
        typer.Option(
            help="Largest picture or file to accept.",
            show_default="100 for a picture",
            metavar="MB",
        ),
    ] = None,
    contact: Annotated[
        str,
        typer.Option(
            help="Your mail address or page, sent to the servers' operators.", metavar="ADDRESS"
        ),
    ] = "",
    licence: Annotated[
        str, typer.Option(help="Licence of pictures whose row names none.", metavar="TEXT")
    ] = "unknown",
    pages: Annotated[
        int | None,
        typer.Option(
            help="Number of pages of a WikiArt listing; of artists with wikiart:all.", metavar="N"
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Check whether fetched pictures have changed on the server."
        ),
    ] = False,
    no_robots: Annotated[
        bool, typer.Option("--no-robots", help="Ignore robots.txt. Only if you are allowed to.")
    ] = False,
) -> None:
    """Fetch a data set, or pictures with titles, artists, licences.

    Run again, it goes on.

    What a site's terms and a picture's licence allow is yours to know; impasto keeps them beside
    the pictures, and says 'unknown' where nobody told. Files of the hub take the package
    huggingface_hub (pip install 'impasto[hub]'), whose environment variables hold, such as HF_TOKEN
    and HF_HOME. IMPASTO_OFFLINE and the proxy variables hold for all.

    The exit code is 0 if all that was asked for is there, 1 if some pictures failed, 2 if all did or
    nothing could be done.
    """
    from impasto.errors import ImpastoError, StoppedError
    from impasto.fetching import (
        PictureOptions,
        Politeness,
        fetch_file,
        fetch_repository,
        is_repository,
        kind_and_name,
        read_table,
    )
    from impasto.fetching.client import Client

    if max_mb is not None and not 0 < max_mb < 1e9:
        raise ImpastoError(f"--max-mb cannot be {max_mb}; it is a size in MB, such as 20")
    options = PictureOptions(
        rate=rate,
        per_host=per_host,
        retries=retries,
        timeout=timeout,
        most=PictureOptions.most if max_mb is None else int(max_mb * 1e6),
        contact=contact,
        robots=not no_robots,
        refresh=refresh,
        licence=licence,
    )
    source = sources[0]
    listings = [text.removeprefix("wikiart:") for text in sources if text.startswith("wikiart:")]
    for listing in listings:
        kind_and_name(listing)
    if len(sources) > 1 and len(listings) < len(sources):
        raise ImpastoError(
            f"{len(sources)} sources are given; only wikiart: listings can be fetched together. "
            "Fetch the others one by one, each into a folder of its own"
        )
    from_hub = source.startswith("hf:") or is_repository(source)
    if only and not from_hub:
        raise ImpastoError("--only chooses files of a repository; there is none in this source")
    if sha256 and (from_hub or "://" not in source):
        raise ImpastoError("--sha256 is for one file by its address; leave it out here")
    files_only = Client(timeout, contact), Politeness(retries=retries)
    failed = False
    try:
        if from_hub:
            with _progress("MB", 1_000_000) as tell:
                files = fetch_repository(source, destination, only or (), files_only[1], tell)
            lines = _of_files(files, destination)
        elif "://" in source:
            most = None if max_mb is None else options.most
            with _progress("MB", 1_000_000) as tell:
                files = fetch_file(source, destination, sha256, most, *files_only, tell=tell)
            lines = _of_files(files, destination)
        elif listings:
            table = _listed(listings, destination, options, pages)
            lines, failed = _pictures(table, destination, options)
        else:
            table = read_table(Path(source).expanduser())
            lines, failed = _pictures(table, destination, options)
    except KeyboardInterrupt as stop:
        raise StoppedError("stopped; run it again to go on") from stop
    for line in lines:
        typer.echo(line)
    if failed:
        raise typer.Exit(1)


def _listed(
    listings: list[str], folder: Path, options: "PictureOptions", pages: int | None
) -> "Table":
    """The pictures of WikiArt's listings, one after the other, as one table."""
    from impasto.fetching import list_wikiart

    notes: list[str] = []
    for listing in listings:
        with _progress("artists listed" if listing == "all" else "pages listed") as tell:
            table = list_wikiart(listing, folder, options, pages, tell=tell)
        notes += table.notes
    table.notes = notes
    return table


def _pictures(table: "Table", folder: Path, options: "PictureOptions") -> tuple[list[str], bool]:
    """What came of it, in words, and whether any failed."""
    from impasto.fetching import fetch_table

    with _progress("pictures") as tell:
        report = fetch_table(table, folder, options, tell=tell)
    return _of_pictures(report, folder), bool(report.failed)


@contextlib.contextmanager
def _progress(what: str, unit: int = 1) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is, from when it is known how much there is."""
    from impasto.progress import ProgressLine

    with contextlib.ExitStack() as stack:
        line: ProgressLine | None = None
        shown = -1

        def tell(done: int, total: int) -> None:
            nonlocal line, shown
            done, total = done // unit, -(-total // unit)
            if total > 1 and line is None:
                line = stack.enter_context(ProgressLine(total, done, what).shown())
            if line is not None and done != shown:
                shown = done
                line.update(done)

        yield tell


def _of_files(report: "FilesReport", folder: Path) -> list[str]:
    there = len(report.names) - report.fetched - report.cached
    parts = [f"{report.fetched:,} fetched ({report.bytes / 1e6:,.1f} MB)"]
    parts += [f"{report.cached:,} from the hub's cache"] if report.cached else []
    parts += [f"{there:,} there before"] if there else []
    lines = [
        f"{counted(len(report.names), 'file')} in {quoted(folder)}: {', '.join(parts)}, "
        f"in {readable_time(report.seconds)}"
    ]
    return lines + [f"note: {note}" for note in report.notes]


def _of_pictures(report: "PicturesReport", folder: Path) -> list[str]:
    """What is there, in words.

    Raises:
        ImpastoError: nothing is.
    """
    from impasto.errors import ImpastoError

    reasons = report.reasons()
    if not report.there:
        raise ImpastoError(
            f"none of {counted(report.wanted, 'picture')} could be fetched, most for: "
            f"{next(iter(reasons))}; all are listed in {folder / 'failed.csv'}"
        )
    lines = [
        f"{report.there:,} of {counted(report.wanted, 'picture')} are in {quoted(folder)}: "
        f"{report.fetched:,} fetched ({report.bytes / 1e6:,.1f} MB), "
        f"in {readable_time(report.seconds)}"
    ]
    if report.failed:
        lines.append(f"failed: {len(report.failed):,}, listed in {folder / 'failed.csv'}")
        lines += [f"  {count:,} {reason}" for reason, count in list(reasons.items())[:_REASONS]]
        if len(reasons) > _REASONS:
            lines.append(f"  {sum(list(reasons.values())[_REASONS:]):,} for other reasons")
        lines.append("  running it again tries them again")
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"make a collection of them: impasto pack {quoted(folder)} COLLECTION")
    return lines
