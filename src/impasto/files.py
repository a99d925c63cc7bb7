"""Atomic writing of files and folders (a temporary name, then a rename), and reading of JSON."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from impasto.errors import ImpastoError
from impasto.formatting import readable_size

_REASONS = {
    errno.ENOSPC: "the disk is full; free some room and try again",
    errno.EDQUOT: "your disk quota is used up; free some room and try again",
    errno.EACCES: "no permission to write there; choose another folder or change its permissions",
    errno.EPERM: "no permission to write there; choose another folder or change its permissions",
    errno.EROFS: "that file system is read-only; choose another folder",
    errno.EFBIG: "the file is larger than this file system or your limits allow",
    errno.ENAMETOOLONG: "that name is too long for this file system",
    errno.EEXIST: "something else of that name is in the way; choose another",
    errno.ENOENT: "no folder can be made there; choose another",
    errno.ENOTDIR: "a part of that path is a file, not a folder",
}


POINTER_START = b"version https://git-lfs"
"""The beginning of a Git LFS pointer, the small file that Git keeps in place of a large one."""
POINTER = "a Git LFS pointer; fetch the files themselves with git lfs pull"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class WriteError(ImpastoError):
    """A file or folder cannot be written, for example because the disk is full."""


class PointerError(ImpastoError):
    """A file is a Git LFS pointer instead of the contents."""


def expand_home(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder in place of `~` or `~USER`; unchanged if there is no such user."""
    # Not Path.expanduser, which raises a RuntimeError for an unknown user.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def refuse_pointer(path: object, start: bytes) -> None:
    """Check that a file is not a Git LFS pointer.

    Args:
        path: of the file.
        start: its first bytes.

    Raises:
        PointerError: it is one.
    """
    if start.startswith(POINTER_START):
        raise PointerError(f"{path} is {POINTER}")


class Openable(Protocol):
    """A path on disk, or an object with its `open`."""

    def open(self, mode: Literal["rb"]) -> IO[bytes]: ...


def refuse_pointer_file(path: Openable) -> None:
    """Check that the file at `path` is not a Git LFS pointer. An unreadable file passes.

    Raises:
        PointerError: it is one.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        refuse_pointer(path, file.read(len(POINTER_START)))


def write_error(error: OSError, path: Path) -> WriteError:
    """A `WriteError` for an operating system error while writing `path`, with what to do."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return WriteError(f"cannot write {path}: {reason}")


def _flush_to_disk(path: Path) -> None:
    # Windows flushes only files opened for writing. A folder can only be opened for reading.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # A rename survives a power cut only when the folder is on disk. Windows and some file systems
    # cannot flush folders; the rename is atomic there too.
    with contextlib.suppress(OSError):
        _flush_to_disk(folder)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` when the block ends.

    If the block fails, `path` is unchanged and the temporary file is removed.

    Raises:
        ImpastoError: the file cannot be written (disk full, no permission, ...).
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_new(path: Path) -> None:
    """Check, before long work, that a new folder or file can be written.

    Raises:
        ImpastoError: there is one of this name already, or the folder that it is to be in cannot be
            written to.
    """
    try:
        if path.exists():
            raise ImpastoError(f"{path} exists already; choose another name or remove it first")
        _try_writing(next(each for each in path.absolute().parents if each.exists()))
    except OSError as error:
        raise write_error(error, path) from error


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which is renamed to `path` when the block ends.

    `path` must not exist yet. If the block fails, the temporary folder is removed.

    Raises:
        ImpastoError: the folder exists already or cannot be written.
    """
    check_new(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush_to_disk(file)
        temporary.rename(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Create the folder and check that files can be written to it. Called before long work.

    Raises:
        ImpastoError: it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _try_writing(folder)
    except OSError as error:
        raise write_error(error, folder) from error


def _try_writing(folder: Path) -> None:
    """Write and remove a file. The bits of permission are not enough: file systems may refuse what they
    allow."""
    probe = folder / f".{uuid.uuid4().hex[:12]}.tmp"
    probe.touch()
    probe.unlink()


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder for this process until it is closed. Windows has no such lock; there
    nothing is locked.

    Args:
        descriptor: of the file or folder.
        wait: until no other process holds the lock, in place of the error.

    Returns:
        Whether the file system has locks. Lustre without `-o flock`, 9p, and NFS without its lock
        service have none.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # By POSIX, either number may say that another process holds it.
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise BlockingIOError(error.errno, error.strerror) from error
        return False
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread has locked a folder, which is made if need be, and lock it.

    Raises:
        ImpastoError: it cannot be made.
    """
    if os.name == "nt":  # folders cannot be opened there
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise write_error(error, folder) from error
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically; see `atomic_file`."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; see `atomic_file`."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically. NaN and infinity raise ValueError."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


MOST_JSON = 2**26
"""Bytes of the largest JSON file that is read; Python's objects take some 20 times as many."""


@contextlib.contextmanager
def open_regular(path: Path, most: int) -> Iterator[IO[bytes]]:
    """Open a file of at most `most` bytes for reading. Opening a pipe or a device does not wait.

    Raises:
        OSError: it cannot be opened.
        ImpastoError: it is no regular file, or is larger.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ImpastoError(f"{path} is not a file; restore it from a copy")
        if about.st_size > most:
            raise ImpastoError(
                f"{path} has {readable_size(about.st_size)}, and {readable_size(most)} at most are "
                "read; restore it from a copy"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_regular(path: Path, most: int) -> bytes:
    """The contents of a file; see `open_regular`."""
    with open_regular(path, most) as file:
        # Not all there is: Linux's /proc has files that have more in them than their size says.
        return file.read(os.fstat(file.fileno()).st_size)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def read_json(path: Path, what: str, most: int = MOST_JSON) -> Any:
    """Read JSON from `path`, in UTF-8 with or without a byte-order mark or in UTF-16.

    Args:
        path: of the file.
        what: kind of folder it belongs to, for error messages ("collection", "run", ...).
        most: bytes that are read.

    Raises:
        ImpastoError: the file is missing, unreadable, no regular file, larger, a Git LFS pointer or
            not JSON.
    """
    try:
        content = read_regular(path, most)
        refuse_pointer(path, content)
        return json.loads(content, parse_constant=_no_number)
    except FileNotFoundError:
        raise ImpastoError(f"{path} is missing: {path.parent} is not a {what}") from None
    except (ValueError, RecursionError) as error:  # also of Unicode, and of numbers of many digits
        raise ImpastoError(f"{path} is damaged ({error}); restore it from a copy") from error
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects in `path`, one a line; an empty list if there is no such file.

    Lines that are no JSON object are skipped, since a process killed while appending leaves an
    incomplete line. A byte-order mark at the beginning is skipped.

    Raises:
        ImpastoError: the file cannot be read, is a Git LFS pointer or is in UTF-16.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    refuse_pointer(path, content)
    if content.startswith(_UTF16):
        # Rows are appended as UTF-8. A file in both encodings could not be read any more.
        raise ImpastoError(f"{path} is in UTF-16; save it as UTF-8")
    # Not splitlines(): names in the rows may contain characters that it splits at.
    lines = content.decode("utf-8-sig", errors="replace").split("\n")
    rows: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return rows


def cache_folder() -> Path:
    """`$IMPASTO_CACHE`, else `$XDG_CACHE_HOME/impasto`, else `~/.cache/impasto`."""
    if own := os.environ.get("IMPASTO_CACHE"):
        return Path(own).expanduser().absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "impasto"
    return Path.home() / ".cache" / "impasto"


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's contents, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
