"""Writing a generator as an ONNX file, and checking that it paints what torch paints.

Inputs are `latents` [B, Z], or [B, L, Z] with a latent for each level of the generator, and, if the
model has label fields, the class weights `labels` [B, K]: one value for each class of each field, one
field after another. The output is `images` [B, 3, H, W] in [-1, 1]. B is free. Batch norms are folded.
The steps of a flow model, with its guidance, and the decoder of an autoencoder are part of the graph.
`sampling/onnx_model.py` reads what the file says of itself.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.files import atomic_file, check_new
from impasto.fold import fold_batch_norm
from impasto.formatting import counted
from impasto.networks import one_hot
from impasto.resolution import width_and_height
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import Model
from impasto.sampling.onnx_model import (
    MADE_WITH,
    MODEL,
    SUFFIX,
    VERSION,
    WEIGHTS,
    OnnxModel,
    needed_packages,
)
from impasto.sampling.points import at_levels
from impasto.sampling.records import ModelRecord
from impasto.sampling.sampler import Sampler
from impasto.sampling.seeds import latents_of_seeds

OPSET = 20
"""Version of ONNX's operators. Newer ones are read by fewer programs, and no network needs them."""
CHECKED_SEEDS = 64
MOST = 1e-4
"""The largest difference from torch's images, in [-1, 1], of a float32 file."""
_BATCHES = (1, 3, 4, *[8] * 7)


@dataclass(frozen=True)
class OnnxReport:
    """The result of exporting an ONNX file."""

    difference: float
    """The largest difference from torch's images in [-1, 1], over the seeds that were compared."""
    size: int
    """Bytes."""

    def __str__(self) -> str:
        levels = self.difference * 127.5
        return (
            f"{self.size / 1e6:.1f} MB; its pictures of {CHECKED_SEEDS} seeds differ from torch's by "
            f"{self.difference:.1e} at most ({levels:.2g} of 256 levels)"
        )


class _Unlabelled(nn.Module):
    """A generator without label fields, as a function of the latents only."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.generator(latents, latents.flatten(1)[:, :0])
        return images


def export_onnx(
    model: Model,
    destination: Path,
    *,
    half: bool = False,
    levels: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> OnnxReport:
    """Write a model's generator as one ONNX file, and compare its pictures with torch's.

    Args:
        model: as loaded, on the CPU, with the steps and the guidance that the file is to have.
        destination: the file, which ends in `.onnx` and does not exist yet.
        half: keep the weights in float16, in half the size. They are computed with in float32.
        levels: take a latent for each level of the generator, [B, L, Z], in place of one for all.
        progress: called with the number of seeds compared so far.

    Raises:
        ImpastoError: a package is missing, `destination` exists or cannot be written, the generator
            cannot be written as ONNX or has no levels, or its pictures differ from torch's.
    """
    if destination.suffix.lower() != SUFFIX:
        raise ImpastoError(f"an ONNX file ends in {SUFFIX}; give such a path, not {destination}")
    check_new(destination)
    needed_packages("onnx", "onnxscript", "onnxruntime", extras="torch,onnx")
    if levels and model.levels is None:
        raise ImpastoError(
            f"this model's network ('{model.record.generator.network}') takes its latent in one place, "
            "so there are no latents of levels: leave out --levels"
        )
    count = model.levels if levels else None
    graph = _graph_of(model, count)
    if half:
        keep_in_half(graph)
    _describe(graph, model, half, count)
    with atomic_file(destination) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        difference = _difference(OnnxModel.load(temporary), model, progress)
        if not np.isfinite(difference) or (difference > MOST and not half):
            raise ImpastoError(
                f"the ONNX file of this model paints other pictures than torch (they differ by up to "
                f"{difference:.1e}, and {MOST:g} is allowed), so it is not kept; please report it"
            )
        size = temporary.stat().st_size
    return OnnxReport(difference, size)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints and logs of its own steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def graph_of(network: nn.Module, inputs: dict[str, Tensor], free: dict[int, str], what: str) -> Any:
    """A network as an ONNX model (a `ModelProto`) without the exporter's notes, which name files of
    this machine.

    Args:
        network: in evaluation mode; its output is called `images`.
        inputs: examples by name, in the network's order.
        free: dimensions of the inputs that may have any size, and names for them.
        what: the network is, for the message.

    Raises:
        ImpastoError: it cannot be written as ONNX.
    """
    sizes = {number: torch.export.Dim(name) for number, name in free.items()}
    try:
        with _quiet(), torch.inference_mode():
            program = torch.onnx.export(
                network,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=["images"],
                dynamic_shapes=tuple(sizes for _ in inputs),
            )
        assert program is not None
        graph = program.model_proto
    except torch.onnx.errors.OnnxExporterError as error:
        raise ImpastoError(
            f"{what} cannot be written as ONNX "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    _forget_where(graph.graph)
    return graph


def _graph_of(model: Model, levels: int | None = None) -> Any:
    """The generator as an ONNX model, with so many latents a picture; None: one."""
    record = model.record
    network = fold_batch_norm(model.generator)
    seeds = [0, 1]
    latents = latents_of_seeds(seeds, record.latent)
    inputs = {"latents": latents if levels is None else at_levels(latents, levels)}
    if record.labels:
        inputs["labels"] = one_hot(labels_of_seeds(seeds, record), record.label_sizes)
    else:
        network = _Unlabelled(network)
    return graph_of(network, inputs, {0: "batch"}, f"network '{record.generator.network}'")


def _forget_where(graph: Any) -> None:
    """Remove the exporter's notes of a graph and its nodes."""
    del graph.metadata_props[:], graph.value_info[:]
    for value in (*graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _forget_where(inner)


def keep_in_half(graph: Any) -> None:
    """Turn float32 weights into float16 ones that the graph casts to float32; programs that run it do
    so once, when they open it."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 16:
            continue
        name = tensor.name
        limit = np.finfo(np.float16).max
        narrow = values.clip(-limit, limit).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(narrow, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _describe(graph: Any, model: Model, half: bool, levels: int | None) -> None:
    """Write into the file what it is, for people and for `OnnxModel`."""
    from onnx import helper

    record = model.record
    graph.producer_name, graph.producer_version = "impasto", __version__
    graph.graph.name = record.recipe
    graph.doc_string = _in_words(record, levels)
    texts = {
        VERSION: __version__,
        MODEL: record.model_dump_json(),
        MADE_WITH: model.made_with or "",
        WEIGHTS: "float16" if half else "float32",
    }
    helper.set_model_props(graph, texts)


def _in_words(record: ModelRecord, levels: int | None) -> str:
    """What the file is and how to use it, as text."""
    width, height = width_and_height(record.resolution)
    learned = record.collection
    normal = record.latent.distribution == "normal"
    truncated = "sqrt(2) erfinv(erf(z / sqrt(2)) erf(t / sqrt(2)))" if normal else "z min(t, 1)"
    licences = ", ".join(f"{name} {count}" for name, count in learned.licences.items())
    shape, each = f"[B, {record.latent.size}]", ""
    if levels is not None:
        shape = f"[B, {levels}, {record.latent.size}]"
        each = (
            f" One latent for each of {levels} levels, from coarse to fine; a seed's picture has the "
            "same at all of them."
        )
    lines = [
        f"Pictures of {width} x {height} pixels, by {record.recipe} of impasto {__version__}, after "
        f"{record.images_seen:,} images of {counted(learned.count, 'picture')} of {learned.name}.",
        f"Licences of the source pictures: {licences or 'unknown'}.",
        f"Input latents {shape}: independent values, "
        f"{'standard normal' if normal else 'uniform in [-1, 1]'}. Truncation t: z becomes {truncated}."
        f"{each}",
    ]
    if record.labels:
        lines.append(
            f"Input labels [B, {sum(record.label_sizes)}]: a weight for each class, 1 for the chosen "
            "class of a field and 0 for its others, or all 0 if it is unknown; or weights between. "
            "In this order:"
        )
        lines += [f"{field.name}: {', '.join(field.classes)}." for field in record.labels]
    lines.append(
        f"Output images [B, 3, {height}, {width}]: red, green and blue in [-1, 1]; a level of 256 is "
        "round(127.5 x + 127.5)."
    )
    return "\n".join(lines)


def _difference(written: OnnxModel, model: Model, progress: Callable[[int], None]) -> float:
    """The largest difference between the images of an ONNX file and torch's, in [-1, 1]."""
    record = model.record
    torchs = Sampler(model.generator, record.latent, "cpu", label_fields=len(record.labels))
    largest, done = 0.0, 0
    for count in _BATCHES:
        seeds = range(done, done + count)
        labels = labels_of_seeds(seeds, record)
        latents = _mixed(latents_of_seeds(seeds, record.latent), written.levels)
        images = torchs.images(latents, labels).numpy()
        others = written.images(
            _mixed(torch.from_numpy(written.latents(seeds)), written.levels).numpy(),
            written.weights(seeds),
        )
        difference = np.abs(images - others).max()
        # A value that is not finite is no small difference.
        largest = max(largest, float(difference)) if np.isfinite(difference) else np.inf
        done += count
        progress(done)
    return largest


def _mixed(latents: Tensor, levels: int | None) -> Tensor:
    """The latents [B, Z] of several pictures; where they are to have one for each level, those of the
    finer half of the levels in reverse order, so that pictures are mixed."""
    if levels is None:
        return latents
    each = at_levels(latents, levels)
    return torch.cat([each[:, : levels // 2], each.flip(0)[:, levels // 2 :]], dim=1)
