"""`impasto fetch`: files of a hub repository, a file by its address, or pictures by a table of URLs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.formatting import counted, quoted, readable_time

if TYPE_CHECKING:
    from impasto.fetching.file import FilesReport
    from impasto.fetching.table import PicturesReport

_REASONS = 10
"""Most reasons of failures that are printed."""


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
            show_default="100 for a picture, no limit for a file",
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

    Given again, the same command goes on where it stopped.

    Whether a site's terms and a picture's licence allow your use is for you to check. impasto keeps
    the licence beside each picture, 'unknown' where none is stated. Files of the hub need the package
    huggingface_hub (pip install 'impasto[hub]'), whose environment variables apply, such as HF_TOKEN
    and HF_HOME. IMPASTO_OFFLINE and the proxy variables apply to every source.

    The exit code is 0 if all that was asked for is there, 1 if some pictures failed, 2 if all did or
    nothing could be done.
    """
    from impasto.api.fetching import fetch
    from impasto.errors import StoppedError
    from impasto.fetching.table import PicturesReport

    try:
        report = fetch(
            sources,
            destination,
            only=only or (),
            sha256=sha256,
            rate=rate,
            per_host=per_host,
            retries=retries,
            timeout=timeout,
            max_mb=max_mb,
            contact=contact,
            licence=licence,
            pages=pages,
            refresh=refresh,
            robots=not no_robots,
        )
    except KeyboardInterrupt as stop:
        raise StoppedError("stopped; run it again to go on") from stop
    if isinstance(report, PicturesReport):
        lines, failed = _of_pictures(report, destination), bool(report.failed)
    else:
        lines, failed = _of_files(report, destination), False
    for line in lines:
        typer.echo(line)
    if failed:
        raise typer.Exit(1)


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
    """The result as text.

    Raises:
        ImpastoError: no picture is there.
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
