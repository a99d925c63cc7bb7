"""Write pictures to shards, one after the other.

A raw shard is a plain `.npy` file. A shard of compressed pictures is two files: the pictures' bytes one
after the other, and their offsets (`.offsets.npy`).
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from impasto.collection.encoding import RAW, Stored, encode
from impasto.files import sha256_of_file
from impasto.resolution import Resolution, area, width_and_height

SHARD_BYTES = 2**30
"""Most bytes of a shard; a single larger picture is allowed."""


def shard_name(number: int, encoding: str = RAW, prefix: str = "images") -> str:
    """`images-00000.npy`, or `images-00000.webp.bin`, and so on."""
    return f"{prefix}-{number:05}.{'npy' if encoding == RAW else f'{encoding}.bin'}"


def offsets_name(shard: str) -> str:
    """The name of the file with the offsets of a compressed shard's pictures."""
    return shard.removesuffix(".bin") + ".offsets.npy"


def shard_prefix(
    resolution: Resolution, resolutions: Sequence[Resolution], kind: str = "images"
) -> str:
    """`images` for a single resolution, else `images-256`."""
    return kind if len(resolutions) == 1 else f"{kind}-{resolution}"


class ShardWriter:
    """Appends pictures to a sequence of shards, in a `with` block. Which pictures are in which shard
    does not depend on how many are appended at a time.

    Args:
        folder: where the shards go; files of their names must not exist.
        resolution: of the pictures.
        encoding: `raw`, or a name in `ENCODINGS`.
        prefix: the beginning of the file names.
    """

    def __init__(
        self, folder: Path, resolution: Resolution, encoding: str = RAW, prefix: str = "images"
    ) -> None:
        self.folder = folder
        self.resolution = resolution
        self.encoding = encoding
        self.prefix = prefix
        self.capacity = max(1, SHARD_BYTES // (area(resolution) * 3))
        """Most pictures in a raw shard."""
        self._shards: list[dict[str, Any]] = []
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._count = 0
        self._offsets = [0]

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._file is not None:
            self._file.close()  # The caller discards an interrupted shard.
            self._file = None

    def append(self, pixels: np.ndarray) -> None:
        """Add pictures, uint8 [K, H, W, 3], in order. For compressed shards they are encoded first.

        Raises:
            ValueError: they have another type or size.
        """
        width, height = width_and_height(self.resolution)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, 3):
            raise ValueError(f"{pixels.dtype} {pixels.shape} for shards of {self.resolution} px")
        if self.encoding != RAW:
            self.append_encoded(encode(pixels, self.encoding))
            return
        while len(pixels):
            if self._file is None:
                # The header of a full shard, as most shards are full; it is part of the SHA-256.
                self._begin()
                self._write(_header(self.capacity, self.resolution))
            part = pixels[: self.capacity - self._count]
            self._write(np.ascontiguousarray(part).data)
            self._count += len(part)
            pixels = pixels[len(part) :]
            if self._count == self.capacity:
                self._finish()

    def append_encoded(self, items: Sequence[bytes]) -> None:
        """Add pictures that `encode` has compressed, in order.

        Raises:
            ValueError: the shards are raw.
        """
        if self.encoding == RAW:
            raise ValueError("raw shards take pixels")
        for item in items:
            if self._file is not None and self._offsets[-1] + len(item) > SHARD_BYTES:
                self._finish()
            if self._file is None:
                self._begin()
            self._write(item)
            self._offsets.append(self._offsets[-1] + len(item))
            self._count += 1

    def append_stored(self, stored: Stored) -> None:
        """Add pictures from `ShardReader.stored` of shards with the same encoding, in order."""
        if isinstance(stored, np.ndarray):
            self.append(stored)
        else:
            self.append_encoded(stored)

    def describe(self) -> list[dict[str, Any]]:
        """For `collection.json`: each shard's file, number of pictures, bytes and SHA-256, and those of
        its offsets.

        Raises:
            RuntimeError: it was called before `close`.
        """
        if self._file is not None:
            raise RuntimeError("the last shard is still being written")
        return self._shards

    def close(self) -> None:
        """Finish the last shard; leaving the `with` block does this."""
        self._finish()

    def _begin(self) -> None:
        name = shard_name(len(self._shards), self.encoding, self.prefix)
        self._file = (self.folder / name).open("xb")
        self._digest = hashlib.sha256()
        self._count = 0
        self._offsets = [0]

    def _write(self, content: Any) -> None:
        assert self._file is not None
        self._file.write(content)
        self._digest.update(content)

    def _finish(self) -> None:
        """Close the open shard and record it."""
        if self._file is None:
            return
        path = self.folder / shard_name(len(self._shards), self.encoding, self.prefix)
        digest = self._digest.hexdigest()
        if self.encoding == RAW and self._count < self.capacity:
            # The number of pictures is known only now. NumPy pads its header for any number, so its
            # length stays the same.
            self._file.seek(0)
            self._file.write(_header(self._count, self.resolution))
            self._file.close()
            digest = sha256_of_file(path)
        self._file.close()
        self._file = None
        shard = {
            "file": path.name,
            "pictures": self._count,
            "bytes": path.stat().st_size,
            "sha256": digest,
        }
        if self.encoding != RAW:
            offsets = path.with_name(offsets_name(path.name))
            np.save(offsets, np.array(self._offsets, np.int64), allow_pickle=False)
            shard["offsets"] = {
                "file": offsets.name,
                "bytes": offsets.stat().st_size,
                "sha256": sha256_of_file(offsets),
            }
        self._shards.append(shard)


def _header(pictures: int, resolution: Resolution) -> bytes:
    """The `.npy` header of pixels [K, H, W, 3]. It has the same length for any K."""
    buffer = io.BytesIO()
    width, height = width_and_height(resolution)
    shape = (pictures, height, width, 3)
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()
