"""Pixels into shards: plain `.npy` files, written as the pictures come."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

SHARD_BYTES = 2**30
"""A shard's pixels are at most this many bytes: small enough to copy and check, few enough files."""


def shard_name(number: int) -> str:
    """`images-00000.npy` and so on."""
    return f"images-{number:05}.npy"


class ShardWriter:
    """Appends pictures, uint8 [K, R, R, 3], to as many shards as it takes."""

    def __init__(self, folder: Path, resolution: int, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = folder
        self.resolution = resolution
        self.capacity = max(1, shard_bytes // (resolution * resolution * 3))
        self.counts: list[int] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        elif self._file is not None:
            self._file.close()  # What was interrupted is thrown away anyhow.

    def append(self, pixels: np.ndarray) -> None:
        """Add pictures, uint8 [K, R, R, 3], in order."""
        while len(pixels):
            if self._file is None:
                self._file = (self.folder / shard_name(len(self.counts))).open("xb")
                self.counts.append(0)
                self._write_header()
            part = pixels[: self.capacity - self.counts[-1]]
            self._file.write(np.ascontiguousarray(part).data)
            self.counts[-1] += len(part)
            pixels = pixels[len(part) :]
            if self.counts[-1] == self.capacity:
                self._finish()

    def _write_header(self) -> None:
        assert self._file is not None
        shape = (self.counts[-1], self.resolution, self.resolution, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _finish(self) -> None:
        """Close the open shard, its header written anew: only now is the number of pictures known.

        NumPy leaves room in a header for the first number to grow, so that its length stays.
        """
        if self._file is None:
            return
        end = self._file.tell()
        self._file.seek(0)
        self._write_header()
        pixels = self.counts[-1] * self.resolution * self.resolution * 3
        if self._file.tell() + pixels != end:
            raise RuntimeError("the header of a shard changed its length")
        self._file.close()
        self._file = None
