"""Build the network of an untrusted model, without allocating much more than its weights file holds."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from impasto.errors import ImpastoError
from impasto.formatting import error_text
from impasto.sampling.tensors import TensorShapes

_TIMES = 4
"""Constructors may allocate this many times the values in the file: layers with spectral norm hold their
weights twice."""
_BESIDES = 2**26
"""Further values that they may allocate, for frozen parts, which are in no file."""
_TENSORS_BESIDES = 10_000
_SIZED = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full)
"""The torch functions with which layers allocate their weights."""


class _TooLargeError(Exception):
    """A network asks for more values than its file holds."""


class _Bounded(TorchFunctionMode):
    """Within this context, allocating more than a number of values or tensors raises
    `_TooLargeError`."""

    def __init__(self, values: int, tensors: int) -> None:
        super().__init__()
        self.values, self.tensors = values, tensors

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _SIZED:
            first = args[0] if args else kwargs.get("size", ())
            size = args if isinstance(first, int) and func is not torch.full else first
            self.values -= math.prod(size)
            self.tensors -= 1
            if self.values < 0 or self.tensors < 0:
                raise _TooLargeError
        return func(*args, **kwargs)


def build_bounded(
    make: Callable[[], nn.Module], shapes: TensorShapes, weights: Path, record: Path
) -> nn.Module:
    """Build a network, and check that it has the tensors of its weights file.

    Args:
        make: builds the network that the record describes.
        shapes: shapes of the tensors in the weights file, by name.
        weights: path of the weights file, for messages.
        record: path of the record, for messages.

    Raises:
        ImpastoError: it cannot be built, it is larger than the file, or its tensors are not those of the
            file.
    """
    held = sum(math.prod(shape) for shape in shapes.values())
    try:
        with _Bounded(_TIMES * held + _BESIDES, _TIMES * len(shapes) + _TENSORS_BESIDES):
            network = make()
    except ImpastoError:
        raise
    except _TooLargeError:
        raise ImpastoError(
            f"{weights} does not fit the network in {record.name}, which is larger; restore a copy"
        ) from None
    except Exception as error:
        raise ImpastoError(
            f"the network in {record} cannot be built ({error_text(error)}); restore a copy"
        ) from error
    _check(network.state_dict(), shapes, weights, record)
    return network


def _check(state: Mapping[str, Tensor], shapes: TensorShapes, weights: Path, record: Path) -> None:
    """Raises: ImpastoError: a file does not hold the tensors of a network."""
    wrong = f"{weights} does not fit the network in {record.name}"
    for name, tensor in state.items():
        if name not in shapes:
            raise ImpastoError(f"{wrong}: it has no {name}")
        if tuple(tensor.shape) != shapes[name]:
            raise ImpastoError(
                f"{wrong}: its {name} is {list(shapes[name])}, and {list(tensor.shape)} in the network"
            )
    if more := shapes.keys() - state.keys():
        raise ImpastoError(f"{wrong}, which has no {min(more)}")
