"""Object stores and the Hugging Face hub, through fsspec.

Credentials, endpoints and other options come from each package's own sources: environment
variables, files in the home folder, and `FSSPEC_S3` and the like.
"""

import errno
from collections.abc import Callable, Iterator
from typing import Any

from impasto.errors import ImpastoError
from impasto.formatting import error_text
from impasto.messages import say
from impasto.sources.remote.store import (
    SILENCE,
    Info,
    RemoteError,
    Store,
    refusal,
    seconds_for,
)

_PACKAGES = {"s3": "'impasto[remote]'", "hf": "'impasto[hub]'", "gs": "gcsfs"}
"""By scheme: the package for pip to install."""
LOGIN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of someone who may list "
    "and read it",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "hf": "run hf auth login, or set HF_TOKEN, and accept the terms on its page if it has any",
}
"""By scheme: the advice if access is refused."""
SCHEMES = (*LOGIN, "memory")
"""The schemes that can be read by fsspec."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": SILENCE / 2, "read_timeout": SILENCE}},
}
_MARKS = ("ETag", "etag", "lfs", "blob_id", "xet_hash", "md5Hash")
"""Keys in a file's description for a value that changes with its content, ..."""
_TIMES = ("LastModified", "mtime", "updated", "created", "last_modified")
"""... and, if there is none, for its modification time."""


class FilesystemStore(Store):
    """The store of a file system of fsspec.

    Args:
        scheme: one of `SCHEMES`.
        path: the rest of the address.
    """

    def __init__(self, scheme: str, path: str) -> None:
        super().__init__(f"{scheme}://")
        self._scheme = scheme
        self.name = f"{scheme}://{path.partition('/')[0]}"
        self.login = LOGIN.get(scheme, "")
        self._fs = _filesystem(scheme)
        self.key = self._fs._strip_protocol(f"{scheme}://{path}").strip("/")
        """The key that the address names."""

    def _call(self, name: str, key: str, seconds: float | None = None, **options: Any) -> Any:
        """Call a method of the file system.

        Args:
            name: of the method.
            key: its first argument.
            seconds: time limit; None: none.
            options: its further arguments.

        Raises:
            RemoteError: the method failed.
        """
        from fsspec.asyn import sync

        fs = self._fs
        try:
            if fs.async_impl:
                method = getattr(fs, f"_{name}")
                return sync(fs.loop, method, key, timeout=seconds, **options)
            return getattr(fs, name)(key, **options)
        except Exception as error:
            if type(error).__name__ == "NoCredentialsError" and not getattr(fs, "anon", True):
                say(
                    f"note: there are no credentials for {self.name}; going on without",
                    to_stderr=True,
                )
                self._fs = _filesystem(self._scheme, anon=True)
                return self._call(name, key, seconds, **options)
            raise _failure(error) from error

    def _info(self, key: str) -> Info:
        found = self._call("info", key, seconds_for(0) * 2)
        return self._info_of(found)

    def _info_of(self, found: dict[str, Any]) -> Info:
        """The size and the stamp in a file system's description of a file or folder."""
        if found["type"] != "file":
            return Info(0, "", is_folder=True)
        size = found.get("size")
        size = -1 if size is None else int(size)
        mark = next((found[name] for name in (*_MARKS, *_TIMES) if found.get(name)), "")
        if hasattr(mark, "sha256"):
            mark = mark.sha256
        self.weak_stamps |= not mark
        return Info(size, f"{size}-{mark}")

    def _forget(self) -> None:
        self._fs.invalidate_cache()

    def _read(self, key: str, start: int, end: int | None) -> bytes:
        size = self._known[key].size if key in self._known else -1
        part = {} if end is None else {"start": start, "end": end}
        seconds = seconds_for(size if end is None else end - start)
        return bytes(self._call("cat_file", key, seconds, **part))

    def names(self, key: str) -> list[str]:
        found = self.retry(lambda: self._call("ls", key, detail=True))
        return [each["name"].rpartition("/")[2] for each in found if each["type"] == "file"]

    def _files(self, key: str, tell: Callable[[int], None]) -> Iterator[tuple[str, Info]]:
        # Some file systems change the folder's name: the hub's adds the revision.
        top = self.retry(lambda: self._call("info", key))["name"].strip("/")
        found = self.retry(lambda: self._call("find", key, detail=True))
        tell(len(found))
        for name, entry in found.items():
            path = name.strip("/").removeprefix(top).lstrip("/")
            if path and entry["type"] == "file" and not name.endswith("/"):
                yield path, self._info_of(entry)


def _filesystem(scheme: str, **options: Any) -> Any:
    """A new file system, without cached listings.

    Raises:
        ImpastoError: its package is not installed, or it cannot be used.
    """
    import fsspec

    try:
        fs = fsspec.filesystem(
            scheme, skip_instance_cache=True, **_OPTIONS.get(scheme, {}), **options
        )
        fs.invalidate_cache()  # The hub's file system shares its cache between instances.
        return fs
    except ImportError as error:
        raise ImpastoError(
            f"{scheme}:// takes another package: pip install {_PACKAGES[scheme]}"
        ) from error
    except Exception as error:
        raise ImpastoError(f"{scheme}:// cannot be used: {_failure(error).strerror}") from error


def _failure(error: BaseException) -> RemoteError:
    """The `RemoteError` for an error of a file system or its packages."""
    if isinstance(error, RemoteError):
        return error
    if (status := _status(error)) is not None:
        return refusal(status)
    text = error_text(error)
    if isinstance(error, FileNotFoundError):
        return RemoteError("not found", errno.ENOENT)
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return RemoteError(text, errno.EACCES)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return RemoteError("no answer in time", again=True)
    hopeless = (TypeError, ValueError, LookupError, AttributeError, NotImplementedError)
    return RemoteError(text, again=not isinstance(error, hopeless))


def _status(error: BaseException) -> int | None:
    """The HTTP status in an error or its causes; None if there is none."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        status = getattr(response, "status_code", response)
        if status is None:
            status = getattr(seen, "status", None)
        if isinstance(status, int) and 400 <= status < 600:
            return status
        seen = seen.__cause__
    return None
