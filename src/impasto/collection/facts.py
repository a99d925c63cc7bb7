"""Facts about source pictures, such as sizes, digests and fingerprints, as arrays in two files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.decoding.fingerprint import FINGERPRINT
from impasto.formatting import error_text

KEY_BYTES = 16
"""Length of a source picture's key."""

FACTS, FINGERPRINTS = "facts.npz", "looks.npy"


@dataclass
class Facts:
    """Facts about S source pictures and the N pictures fitted from them, as arrays.

    Attributes:
        keys: uint8 [S, 16], see `entry_keys`.
        sha256: of the files, uint8 [S, 32].
        sizes: width and height in pixels, int32 [S, 2].
        counts: the number of pictures fitted from each, int64 [S]; 0 if it is unusable.
        reasons: the reason of each unusable one, in order.
        frames: left, top, right, bottom, mirrored of each fitted picture, float64 [N, 5].
        fingerprints: `fingerprint.FINGERPRINT` [S].
        salvaged: whether the file was truncated but accepted, bool [S].
        file_bytes: lengths of the files, int64 [S]; of the pixels if there is no file.
        guessed_bits: the guessed number of significant bits in 16, uint8 [S]; 0: nothing was
            guessed.
    """

    keys: np.ndarray
    sha256: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    reasons: list[str]
    frames: np.ndarray
    fingerprints: np.ndarray
    salvaged: np.ndarray
    file_bytes: np.ndarray
    guessed_bits: np.ndarray

    def write(self, folder: Path) -> None:
        """Write `facts.npz` and `looks.npy`."""
        reasons = np.frombuffer("\n".join(self.reasons).encode(), np.uint8)
        with (folder / FACTS).open("wb") as file:
            np.savez(
                file,
                keys=self.keys,
                sha256=self.sha256,
                sizes=self.sizes,
                counts=self.counts,
                reasons=reasons,
                frames=self.frames,
                salvaged=self.salvaged,
                file_bytes=self.file_bytes,
                guessed_bits=self.guessed_bits,
            )
        np.save(folder / FINGERPRINTS, self.fingerprints, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        """Read `facts.npz` and `looks.npy`.

        Raises:
            ValueError: a file is missing or damaged, or has another version.
        """
        try:
            with np.load(folder / FACTS, allow_pickle=False) as arrays:
                reasons = bytes(arrays["reasons"]).decode()
                facts = cls(
                    arrays["keys"],
                    arrays["sha256"],
                    arrays["sizes"],
                    arrays["counts"],
                    reasons.split("\n") if reasons else [],
                    arrays["frames"],
                    np.load(folder / FINGERPRINTS, mmap_mode="r", allow_pickle=False),
                    arrays["salvaged"],
                    arrays["file_bytes"],
                    # Collections that were packed before version 2 of decoding have none.
                    arrays["guessed_bits"]
                    if "guessed_bits" in arrays
                    else np.zeros(len(arrays["keys"]), np.uint8),
                )
        except Exception as error:
            # On damaged files NumPy raises almost anything.
            raise ValueError(f"{FACTS} or {FINGERPRINTS}: {error_text(error)}") from error
        columns = [facts.sha256, facts.sizes, facts.counts, facts.fingerprints, facts.salvaged]
        columns += [facts.file_bytes, facts.guessed_bits]
        if any(len(column) != len(facts.keys) for column in columns):
            raise ValueError("its columns are of different lengths")
        if len(facts.frames) != facts.counts.sum():
            raise ValueError("it has not one frame a picture")
        if facts.fingerprints.dtype != FINGERPRINT or len(facts.reasons) != int(
            (facts.counts == 0).sum()
        ):
            raise ValueError("it is of another version")
        return facts


class FactsWriter:
    """Collects facts, a source picture at a time."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._sha256: list[bytes] = []
        self._sizes: list[tuple[int, int]] = []
        self._counts: list[int] = []
        self._reasons: list[str] = []
        self._frames: list[np.ndarray] = []
        self._fingerprints: list[np.ndarray] = []
        self._salvaged: list[bool] = []
        self._file_bytes: list[int] = []
        self._guessed_bits: list[int] = []

    def add(
        self,
        key: bytes,
        sha256: bytes,
        size: tuple[int, int],
        frames: np.ndarray,
        fingerprint: np.ndarray,
        salvaged: bool,
        file_bytes: int,
        guessed_bits: int,
    ) -> None:
        """Add a source picture.

        Args:
            key: see `entry_keys`.
            sha256: of its file, 32 bytes.
            size: width and height in pixels.
            frames: of its pictures, float64 [K, 5].
            fingerprint: `FINGERPRINT` [].
            salvaged: see `Facts`, as for the next two.
            file_bytes: length of its file.
            guessed_bits: 0: nothing was guessed.
        """
        self._keys.append(key)
        self._sha256.append(sha256)
        self._sizes.append(size)
        self._counts.append(len(frames))
        self._frames.append(frames)
        self._fingerprints.append(fingerprint)
        self._salvaged.append(salvaged)
        self._file_bytes.append(file_bytes)
        self._guessed_bits.append(guessed_bits)

    def add_unusable(self, key: bytes, reason: str) -> None:
        """Add an unusable source picture, with the reason."""
        self.add(key, bytes(32), (0, 0), np.empty((0, 5)), np.zeros((), FINGERPRINT), False, 0, 0)
        self._reasons.append(" ".join(reason.splitlines()))

    def facts(self) -> Facts:
        """The collected facts as arrays."""
        return Facts(
            np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, KEY_BYTES),
            np.frombuffer(b"".join(self._sha256), np.uint8).reshape(-1, 32),
            np.array(self._sizes, np.int32).reshape(-1, 2),
            np.array(self._counts, np.int64),
            self._reasons,
            np.concatenate(self._frames) if self._frames else np.empty((0, 5)),
            np.array(self._fingerprints, FINGERPRINT),
            np.array(self._salvaged, bool),
            np.array(self._file_bytes, np.int64),
            np.array(self._guessed_bits, np.uint8),
        )
