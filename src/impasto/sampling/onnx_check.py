"""Checks of an ONNX file before onnxruntime computes with it, and a limit of the memory for that.

An ONNX file may come from anybody. Its operators only compute numbers, but a loop may never end, weights
may be declared to be in any other file of this machine, and a shape may need any amount of memory.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.files import read_regular, refuse_pointer
from impasto.formatting import error_text
from impasto.resolution import area
from impasto.sampling.records import ModelRecord

MOST_BYTES = 2**30
"""Bytes of the largest ONNX file that is read."""
MOST_STEPS = 2_000
"""Most iterations of a scan: 1,000 steps of a flow model with two passes each."""
_LEAST_MEMORY = 2**29
_TIMES_FILE = 8
_TIMES_PIXELS = 64
"""Memory for a picture, in multiples of its float32 values: more than any network of impasto needs."""


def read_checked(path: Path) -> bytes:
    """Read an ONNX file and check it; returns its contents.

    Raises:
        ImpastoError: it cannot be read; or it has a loop (other than a scan of known length), functions
            of its own, or weights in other files.
    """
    import onnx

    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    refuse_pointer(path, content)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own kinds
        raise ImpastoError(
            f"{path} cannot be opened as an ONNX file ({error_text(error)[:200]}); export it again"
        ) from error
    wrong = _wrong_with(model)
    if wrong:
        raise ImpastoError(
            f"{path} has {wrong}, as no file of impasto export --as onnx has; it is not opened"
        )
    return content


def _wrong_with(model: Any) -> str | None:
    """What a model has that must not be in it, in words for a message; None if nothing."""
    if len(model.functions):
        return "functions of its own"
    return _wrong_in(model.graph, model.graph.initializer, inside=False)


def _wrong_in(graph: Any, constants: Any, *, inside: bool) -> str | None:
    tensors = [*graph.initializer, *(each.values for each in graph.sparse_initializer)]
    lengths = {each.name: max(each.dims, default=0) for each in constants}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            return f"operators of '{node.domain}'"
        if node.op_type in ("Loop", "If"):
            return f"the operator {node.op_type}"
        if node.op_type == "Scan":
            if inside:
                return "a scan in a scan"
            count = sum(each.i for each in node.attribute if each.name == "num_scan_inputs")
            scanned = [lengths.get(name, MOST_STEPS + 1) for name in node.input[-count:]]
            if not 0 < count <= len(node.input) or max(scanned) > MOST_STEPS:
                return "a scan of unknown length"
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                if wrong := _wrong_in(inner, constants, inside=True):
                    return wrong
    if any(each.data_location or len(each.external_data) for each in tensors):
        return "weights in another file"
    return None


def memory_for(record: ModelRecord, size: int, batch: int) -> int:
    """Limit of the memory for painting a batch, in bytes: far more than it should need.

    Args:
        record: of the model.
        size: of its file, in bytes.
        batch: images at a time.
    """
    pixels = 3 * area(record.resolution)
    return _LEAST_MEMORY + _TIMES_FILE * size + _TIMES_PIXELS * 4 * pixels * batch


@contextlib.contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Within this block, the process can allocate at most `more` bytes; beyond that, allocations fail.
    On systems other than Linux there is no limit."""
    try:
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        (taken,) = (
            1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData")
        )
    except (ImportError, OSError, ValueError):
        yield
        return
    before, highest = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [taken + more, *(each for each in (before, highest) if each != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), highest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, highest))
