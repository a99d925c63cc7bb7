"""Files of a repository on the Hugging Face hub, or on a mirror of it.

What is asked of the hub: `GET /api/datasets/NAME/revision/REV` names the commit (`sha`), and
`GET /api/datasets/NAME/tree/COMMIT/FOLDER?recursive=true` lists files, with `size`, git's `oid` and,
for large files, the SHA-256 as `lfs.oid`; a `Link` header with rel="next" leads to more of a long
list. `/datasets/NAME/resolve/COMMIT/PATH` is the file, mostly by a redirect to another host. The
names are those of the hub's own client (huggingface_hub), as is the layout of its cache:
`datasets--OWNER--NAME/` with `refs/REV` (a commit), `snapshots/COMMIT/PATH`, and `blobs/` named by
SHA-256 or by git's oid.

Environment: HF_ENDPOINT (a mirror), HF_TOKEN (sent to that very host only), HF_HOME and HF_HUB_CACHE
(the cache), HF_HUB_OFFLINE or IMPASTO_OFFLINE (no network).
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from impasto.errors import ImpastoError, choices
from impasto.fetching.client import Client, FetchError, origin_of, switched_off
from impasto.fetching.download import Download, what_is_wrong
from impasto.fetching.file import FilesReport, fetch_whole, part_of
from impasto.fetching.folder import RECORD, Record, fetching_into
from impasto.fetching.politeness import Politeness
from impasto.files import write_error

_HOMES = ("https://huggingface.co:443", "https://www.huggingface.co:443", "https://hf.co:443")
_LISTING_BYTES = 100_000_000
_REVISION = r"(refs/(?:convert|pr)/[^/]+|[^/]+)"
_SHORT = re.compile(rf"(?:(datasets|models|spaces)/)?([^/@]+/[^/@]+)(?:@{_REVISION})?(?:/(.*))?")
_LONG = re.compile(
    rf"/(?:(datasets|spaces)/)?([^/]+/[^/]+)(?:/(?:tree|blob|resolve|raw)/{_REVISION}(?:/(.*))?)?/?"
)
_NO_OWNERS = ("api", "blog", "collections", "datasets", "docs", "models", "papers", "spaces")


@dataclass(frozen=True)
class Repository:
    """A repository at a revision, and which of its files are meant."""

    kind: str
    """`datasets`, `models` or `spaces`."""
    name: str
    """`owner/name`."""
    revision: str = "main"
    path: str = ""
    """A file, a folder, or a pattern; empty for all."""

    @property
    def api(self) -> str:
        return f"{endpoint()}/api/{self.kind}/{self.name}"

    def file_url(self, commit: str, path: str) -> str:
        kind = "" if self.kind == "models" else f"{self.kind}/"
        return f"{endpoint()}/{kind}{self.name}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}@{self.revision}"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


def endpoint() -> str:
    """The hub's address, or that of a mirror."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


def is_repository(source: str) -> bool:
    """Whether this stands for a repository on the hub, not for any other address."""
    return _parsed(source) is not None


def _parsed(source: str) -> Repository | None:
    if source.startswith("hf:"):
        found = _SHORT.fullmatch(source.removeprefix("hf:").lstrip("/"))
        if not found:
            return None
        kind, name, revision, path = found.groups()
        if name.partition("/")[0] in _NO_OWNERS:
            return None
        revision = unquote(revision or "")
    else:
        try:
            known = origin_of(source) in (*_HOMES, origin_of(endpoint()))
        except ValueError:
            return None
        # In an address, a slash within a revision is written %2F; it is decoded only afterwards.
        found = _LONG.fullmatch(urlsplit(source).path) if known else None
        if not found or found[2].partition("/")[0] in _NO_OWNERS:
            return None
        kind, name, revision, path = (unquote(part) if part else part for part in found.groups())
    return Repository(kind or "models", name, revision or "main", (path or "").strip("/"))


def fetch_repository(
    source: str,
    folder: Path,
    only: Sequence[str] = (),
    client: Client | None = None,
    politeness: Politeness | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> FilesReport:
    """Fetch a repository's files into `folder`, under their paths; go on where it was broken off.

    Files that are there, or in the hub's cache on this machine, are checked and not fetched again.
    All are of one commit, whatever happens to the repository meanwhile.

    Args:
        source: `hf:datasets/OWNER/NAME[@REVISION][/PATH]`, or an address on the hub.
        only: patterns such as `*.parquet`, of paths or names; none for all files.
        tell: is told of bytes there and of all there will be.

    Raises:
        ImpastoError: no such repository, nothing chosen, a file cannot be had, no room, ...
        StoppedError: Ctrl-C; what arrived is kept.
    """
    repository = _parsed(source)
    if repository is None:
        raise ImpastoError(
            f"'{source}' is no repository; write hf:datasets/OWNER/NAME, and @REVISION or /PATH "
            "after it if you like"
        )
    began = time.monotonic()
    politeness = politeness or Politeness()
    client = client or Client()
    token = os.environ.get("HF_TOKEN", "").strip()
    client.secret = (origin_of(endpoint()), f"Bearer {token}") if token else None
    client.before = politeness.wait
    with fetching_into(folder):
        record = Record(folder)
        try:
            if switch := switched_off("HF_HUB_OFFLINE", "IMPASTO_OFFLINE"):
                report = _offline(repository, folder, only, record, switch)
            else:
                asked = _Asked(repository, client, politeness)
                report = _online(asked, folder, only, record, tell)
        finally:
            record.save()
    report.seconds = time.monotonic() - began
    return report


@dataclass
class _Asked:
    """A repository and how it is asked for."""

    repository: Repository
    client: Client
    politeness: Politeness

    def json(self, url: str) -> tuple[Any, str | None]:
        """What the hub answers, and the address of more.

        Raises:
            ImpastoError: there is no such repository for us, or no answer.
        """
        try:
            answer, body = self.politeness.persist(
                url, lambda: self.client.text(url, _LISTING_BYTES)
            )
            more = re.search(r'<([^>]*)>\s*;\s*rel="?next"?', answer.headers.get("Link", ""))
            return json.loads(body), more[1] if more else None
        except FetchError as error:
            if error.status in (401, 403, 404):
                raise ImpastoError(
                    f"{endpoint()} gives no {self.repository} ({error.status}): a wrong name, "
                    "revision or path, or a private or gated repository that needs HF_TOKEN to be set"
                ) from error
            raise ImpastoError(f"cannot ask {url}: {error}; try again later") from error
        except (ValueError, RecursionError) as error:
            raise ImpastoError(f"{url} did not answer in JSON; is HF_ENDPOINT right?") from error

    def commit(self) -> str:
        revision = quote(self.repository.revision, safe="")
        told = self.json(f"{self.repository.api}/revision/{revision}")[0]
        commit = told.get("sha") if isinstance(told, dict) else None
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            raise ImpastoError(f"{endpoint()} names no commit of {self.repository}; try later")
        return commit

    def files(self, commit: str) -> list[HubFile]:
        """The files below the deepest folder that holds all that is asked for."""
        plain = re.split(r"[*?\[]", self.repository.path)[0]
        above = plain.rpartition("/")[0]
        place = f"/{quote(above)}" if above else ""
        url: str | None = f"{self.repository.api}/tree/{commit}{place}?recursive=true"
        files: list[HubFile] = []
        seen: set[str] = set()
        while url and url not in seen:
            seen.add(url)
            told, more = self.json(url)
            if not isinstance(told, list):
                raise ImpastoError(f"{url} did not answer with a list; is HF_ENDPOINT right?")
            files += [_file(item) for item in told if _is_file(item)]
            # A mirror may pass on the hub's own address; we stay with the mirror.
            parts = urlsplit(more or "")
            url = f"{endpoint()}{parts.path}?{parts.query}" if more else None
        return files


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "file"


def _file(item: dict[str, Any]) -> HubFile:
    """A file of the hub's listing.

    Raises:
        ImpastoError: the listing is damaged, or a path would lead out of the folder.
    """
    path, large = item.get("path"), item.get("lfs")
    size = large.get("size", item.get("size")) if isinstance(large, dict) else item.get("size")
    if not isinstance(path, str) or not isinstance(size, int) or not _is_safe(path):
        raise ImpastoError(f"{endpoint()} lists a file that cannot be: {str(path)!r}")
    if isinstance(large, dict):
        digest = str(large.get("oid", "")).removeprefix("sha256:")
        return HubFile(path, size, sha256=digest if len(digest) == 64 else None)
    oid = str(item.get("oid", ""))
    return HubFile(path, size, git_sha1=oid if len(oid) == 40 else None)


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or part != part.strip() for part in parts)
    return not odd and not re.search(r'[\\:*?"<>|\x00-\x1f]', path) and path != RECORD


def _chosen(repository: Repository, paths: Iterable[str], only: Sequence[str]) -> set[str]:
    """Those of the paths that are asked for.

    Raises:
        ImpastoError: none is.
    """
    wanted = repository.path
    below = [
        path
        for path in paths
        if not wanted
        or path == wanted
        or path.startswith(f"{wanted}/")
        or fnmatchcase(path, wanted)
    ]
    chosen = {
        path
        for path in below
        if not only
        or any(fnmatchcase(path, o) or fnmatchcase(PurePosixPath(path).name, o) for o in only)
    }
    if not chosen:
        what = " and ".join(filter(None, [wanted, *only])) or "no pattern"
        kinds = {f"*{PurePosixPath(path).suffix}" for path in below or paths}
        raise ImpastoError(f"no file of {repository} fits {what}; there is {choices(list(kinds))}")
    return chosen


def _online(
    asked: _Asked,
    folder: Path,
    only: Sequence[str],
    record: Record,
    tell: Callable[[int, int], None],
) -> FilesReport:
    repository, report = asked.repository, FilesReport()
    commit = asked.commit()
    listed = asked.files(commit)
    chosen = _chosen(repository, [file.path for file in listed], only)
    files = [file for file in listed if file.path in chosen]
    there = {file.path for file in files if _is_there(file, folder, record)}
    missing = [file for file in files if file.path not in there]
    for file in files:
        if file.path in there and file.path not in record.files:
            url = repository.file_url(commit, file.path)
            record.add(file.path, url, file.size, file.sha256, file.git_sha1)
    total = sum(file.size for file in files)
    room = shutil.disk_usage(folder).free
    needed = sum(file.size for file in missing)
    if needed > room:
        raise ImpastoError(
            f"{repository} takes {needed / 1e9:.1f} GB more in {folder}, where {room / 1e9:.1f} GB "
            "are free; choose fewer files with --only, or another folder"
        )
    done = total - needed
    for file in missing:
        path, url = folder / file.path, repository.file_url(commit, file.path)
        blob = file.sha256 or file.git_sha1 or "?"
        places = [_cache(repository) / "blobs" / blob, _snapshot(repository, commit) / file.path]
        if _from_cache(file, places, path):
            report.cached += 1
        else:

            def tell_all(count: int, _: int, before: int = done) -> None:
                tell(before + count, total)

            download = Download(
                url,
                part_of(path),
                size=file.size,
                sha256=file.sha256,
                git_sha1=file.git_sha1,
                tell=tell_all,
            )
            fetch_whole(download, path, asked.client, asked.politeness)
            report.fetched += 1
            report.bytes += file.size
        done += file.size
        record.add(file.path, url, file.size, file.sha256, file.git_sha1)
        tell(done, total)
    report.names = [file.path for file in files]
    report.notes.append(f"{repository} is commit {commit}")
    return report


def _is_there(file: HubFile, folder: Path, record: Record) -> bool:
    """Whether a file is in the folder and whole; one that the record knows is not read again.

    Raises:
        ImpastoError: another file is in its way.
    """
    path, entry = folder / file.path, record.files.get(file.path)
    if not path.exists():
        return False
    if entry is not None:
        same = (entry.get("sha256"), entry.get("git_sha1")) == (file.sha256, file.git_sha1)
        return same and not what_is_wrong(path, file.size)
    wrong = what_is_wrong(path, file.size, file.sha256, file.git_sha1)
    if wrong:
        raise ImpastoError(f"{path} is another file ({wrong}); remove it, or choose another folder")
    return True


def _offline(
    repository: Repository, folder: Path, only: Sequence[str], record: Record, switch: str
) -> FilesReport:
    """Take what the hub's cache on this machine has, or find it in the folder already.

    Raises:
        ImpastoError: neither has anything of the repository.
    """
    snapshot = _snapshot(repository, _cached_commit(repository))
    paths = [p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if p.is_file()]
    report = FilesReport(notes=[f"{switch} is set: the hub may have more or newer files"])
    if paths:
        for name in sorted(_chosen(repository, paths, only)):
            source = (snapshot / name).resolve()
            blob = source.name
            file = HubFile(
                name,
                source.stat().st_size,
                sha256=blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None,
                git_sha1=blob if re.fullmatch(r"[0-9a-f]{40}", blob) else None,
            )
            if not _is_there(file, folder, record):
                if not _from_cache(file, [source], folder / name):
                    raise ImpastoError(f"{source} is damaged; fetch it again with {switch} unset")
                report.cached += 1
            url = repository.file_url(snapshot.name, name)
            record.add(name, url, file.size, file.sha256, file.git_sha1)
            report.names.append(name)
        return report
    start = repository.file_url("", "").rstrip("/")
    whole = [
        name
        for name, entry in record.files.items()
        if str(entry.get("url", "")).startswith(f"{start}/")
        and (folder / name).is_file()
        and not what_is_wrong(folder / name, entry.get("bytes"))
    ]
    if not whole:
        raise ImpastoError(
            f"{switch} is set, and {repository} is neither in {folder} nor in the hub's cache "
            f"({_cache(repository).parent}); unset it to fetch"
        )
    report.names = sorted(_chosen(repository, whole, only))
    return report


def _cache(repository: Repository) -> Path:
    """Its folder in the cache of the hub's own client."""
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = os.environ.get("HF_HOME") or Path(shared, "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    name = "--".join([repository.kind, *repository.name.split("/")])
    return Path(cache or Path(home, "hub")).expanduser() / name


def _cached_commit(repository: Repository) -> str:
    with contextlib.suppress(OSError, ValueError):
        told = (_cache(repository) / "refs" / repository.revision).read_text(encoding="utf-8")
        if re.fullmatch(r"[0-9a-f]+", told.strip()):
            return told.strip()
    return repository.revision


def _snapshot(repository: Repository, commit: str) -> Path:
    return _cache(repository) / "snapshots" / commit


def _from_cache(file: HubFile, places: Iterable[Path], path: Path) -> bool:
    """Take a file from the first place that has it whole: as a second name of it where the file
    system can do that, else as a copy; False if none has."""
    for place in places:
        if not place.is_file() or what_is_wrong(place, file.size, file.sha256, file.git_sha1):
            continue
        part = part_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            try:
                os.link(place.resolve(), part)
            except OSError:
                shutil.copyfile(place, part)
            part.replace(path)
        except OSError as error:
            raise write_error(error, path) from error
        return True
    return False
