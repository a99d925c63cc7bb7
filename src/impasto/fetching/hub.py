"""Fetch files of a Hugging Face hub repository into a folder.

The package huggingface_hub (`hub_client.py`) fetches them into its cache. This module links them into
the folder and records them. The package is imported only when needed.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError, StoppedError
from impasto.fetching.client import origin_of, switched_off
from impasto.fetching.download import difference
from impasto.fetching.file import FilesReport, part_of
from impasto.fetching.folder import FetchedFiles, fetching_into
from impasto.fetching.politeness import Politeness
from impasto.files import write_error

if TYPE_CHECKING:
    from impasto.fetching.hub_client import Hub, HubFile

SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "IMPASTO_OFFLINE")
"""Environment variables, each of which switches requests to the hub off."""
_HOMES = ("https://huggingface.co:443", "https://www.huggingface.co:443", "https://hf.co:443")


def endpoint() -> str:
    """The address of the hub, or of the mirror in HF_ENDPOINT, without a slash at the end."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


def is_repository(source: str) -> bool:
    """Whether `source` names a repository on the hub.

    Raises:
        ImpastoError: it does, and huggingface_hub is not installed.
    """
    return _is_on_hub(source) and client_of(source) is not None


def fetch_repository(
    source: str,
    folder: Path,
    only: Sequence[str] = (),
    politeness: Politeness | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> FilesReport:
    """Fetch a repository's files into `folder`, under their paths. An interrupted fetch is continued.

    Files in the folder or huggingface_hub's cache are checked and not fetched again. All files are
    of one commit. Files are hard links to the cache if the file system has them, so they take no
    extra disk space.

    Args:
        source: `hf:datasets/OWNER/NAME[@REVISION][/PATH]`, or an address on the hub.
        folder: made if it does not exist.
        only: patterns of paths or names, such as `*.parquet`; empty: all files.
        politeness: retries and pauses. None: 5 retries.
        tell: called with the bytes received and the total.

    Raises:
        ImpastoError: the repository is unknown, nothing matches, a file cannot be fetched, the disk
            is full, ...
        StoppedError: Ctrl-C; complete files are kept.
    """
    hub = client_of(source, politeness) if _is_on_hub(source) else None
    if hub is None:
        raise ImpastoError(
            f"'{source}' is no repository; write hf:datasets/OWNER/NAME, and @REVISION or /PATH "
            "after it if you like"
        )
    began = time.monotonic()
    with fetching_into(folder), hub.quiet():
        record = FetchedFiles(folder)
        try:
            if switch := switched_off(*SWITCHES):
                report = _offline(hub, folder, only, record, switch)
            else:
                report = _online(hub, folder, only, record, tell)
        except KeyboardInterrupt as stop:
            raise StoppedError("stopped; whole files are kept, run it again to go on") from stop
        finally:
            record.save()
    report.seconds = time.monotonic() - began
    return report


def _is_on_hub(source: str) -> bool:
    try:
        return source.startswith("hf:") or origin_of(source) in (*_HOMES, origin_of(endpoint()))
    except ValueError:
        return False


def client_of(source: str, politeness: Politeness | None = None) -> "Hub | None":
    """The repository that `source` names; None if it names none.

    Raises:
        ImpastoError: huggingface_hub is not installed.
    """
    needed_package()
    from impasto.fetching.hub_client import open_hub

    return open_hub(source, endpoint(), politeness or Politeness())


def needed_package() -> None:
    """Check that huggingface_hub is installed.

    Raises:
        ImpastoError: it is not.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise ImpastoError(
            "files of the hub take huggingface_hub: pip install 'impasto[hub]'"
        ) from error


def _online(
    hub: "Hub",
    folder: Path,
    only: Sequence[str],
    record: FetchedFiles,
    tell: Callable[[int, int], None],
) -> FilesReport:
    report, commit = FilesReport(), hub.commit()
    files = hub.chosen(hub.files(commit), only)
    missing = {file.path: file for file in files if not _is_there(file, folder, record)}
    uncached = [file for file in missing.values() if not hub.is_cached(file, commit)]
    check_room(hub, folder, missing.values())
    check_room(hub, hub.cache, uncached)
    total, done = sum(file.size for file in files), 0
    for file in files:
        if file.path in missing:

            def tell_all(count: int, before: int = done) -> None:
                tell(before + count, total)

            path, was_cached = hub.fetch(file, commit, tell_all)
            _place(path, folder / file.path)
            report.cached += was_cached
            report.fetched += not was_cached
            report.bytes += 0 if was_cached else file.size
        if file.path in missing or file.path not in record.files:
            _note(record, hub.url(commit, file.path), file)
        done += file.size
        tell(done, total)
    report.names = [file.path for file in files]
    report.notes.append(f"{hub} is commit {commit}")
    return report


def _offline(
    hub: "Hub", folder: Path, only: Sequence[str], record: FetchedFiles, switch: str
) -> FilesReport:
    """Use the files in the cache, or those in the folder already.

    Raises:
        ImpastoError: neither has files of the repository.
    """
    report = FilesReport(notes=[f"{switch} is set: the hub may have more or newer files"])
    snapshot, files = hub.snapshot()
    for file in hub.chosen(files, only) if files else []:
        path = snapshot / file.path
        if not _is_there(file, folder, record):
            if file.difference(path):
                raise ImpastoError(f"{path} is damaged; fetch it again with {switch} unset")
            _place(path, folder / file.path)
            report.cached += 1
        _note(record, hub.url(snapshot.name, file.path), file)
        report.names.append(file.path)
    if files:
        return report
    whole = [
        name
        for name, entry in record.files.items()
        if str(entry.get("url", "")).startswith(f"{hub.page}/resolve/")
        and (folder / name).is_file()
        and not difference(folder / name, entry.get("bytes"))
    ]
    if not whole:
        raise ImpastoError(
            f"{switch} is set, and {hub} is neither in {folder} nor in the hub's cache "
            f"({hub.cache}); unset it to fetch"
        )
    report.names = sorted(hub.chosen_paths(whole, only))
    return report


def _is_there(file: "HubFile", folder: Path, record: FetchedFiles) -> bool:
    """Whether a file is complete in the folder. Of a recorded file only the length is checked.

    Raises:
        ImpastoError: another file has its path.
    """
    path, entry = folder / file.path, record.files.get(file.path)
    if not path.exists():
        return False
    if entry is not None:
        same = (entry.get("sha256"), entry.get("git_sha1")) == (file.sha256, file.git_sha1)
        return same and not difference(path, file.size)
    wrong = file.difference(path)
    if wrong:
        raise ImpastoError(f"{path} is another file ({wrong}); remove it, or choose another folder")
    return True


def _note(record: FetchedFiles, url: str, file: "HubFile") -> None:
    record.add(file.path, url, file.size, file.sha256, file.git_sha1)


def check_room(hub: "Hub", folder: Path, files: Iterable["HubFile"]) -> None:
    """Check that there is enough disk space for files in a folder.

    Raises:
        ImpastoError: there is not.
    """
    needed = sum(file.size for file in files)
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    room = shutil.disk_usage(existing).free
    if needed > room:
        raise ImpastoError(
            f"{hub} takes {needed / 1e9:.1f} GB more in {folder}, where {room / 1e9:.1f} GB are "
            "free; choose fewer files with --only, another folder, or another cache with HF_HUB_CACHE"
        )


def _place(cached: Path, path: Path) -> None:
    """Put a file from the cache into the folder, as a hard link if the file system can, else as a
    copy.

    Raises:
        ImpastoError: it cannot be written.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            os.link(cached.resolve(), part)
        except OSError:
            shutil.copyfile(cached, part)
        part.replace(path)
    except OSError as error:
        raise write_error(error, path) from error
