"""The Hugging Face hub through its own client, the package huggingface_hub (the extra `hub`).

huggingface_hub fetches files into its cache (over Xet where the hub uses it), resumes them, parses
addresses, and handles tokens and mirrors. Its environment variables apply: HF_TOKEN, HF_ENDPOINT,
HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT and the others.

This module adds three things. Pages of a listing are requested at the hub's own address only,
because `huggingface_hub.list_repo_tree` sends the token to any host that a page names as the next.
Every file is compared with its hash in the listing, because huggingface_hub compares only sizes
over HTTP. Responses such as 503, at which huggingface_hub stops, are retried.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2  # huggingface_hub's HTTP client, whose errors pass through
from huggingface_hub import (
    HfUri,
    constants,
    hf_hub_download,
    hf_hub_url,
    parse_hf_uri,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HfUriError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import (
    build_hf_headers,
    filter_repo_objects,
    get_session,
    hf_raise_for_status,
    logging,
)

from impasto import __version__
from impasto.errors import ImpastoError, choices
from impasto.fetching.client import FetchError, refusal
from impasto.fetching.download import difference
from impasto.fetching.folder import RECORD
from impasto.fetching.politeness import Politeness
from impasto.files import write_error, write_text
from impasto.formatting import error_text

_NO_OWNERS = ("api", "blog", "collections", "docs", "papers")
"""Pages of the hub's site whose addresses look like a model's."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    def difference(self, path: Path) -> str:
        """How the file at `path` differs from this file's record; empty if it does not."""
        return difference(path, self.size, self.sha256, self.git_sha1)


def open_hub(source: str, endpoint: str, politeness: Politeness) -> "Hub | None":
    """The repository that `source` names at the hub's address `endpoint`; None if it names none."""
    uri = f"hf://{source.removeprefix('hf:').lstrip('/')}" if source.startswith("hf:") else source
    try:
        parsed = parse_hf_uri(uri, endpoint)
    except HfUriError:
        return None
    known = parsed.type in ("model", "dataset", "space")
    if not known or parsed.id.partition("/")[0] in _NO_OWNERS:
        return None
    return Hub(parsed, endpoint, politeness)


class Hub:
    """A repository at a revision, and the files named in it."""

    def __init__(self, uri: HfUri, endpoint: str, politeness: Politeness) -> None:
        self._endpoint, self._politeness = endpoint, politeness
        self.revision, self._path = uri.revision or constants.DEFAULT_REVISION, uri.path_in_repo
        self._kind, self._name = uri.type, uri.id
        self.page = f"{endpoint}/{'' if uri.type == 'model' else f'{uri.type}s/'}{uri.id}"
        self.cache = Path(constants.HF_HUB_CACHE)

    def __str__(self) -> str:
        return f"{self._kind}s/{self._name}@{self.revision}"

    @property
    def is_model(self) -> bool:
        """Whether it is a model repository, without a path in it."""
        return self._kind == "model" and not self._path

    def url(self, commit: str, path: str) -> str:
        """The address of a file at a commit."""
        return hf_hub_url(
            self._name, path, repo_type=self._kind, revision=commit, endpoint=self._endpoint
        )

    def commit(self) -> str:
        """The commit of the revision.

        Raises:
            ImpastoError: the repository does not exist or is private, or the hub does not answer.
        """
        answer = self._ask(f"revision/{quote(self.revision, safe='')}")[0]
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise ImpastoError(f"{self._endpoint} names no commit of {self}; try later")
        return commit

    def files(self, commit: str) -> list[HubFile]:
        """The files below the deepest folder that holds all named files.

        Raises:
            ImpastoError: the hub does not answer, or the listing is damaged.
        """
        above = re.split(r"[*?\[]", self._path)[0].rpartition("/")[0]
        place = f"tree/{commit}{f'/{quote(above)}' if above else ''}"
        query, seen, files = "recursive=true", set[str](), list[HubFile]()
        while query not in seen:
            seen.add(query)
            items, more = self._ask(f"{place}?{query}")
            if not isinstance(items, list):
                raise ImpastoError(f"{self._endpoint} lists no files; is HF_ENDPOINT right?")
            files += [self._file(item) for item in items if _is_file(item)]
            # Only the cursor is used, because a mirror may pass on the hub's own address.
            query = urlsplit(more).query if more else query
        return files

    def chosen(self, files: Sequence[HubFile], only: Sequence[str]) -> list[HubFile]:
        """The named files that match a pattern in `only`, by path or name.

        Raises:
            ImpastoError: there are none.
        """
        paths = set(self.chosen_paths([file.path for file in files], only))
        return [file for file in files if file.path in paths]

    def chosen_paths(self, paths: Sequence[str], only: Sequence[str]) -> list[str]:
        """As `chosen`, for paths."""
        inside = [self._path, f"{self._path}/*"] if self._path else None
        below = list(filter_repo_objects(paths, allow_patterns=inside))
        patterns = [pattern for name in only for pattern in (name, f"*/{name}")] or None
        chosen = list(filter_repo_objects(below, allow_patterns=patterns))
        if not chosen:
            what = " and ".join(filter(None, [self._path, *only])) or "no pattern"
            kinds = {f"*{PurePosixPath(path).suffix}" for path in below or paths}
            raise ImpastoError(f"no file of {self} fits {what}; there is {choices(list(kinds))}")
        return chosen

    def is_cached(self, file: HubFile, commit: str) -> bool:
        """Whether the cache has the file."""
        found = try_to_load_from_cache(
            self._name, file.path, repo_type=self._kind, revision=commit, cache_dir=self.cache
        )
        return isinstance(found, str)

    def fetch(self, file: HubFile, commit: str, tell: Callable[[int], None]) -> tuple[Path, bool]:
        """Fetch a file into the cache unless it is there; returns its path, and whether it was there.

        Args:
            file: from the listing.
            commit: of the listing.
            tell: called with the bytes received.

        Raises:
            ImpastoError: it cannot be fetched, differs from the listing, or cannot be written.
        """
        url, bar = self.url(commit, file.path), _bar(tell, file.size)

        def attempt() -> tuple[Path, bool]:
            self._politeness.wait(url)
            bar.arrived = False
            try:
                path = hf_hub_download(
                    self._name,
                    file.path,
                    repo_type=self._kind,
                    revision=commit,
                    endpoint=self._endpoint,
                    cache_dir=self.cache,
                    tqdm_class=bar,
                    library_name="impasto",
                    library_version=__version__,
                )
            except Exception as error:  # Xet's code raises other errors
                raise self._failure(error) from error
            if wrong := file.difference(Path(path)):
                Path(path).resolve().unlink()  # a damaged file must not stay in the cache
                raise FetchError(wrong, again=not bar.arrived)
            return Path(path), not bar.arrived and file.size > 0

        try:
            return self._politeness.with_retries(url, attempt)
        except FetchError as error:
            raise ImpastoError(f"cannot fetch {url}: {error}; run it again to go on") from error

    def remember(self, folder: Path) -> None:
        """Record in the cache that the revision is the commit of this snapshot folder. huggingface_hub
        does so only for files that it fetches by branch or tag.

        Raises:
            ImpastoError: it cannot be written.
        """
        if self.revision != folder.name and _is_safe(self.revision):
            write_text(folder.parent.parent / "refs" / self.revision, folder.name)

    def snapshot(self) -> tuple[Path, list[HubFile]]:
        """The cache's folder of the revision, and the files in it; no files if it has none."""
        try:
            found = snapshot_download(
                self._name,
                repo_type=self._kind,
                revision=self.revision,
                cache_dir=self.cache,
                local_files_only=True,
            )
            folder = Path(found)
        except IncompleteSnapshotError as error:
            folder = Path(error.snapshot_path)
        except LocalEntryNotFoundError:
            return Path(), []
        files = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            # A file is a link to a file named by its hash.
            digest = path.resolve().name
            sha256 = digest if re.fullmatch(r"[0-9a-f]{64}", digest) else None
            git_sha1 = digest if re.fullmatch(r"[0-9a-f]{40}", digest) else None
            name = path.relative_to(folder).as_posix()
            files.append(HubFile(name, path.stat().st_size, sha256, git_sha1))
        return folder, files

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep huggingface_hub's warnings off the terminal."""
        before = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(before)

    def _ask(self, what: str) -> tuple[Any, str | None]:
        """The hub's JSON response about the repository, and the address of its next page, if any.

        Raises:
            ImpastoError: the repository does not exist or is private, or the hub does not answer.
        """
        url = f"{self._endpoint}/api/{self._kind}s/{self._name}/{what}"

        def attempt() -> httpx2.Response:
            self._politeness.wait(url)
            try:
                headers = build_hf_headers(library_name="impasto", library_version=__version__)
                timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
                response = get_session().get(url, headers=headers, timeout=timeout)
                hf_raise_for_status(response)
            except Exception as error:
                raise self._failure(error) from error
            return response

        try:
            response = self._politeness.with_retries(url, attempt)
        except FetchError as error:
            raise ImpastoError(f"cannot ask {url}: {error}; try again later") from error
        try:
            return response.json(), response.links.get("next", {}).get("url")
        except (ValueError, RecursionError) as error:
            raise ImpastoError(f"{url} did not answer in JSON; is HF_ENDPOINT right?") from error

    def _failure(self, error: Exception) -> Exception:
        """Convert an error of huggingface_hub: to a FetchError, or to an ImpastoError if a retry
        cannot help."""
        if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
            failure = self._failure(error.__cause__)
            if isinstance(failure, FetchError):
                failure.again = False  # huggingface_hub has retried already
            return failure
        if isinstance(error, FetchError):
            return error
        if isinstance(error, GatedRepoError):
            return ImpastoError(
                f"{self} is gated: ask for access on {self.page}, then set HF_TOKEN or log in "
                "with `hf auth login`"
            )
        if isinstance(error, HfHubHTTPError):
            status = error.response.status_code
            if status not in (401, 403, 404):
                return refusal(status, error.response.headers.get("Retry-After"))
            return ImpastoError(
                f"{self._endpoint} gives no {self} ({status}): a wrong name, revision or path, or "
                "a private or gated repository that needs HF_TOKEN to be set"
            )
        if isinstance(error, httpx2.TimeoutException):
            return FetchError("no answer in time", again=True, host=True)
        text = error_text(error)
        if isinstance(error, httpx2.TransportError):
            return FetchError(f"no connection ({text})", again=True, host=True)
        if isinstance(error, OSError) and error.errno:
            return write_error(error, self.cache)
        # huggingface_hub raises an OSError without errno if fewer bytes came than expected.
        return FetchError(text, again=isinstance(error, OSError))

    def _file(self, item: dict[str, Any]) -> HubFile:
        """A file of the hub's listing.

        Raises:
            ImpastoError: the listing is damaged, or a path leads out of the folder.
        """
        path, large = item.get("path"), item.get("lfs")
        size = large.get("size", item.get("size")) if isinstance(large, dict) else item.get("size")
        if not isinstance(path, str) or not isinstance(size, int) or not _is_safe(path):
            raise ImpastoError(f"{self._endpoint} lists a file that cannot be: {str(path)!r}")
        if isinstance(large, dict):
            digest = str(large.get("oid", "")).removeprefix("sha256:")
            return HubFile(path, size, sha256=digest if len(digest) == 64 else None)
        oid = str(item.get("oid", ""))
        return HubFile(path, size, git_sha1=oid if len(oid) == 40 else None)


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "file"


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or part != part.strip() for part in parts)
    return not odd and not re.search(r'[\\:*?"<>|\x00-\x1f]', path) and path != RECORD


def _bar(tell: Callable[[int], None], size: int) -> Any:
    """A stand-in for tqdm's progress bar, for one file of this size.

    It raises FetchError if more bytes come, which might otherwise fill the disk.
    """

    class Bar:
        arrived = False
        """Whether any bytes were fetched."""

        def __init__(self, initial: int = 0, **_: object) -> None:
            self.n, type(self).arrived = initial, True

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...

        def close(self) -> None: ...

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            if self.n > size:
                raise FetchError(f"more than the {size:,} bytes of the hub's listing came")
            tell(self.n)

        # Xet counts transferred bytes separately from the file's.
        def update_transfer(self, count: float | None = 1) -> None: ...

        def set_postfix_str(self, *_: object, **__: object) -> None: ...

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None: ...

    return Bar
