"""Building the network of a model that may come from anybody, no larger than its weights file."""

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
"""The values that constructors ask for are at most so many times those that are kept in the file:
layers with spectral norm hold theirs twice."""
_BESIDES = 2**26
"""Values besides these: frozen parts, which no file holds."""
_TENSORS_BESIDES = 10_000
_SIZED = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full)
"""The functions that layers make their weights with."""


class _TooLargeError(Exception):
    """A network asks for more values than its file holds."""


class _Bounded(TorchFunctionMode):
    """Inside this context no more than a number of values and tensors are made."""

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


def built(
    make: Callable[[], nn.Module], shapes: TensorShapes, weights: Path, record: Path
) -> nn.Module:
    """Build a network, and check that it has the tensors of its weights file.

    Args:
        make: builds it, as its record says.
        shapes: of the tensors in the file.
        weights: the file, for messages.
        record: the file of the record, for messages.

    Raises:
        ImpastoError: it cannot be built, or is larger than the file or otherwise not what is in it.
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
