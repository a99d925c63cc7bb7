"""The device that is chosen, and how it computes. No test needs a GPU: torch's functions for CUDA are
replaced where one would be asked."""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch

from impasto.device import (
    choose_device,
    machine_record,
    on_cpu,
    set_up_training,
    wait_for,
)
from impasto.errors import ImpastoError

CPU = torch.device("cpu")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[mock.Mock]:
    """A machine that says that it has two GPUs; gives the function that makes one the current one."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    current = mock.Mock()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch, "empty", lambda *_, device: torch.zeros(1))
    flags = (torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")
    benchmark = (torch.backends.cudnn, "benchmark")
    before = [getattr(*flag) for flag in (*flags, benchmark)]
    yield current
    for (owner, name), value in zip((*flags, benchmark), before, strict=True):
        setattr(owner, name, value)


def tf32() -> tuple[bool, bool]:
    """Whether matrix products and convolutions may use TF32."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    for name in ("cuda:99", "cpu:7"):
        with pytest.raises(ImpastoError, match=f"no device '{name}' on this machine"):
            choose_device(name)


def test_each_process_of_a_machine_has_its_own_gpu(
    cuda: mock.Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank, number in (("0", 0), ("1", 1), ("2", 0)):  # the third process shares the first GPU
        monkeypatch.setenv("LOCAL_RANK", rank)
        for name in ("auto", "cuda"):
            assert choose_device(name) == torch.device("cuda", number)
            cuda.assert_called_with(torch.device("cuda", number))
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert choose_device("cpu") == CPU
    monkeypatch.delenv("LOCAL_RANK")
    for name, value in (("PROCID", "3"), ("STEP_NUM_TASKS", "4"), ("LOCALID", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert choose_device("auto") == torch.device("cuda", 1)


def test_a_single_process_takes_the_current_gpu_or_the_one_asked_for(cuda: mock.Mock) -> None:
    assert choose_device("auto") == torch.device("cuda")
    cuda.assert_not_called()
    assert choose_device("cuda:1") == torch.device("cuda:1")
    cuda.assert_called_once_with(torch.device("cuda:1"))


def test_a_rank_that_is_no_number_is_one_line(
    cuda: mock.Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(ImpastoError, match="LOCAL_RANK in the environment is 'first'"):
        choose_device("auto")


def test_float32_is_ieee_unless_training_is_in_mixed_precision(cuda: mock.Mock) -> None:
    torch.backends.cudnn.allow_tf32 = True  # torch's default
    device = choose_device("cuda:1")
    assert tf32() == (False, False)
    assert machine_record(device, "float32")["float32_products"] == "ieee"
    for precision, allowed in (("auto", True), ("float32", False), ("bfloat16", True)):
        torch.backends.cudnn.benchmark = False
        set_up_training(device, precision)
        assert tf32() == (allowed, allowed)
        assert torch.backends.cudnn.benchmark
        said = machine_record(device, precision)["float32_products"]
        assert said == ("tf32" if allowed else "ieee")
    choose_device("cuda:1")  # for sampling, say
    assert tf32() == (False, False)


def test_a_cpu_leaves_the_settings_of_gpus_alone() -> None:
    before = (*tf32(), torch.backends.cudnn.benchmark)
    set_up_training(choose_device("cpu"), "auto")
    assert (*tf32(), torch.backends.cudnn.benchmark) == before
    assert machine_record(CPU, "auto")["float32_products"] == "ieee"


def test_the_record_names_no_rank_s_gpu(cuda: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_record(torch.device("cuda:1"), "auto")["device"] == "cuda:1"
    monkeypatch.setenv("LOCAL_RANK", "1")
    record = machine_record(choose_device("auto"), "auto")
    # A resumed run chooses by it: each process its own again.
    assert (record["device"], record["accelerator"]) == ("cuda", "GPU 1")


def test_a_device_is_waited_for_once_for_all_tensors() -> None:
    with mock.patch("impasto.device.wait_for") as waited:
        copies = on_cpu([torch.tensor([1.0, 2.0]), torch.tensor(3)])
    waited.assert_called_once_with(CPU)
    assert [copy.tolist() for copy in copies] == [[1, 2], 3]
    assert on_cpu([]) == []


def test_waiting_asks_torch_of_what_is_no_cpu() -> None:
    with mock.patch.object(torch.accelerator, "synchronize") as asked:
        wait_for(CPU)
        asked.assert_not_called()
        wait_for(torch.device("cuda:1"))
        asked.assert_called_once_with(torch.device("cuda:1"))
