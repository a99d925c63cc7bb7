"""Painting with an ONNX file of `impasto export --as onnx`, by onnxruntime and without torch.

The file's metadata has four texts: `impasto.version`; `impasto.model`, the contents of `model.json`
(label fields with their classes, combinations with their counts, latents, collection with its licences,
SHA-256 of the weights); `impasto.made_with`, the settings that were changed at the export, in words; and
`impasto.weights`, `float32` or `float16`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from impasto.config import MOST_RECORD
from impasto.errors import ImpastoError, in_words
from impasto.formatting import error_text, one_line
from impasto.resolution import width_and_height
from impasto.sampling.class_choice import rows_of_seeds, weights_of_rows
from impasto.sampling.numpy_latents import numpy_latents
from impasto.sampling.onnx_check import read_checked
from impasto.sampling.point_files import PointArrays, files_of, load_points
from impasto.sampling.point_text import MOST_LEVELS, Origin, PointsRecord
from impasto.sampling.records import ModelRecord

SUFFIX = ".onnx"
VERSION, MODEL = "impasto.version", "impasto.model"
MADE_WITH, WEIGHTS = "impasto.made_with", "impasto.weights"


def needed_packages(*names: str, extras: str = "onnx") -> None:
    """Raises: ImpastoError: one of these packages, which come with the extras, is not installed."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImpastoError(
                f"ONNX files need {name}: install it with pip install 'impasto[{extras}]'"
            ) from error


@dataclass(frozen=True)
class OnnxModel:
    """A generator in an ONNX file, ready to paint."""

    session: Any
    """The `InferenceSession` of onnxruntime."""
    record: ModelRecord
    size: int
    """Bytes of the file."""
    made_with: str | None = None
    """The settings that were changed when it was exported, in words."""
    levels: int | None = None
    """Number of latents of a picture, from coarse to fine levels; None: one, [B, Z]."""

    @classmethod
    def load(cls, path: Path, threads: int = 0) -> OnnxModel:
        """Open a file.

        Args:
            path: of the file.
            threads: that compute; 0 for as many as there are cores.

        Raises:
            ImpastoError: onnxruntime is missing, or the file is, is damaged, or is not of impasto.
        """
        needed_packages("onnx", "onnxruntime")
        import onnxruntime

        path = path.expanduser()
        if not path.is_file():
            raise ImpastoError(f"there is no file {path}")
        content = read_checked(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors are raised; their log would be a second line
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ImpastoError(
                f"{path} cannot be opened as an ONNX file ({error_text(error)[:200]}); export it again"
            ) from error
        texts = session.get_modelmeta().custom_metadata_map
        if MODEL not in texts:
            raise ImpastoError(
                f"{path} is an ONNX file, but not one of impasto export --as onnx: it does not say what "
                "its inputs are"
            )
        try:
            if len(texts[MODEL]) > MOST_RECORD:
                raise ImpastoError(f"{path} has a description of more than {MOST_RECORD:,} letters")
            record = ModelRecord.model_validate_json(texts[MODEL])
        except ValidationError as error:
            raise ImpastoError(
                f"{path} has a damaged description ({in_words(error.errors()[0])}); export it again"
            ) from error
        made_with = one_line(texts.get(MADE_WITH, "")) or None
        found = cls(session, record, len(content), made_with, _levels_of(session))
        found._check_shapes(path)
        return found

    def _check_shapes(self, path: Path) -> None:
        """Raises: ImpastoError: inputs or output are not those of its description."""
        record = self.record
        width, height = width_and_height(record.resolution)
        latents = [record.latent.size]
        if self.levels is not None:
            latents = [self.levels, *latents]
        expected = {"latents": latents, "images": [3, height, width]}
        if record.labels:
            expected["labels"] = [sum(record.label_sizes)]
        values = [*self.session.get_inputs(), *self.session.get_outputs()]
        found = {value.name: list(value.shape[1:]) for value in values}
        fixed = [
            value.name for value in values for size in value.shape[:1] if isinstance(size, int)
        ]
        if found != expected or fixed:
            raise ImpastoError(
                f"{path} has other inputs than its description says; export it again"
            )

    def latents(self, seeds: Sequence[int], truncation: float | None = None) -> np.ndarray:
        """Latents [B, Z] of the seeds."""
        return numpy_latents(seeds, self.record.latent, truncation)

    def weights(
        self,
        seeds: Sequence[int],
        chosen: Mapping[int, int] | None = None,
        mixtures: Mapping[int, Mapping[int, float]] | None = None,
    ) -> np.ndarray:
        """Class weights [B, K] of the seeds: drawn as for other models, with the chosen classes and
        mixtures by column of their field."""
        rows = rows_of_seeds(seeds, self.record, chosen)
        return weights_of_rows(self.record, rows, mixtures or {})

    def images(self, latents: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Images [B, 3, H, W] in [-1, 1] of latents [B, Z], or [B, levels, Z], and class weights [B, K].

        Raises:
            ImpastoError: the file computes none, or asks for too much memory.
        """
        latents = self._at_levels(latents)
        inputs = (
            {"latents": latents, "labels": weights} if self.record.labels else {"latents": latents}
        )
        try:
            images: np.ndarray = self.session.run(["images"], inputs)[0]
        except Exception as error:  # onnxruntime's own kinds
            raise ImpastoError(
                f"this ONNX file cannot paint ({error_text(error)[:200]}); export it again, or ask for "
                "less at once by a smaller --batch"
            ) from error
        width, height = width_and_height(self.record.resolution)
        if images.shape != (len(latents), 3, height, width) or not np.isfinite(images).all():
            raise ImpastoError("this ONNX file paints no pictures; export it again")
        return images

    def pixels(self, latents: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The images as uint8 [B, H, W, 3]."""
        levels = (self.images(latents, weights) * 127.5 + 127.5).round().clip(0, 255)
        return levels.astype(np.uint8).transpose(0, 2, 3, 1)

    def paint(
        self,
        seeds: Sequence[int],
        weights: np.ndarray,
        *,
        truncation: float | None = None,
        batch: int = 64,
    ) -> Iterator[np.ndarray]:
        """Images of the seeds in batches, uint8 [up to `batch`, H, W, 3].

        Args:
            seeds: one an image.
            weights: class weights [len(seeds), K].
            truncation: see `latents_of_seeds`.
            batch: images at a time.
        """
        for start in range(0, len(seeds), batch):
            part = slice(start, start + batch)
            yield self.pixels(self.latents(seeds[part], truncation), weights[part])

    def points(self, files: Sequence[str | PathLike[str]]) -> PointArrays:
        """All points of files of points, of PNGs with one, or of patterns of such files, in order.

        Raises:
            ImpastoError: as `load_points`; or points have a latent a level, and the file does not take
                as many.
        """
        found = [
            load_points(file, self.record, numpy_latents)
            for each in files
            for file in files_of(each)
        ]
        for each in found:
            levels = each.latents.shape[1] if each.latents.ndim == 3 else None
            if levels not in (None, self.levels):
                takes = (
                    "one: export it with --levels, or" if self.levels is None else f"{self.levels}:"
                )
                raise ImpastoError(
                    f"these points have {levels} latents each, one for each level of the generator, and "
                    f"this ONNX file takes {takes} give the model's folder"
                )
        latents = [each.latents for each in found]
        if any(each.ndim == 3 for each in latents):
            latents = [self._at_levels(each) for each in latents]
        origins = tuple(origin for each in found for origin in each.record.origins)
        return PointArrays(
            found[0].record.model_copy(update={"origins": origins}),
            np.concatenate(latents),
            np.concatenate([each.classes for each in found]),
        )

    def paint_points(self, points: PointArrays, batch: int = 64) -> Iterator[np.ndarray]:
        """Images of points in batches, uint8 [up to `batch`, H, W, 3]."""
        for start in range(0, len(points.latents), batch):
            part = slice(start, start + batch)
            yield self.pixels(points.latents[part], points.classes[part])

    def _at_levels(self, latents: np.ndarray) -> np.ndarray:
        """Latents [B, levels, Z] of [B, Z], the same at each level, if the file takes one a level."""
        if self.levels is None or latents.ndim == 3:
            return latents
        return np.repeat(latents[:, None], self.levels, axis=1)

    def texts(
        self, seeds: Sequence[int], weights: np.ndarray, truncation: float | None
    ) -> Iterator[str]:
        """The text that the PNG of each seed carries, as with other models; see `Points.text`."""
        points = PointsRecord(
            model=self.record.weights_sha256,
            recipe=self.record.recipe,
            fields=tuple((field.name, field.classes) for field in self.record.labels),
            origins=tuple(Origin(seed=seed, truncation=truncation) for seed in seeds),
        )
        # A seed names its latent, so the text needs none.
        arrays = PointArrays(points, np.empty((len(seeds), 0), np.float32), weights)
        return (arrays.single(number).text() for number in range(len(seeds)))


def _levels_of(session: Any) -> int | None:
    """The number of latents of a picture, by the shape of the input `latents`."""
    for value in session.get_inputs():
        if value.name == "latents" and len(value.shape) == 3:
            levels = value.shape[1]
            return levels if isinstance(levels, int) and 1 < levels <= MOST_LEVELS else None
    return None
