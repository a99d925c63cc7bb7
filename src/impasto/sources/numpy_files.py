"""Read arrays from NumPy's files, `.npy` and `.npz`, row by row and without unpickling."""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.lib import format as npy

from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file
from impasto.formatting import error_text
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, system_error

_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = 2**14
"""Most bytes of a header that are read."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file."""

    file: str
    """The file's name in the tree."""
    key: str
    """Its name in the file; blank if it is the only array."""
    path: Place
    member: str | None
    """Its member name in the `.npz` zip; None in a `.npy`."""
    stamp: str
    """See `File.stamp`."""
    start: int
    """The byte where its values begin."""
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def name(self) -> str:
        """The file's name, with the array's name if there are several."""
        return f"{self.file}/{self.key}" if self.key else self.file

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, which is an item along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def summary(self) -> str:
        """Name, shape and type, for messages."""
        return f"{self.key or self.file} {list(self.shape)} {self.dtype}"


@contextmanager
def reading(path: Place) -> Iterator[None]:
    """Within this context, errors from reading a file become an ImpastoError."""
    try:
        yield
    except ImpastoError:
        raise
    except Exception as error:
        if (unread := system_error(error)) is not None:
            raise ImpastoError(f"cannot read {path}: {unread.strerror or unread}") from error
        # On damaged files `zipfile`, `zlib` and NumPy raise almost anything.
        refuse_pointer_file(path)
        text = error_text(error)[:200]
        raise ImpastoError(f"{path} is damaged or was cut short ({text}); get it again") from error


@contextmanager
def _opened(path: Place, member: str | None) -> Iterator[IO[bytes]]:
    """Open a file, or a member of a `.npz`, for reading its decompressed bytes."""
    if member is None:
        with path.open("rb") as file:
            yield file
    else:
        with (
            path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
            archive.open(member) as inside,
        ):
            yield inside


def _header(path: Place, member: str | None) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """An array's shape, whether it is in Fortran order, its type, and the byte where its values
    begin."""
    with _opened(path, member) as file:
        head = io.BytesIO(file.read(_HEADER))
    version = npy.read_magic(head)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The warning that Python 2 wrote it.
        shape, fortran, dtype = read(head)
    return tuple(int(side) for side in shape), fortran, dtype, head.tell()


def list_arrays(file: File) -> list[StoredArray]:
    """The arrays in a file, by their headers. Arrays of Python objects are among them, but nothing reads
    their values.

    Raises:
        ImpastoError: the file is damaged or cannot be read, or an array is in Fortran order.
    """
    assert file.path is not None
    arrays = []
    with reading(file.path):
        members: list[tuple[str | None, int, str]] = [(None, file.size, file.stamp)]
        if file.name.lower().endswith(".npz"):
            with file.path.open("rb") as opened, zipfile.ZipFile(opened) as archive:
                inside = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if any(info.compress_type not in _COMPRESSION for info in inside):
                raise ValueError("not compressed as NumPy does")
            members = [
                (info.filename, info.file_size, f"{info.file_size}-{info.CRC:08x}")
                for info in inside
            ]
        for member, size, stamp in members:
            shape, fortran, dtype, start = _header(file.path, member)
            key = member.removesuffix(".npy") if member is not None and len(members) > 1 else ""
            array = StoredArray(file.name, key, file.path, member, stamp, start, shape, dtype)
            if any(side < 0 for side in shape):
                raise ValueError(f"a shape of {shape}")
            if not dtype.hasobject and math.prod(shape) * dtype.itemsize != size - start:
                raise ValueError(f"{size - start:,} bytes for {array.summary()}")
            if fortran and sum(side > 1 for side in shape) > 1:
                raise ImpastoError(
                    f"{array.summary()} in {file.path} is in Fortran's order, in which no picture lies "
                    "in one place; save np.ascontiguousarray of it"
                )
            arrays.append(array)
    return arrays


def read_rows(array: StoredArray, rows: Sequence[int]) -> Iterator[np.ndarray]:
    """Read rows of an array one by one.

    Args:
        array: the array.
        rows: their numbers, which must rise.

    Raises:
        Exception: of any kind, if the file is damaged; see `reading`.
    """
    with _opened(array.path, array.member) as file:
        for row in rows:
            file.seek(array.start + row * array.row_bytes)
            data = file.read(array.row_bytes)
            if len(data) < array.row_bytes:
                raise EOFError("it is shorter than it was")
            yield np.frombuffer(data, array.dtype).reshape(array.shape[1:])


def read_array(array: StoredArray) -> np.ndarray:
    """Read a small array as a whole.

    Raises:
        ImpastoError: the file is damaged or cannot be read.
    """
    with reading(array.path), _opened(array.path, array.member) as file:
        file.seek(array.start)
        data = file.read(math.prod(array.shape) * array.dtype.itemsize)
        return np.frombuffer(data, array.dtype).reshape(array.shape)
