"""What should hold of a device, as plain functions: each gives what it found, or raises."""

import os
import time
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from impasto.augmentations import Augmentation
from impasto.collection import Collection
from impasto.device import _allow_tf32, choose_device, on_cpu, set_up_training, wait_for
from impasto.fold import fold_batch_norm
from impasto.registry import module_names
from impasto.sampling import Model, Sampler
from impasto.sampling.tensors import sha256_of_tensors
from impasto.training.data import TrainingPictures

CPU = torch.device("cpu")


class DrawnOnCpu(TorchFunctionMode):
    """Draws random numbers on the CPU and copies them, so that every device gets the same."""

    NEW = (torch.rand, torch.randn, torch.randint, torch.randperm)
    LIKE: ClassVar = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in self.NEW:
            device = kwargs.pop("device", None)
            drawn = func(*args, **kwargs)
            return drawn if device is None else drawn.to(device)
        if func in self.LIKE:
            # In the order of the places, whatever the memory format is.
            drawn = self.LIKE[func](args[0].shape, dtype=args[0].dtype)
            return drawn.to(args[0].device)
        if func is Tensor.uniform_:
            drawn = torch.empty(args[0].shape, dtype=args[0].dtype).uniform_(*args[1:], **kwargs)
            return args[0].copy_(drawn)
        return func(*args, **kwargs)


def each_process_has_its_device(device: torch.device, _: Collection) -> str:
    """LOCAL_RANK chooses the GPU, and makes it the current one."""
    with mock.patch.dict(os.environ, LOCAL_RANK="0"):
        chosen = choose_device(device.type)
    if device.type == "cuda":
        assert chosen == torch.device("cuda:0"), chosen
        assert torch.cuda.current_device() == 0
    return str(chosen)


def _errors(device: torch.device) -> tuple[float, float]:
    """Largest relative errors of a matrix product and a convolution in float32."""
    torch.manual_seed(0)
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    maps, kernel = torch.randn(4, 64, 16, 16), torch.randn(64, 64, 3, 3)
    product, convolved = a.double() @ b.double(), torch.conv2d(maps.double(), kernel.double())
    found = (a.to(device) @ b.to(device)), torch.conv2d(maps.to(device), kernel.to(device))
    one, two = (
        float((mine.cpu().double() - exact).abs().max() / exact.abs().max())
        for mine, exact in zip(found, (product, convolved), strict=True)
    )
    return one, two


def float32_is_ieee_and_tf32_is_not(device: torch.device, _: Collection) -> str:
    """Both settings have the effect that they are for."""
    set_up_training(device, "float32")
    exact = _errors(device)
    assert max(exact) < 2e-6, f"float32 has errors of {exact}"
    if device.type != "cuda":
        return f"errors {max(exact):.1e}"
    _allow_tf32(True)
    coarse = _errors(device)
    _allow_tf32(False)
    return f"errors in float32 {max(exact):.1e}, in TF32 {coarse[0]:.1e} and {coarse[1]:.1e}"


def a_clock_that_waits_sees_more(device: torch.device, _: Collection) -> str:
    """`wait_for` waits: without it, only the asking is timed."""
    side = 256 if device.type == "cpu" else 8192
    a = torch.randn(side, side, device=device)
    wait_for(device)
    began = time.perf_counter()
    for _number in range(10):
        a = a @ a / side
    asked = time.perf_counter() - began
    wait_for(device)
    done = time.perf_counter() - began
    return f"asked in {1000 * asked:.2f} ms, done after {1000 * done:.2f} ms"


def copies_are_whole(device: torch.device, _: Collection) -> str:
    """Many tensors come to the CPU in one wait with all their values, and as the same file."""
    torch.manual_seed(0)
    tensors = [torch.randn(int(size)) for size in np.linspace(1, 200_000, 50)]
    copies = on_cpu([tensor.to(device).mul(2) for tensor in tensors])
    assert all(torch.equal(copy, 2 * tensor) for copy, tensor in zip(copies, tensors, strict=True))
    named = {str(number): tensor for number, tensor in enumerate(tensors)}
    digest = sha256_of_tensors({name: tensor.to(device) for name, tensor in named.items()})
    assert digest == sha256_of_tensors(named)
    return f"{sum(tensor.numel() for tensor in tensors):,} numbers"


def pictures_read_ahead_are_the_same(device: torch.device, packed: Collection) -> str:
    """Batches by the thread are those of the CPU, while the device is busy."""
    here = TrainingPictures(packed, ("style",), 0, CPU, torch.channels_last)
    there = TrainingPictures(packed, ("style",), 0, device, torch.channels_last)
    there._ahead = there._read_ahead()
    busy = torch.randn(512, 512, device=device)
    apart = 0.0
    for start in range(0, 240, 8):
        images, labels = there.shown(start, 8)
        for _number in range(5):
            busy = busy @ busy / 512
        expected, known = here.shown(start, 8)
        apart = max(apart, float((images.cpu() - expected).abs().max()))
        assert torch.equal(labels.cpu(), known)
    assert apart < 1e-6, apart
    return f"largest difference {apart:.1e}"


def the_same_seed_is_the_same_picture(device: torch.device, _: Collection) -> str:
    """Pictures of the model in the package are those of the CPU, to a level of 256."""
    model = Model.load("masters")
    here = model.sample(range(32), batch=16)
    there = Model.load("masters", device).sample(range(32), batch=16)
    rounded = Model.load("masters", device).sample(range(32), batch=16, precision="bfloat16")
    levels = np.abs(there.astype(int) - here)
    assert levels.max() <= 1, f"{levels.max()} levels apart"
    coarse = np.abs(rounded.astype(int) - here).mean()
    assert coarse < 2, f"in bfloat16 {coarse} levels apart"
    return f"{(levels > 0).mean():.1e} of the values a level apart; bfloat16 {coarse:.2f} levels"


def gradients_are_those_of_the_cpu(device: torch.device, _: Collection) -> str:
    """The generator in the package, folded, and all augmentations: gradients to rounding."""
    kinds = tuple(name for name in module_names("augmentations") if not name.startswith("_"))
    network = fold_batch_norm(Model.load("masters").generator)
    augmentation = Augmentation(kinds)
    latents = torch.randn(8, Model.load("masters").latent.size, generator=_generator())
    found = []
    for where in (CPU, device):
        network.to(where)
        inputs = latents.to(where).requires_grad_()
        images = network(inputs, torch.full((8, 1), -1, device=where))
        torch.manual_seed(0)
        with DrawnOnCpu():
            augmentation(images, 1.0).square().mean().backward()
        assert inputs.grad is not None
        found.append(inputs.grad.cpu())
    apart = float((found[1] - found[0]).abs().max() / found[0].abs().max())
    assert apart < 1e-3, apart
    return f"largest difference {apart:.1e}"


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def masters_can_be_sampled_by_name(device: torch.device, _: Collection) -> str:
    """A sampler takes the device's name."""
    model = Model.load("masters")
    (pixels,) = Sampler(model.generator, model.latent, str(device), label_fields=1).batches([7])
    return f"{pixels.shape[1]} px"


CHECKS = (
    each_process_has_its_device,
    float32_is_ieee_and_tf32_is_not,
    a_clock_that_waits_sees_more,
    copies_are_whole,
    pictures_read_ahead_are_the_same,
    the_same_seed_is_the_same_picture,
    gradients_are_those_of_the_cpu,
    masters_can_be_sampled_by_name,
)
