"""Estimate a run's memory and time from a few measured steps."""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.device import choose_device, set_threads, wait_for
from impasto.messages import say
from impasto.networks import count_parameters
from impasto.processes import ALONE, Processes
from impasto.resolution import recorded
from impasto.threads import threads_a_process
from impasto.training.evaluation import require_networks
from impasto.training.memory import explain_out_of_memory, require_memory
from impasto.training.pretrained import PretrainedModel
from impasto.training.resolve import label_sizes, resolve
from impasto.training.session import Session
from impasto.training.transfer import Transfer, begin, settled, two_stage_error

_PATIENCE = 20
"""Seconds after which no more steps are measured."""


@dataclass(frozen=True)
class Estimate:
    """The result of `estimate`."""

    config: RunConfig
    generator_parameters: int
    discriminator_parameters: int
    images_per_second: float
    seconds: float
    memory_bytes: int | None
    """Peak memory: of the device on CUDA, of the whole process elsewhere; None if the system does not
    report it."""
    first_stage: "Estimate | None" = None
    """The estimate of the first stage, if there is one."""
    transfer: Transfer | None = None
    """The layers that would be copied from the starting model, if there is one."""
    processor_share: float | None = None
    """CPU time of the process divided by wall time times threads, 0 to 1: low if other programs use the
    processor. None on other devices."""
    processes: Processes = ALONE
    """The processes that the steps were measured with."""
    encoding_seconds: float | None = None
    """Time to encode the pictures before training; None if they are encoded already or need not be."""

    @property
    def stages(self) -> list["Estimate"]:
        """The estimates of all stages, the first one first."""
        return [*(self.first_stage.stages if self.first_stage is not None else ()), self]

    def numbers(self) -> dict[str, Any]:
        """Time and memory of all stages together, and the time of each, with that of encoding."""
        stages = [
            {
                "resolution": recorded(each.config.resolution),
                "images": each.config.training.images,
                "images_per_second": each.images_per_second,
                "seconds": each.seconds + (each.encoding_seconds or 0),
                "processor_share": each.processor_share,
            }
            for each in self.stages
        ]
        memory = [each.memory_bytes for each in self.stages if each.memory_bytes is not None]
        return {
            "seconds": sum(stage["seconds"] for stage in stages),
            "memory_bytes": max(memory, default=None),
            "stages": stages,
        }

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradients of all updates of a step, which the processes have to add up."""
        training = self.config.training
        return 4 * (
            self.config.discriminator_steps * self.discriminator_parameters
            + training.generator_steps * self.generator_parameters
        )


def estimate(
    config: RunConfig,
    collection: Collection,
    device: str = "auto",
    steps: int = 5,
    start_from: Path | None = None,
    processes: Processes = ALONE,
) -> Estimate:
    """Train a few steps and calculate from their median; nothing is written.

    Of several processes, all call this.

    Raises:
        ImpastoError: as `train`.
    """
    set_threads(threads_a_process(torch.get_num_threads(), processes.count))
    chosen = choose_device(device)
    source = None if start_from is None else PretrainedModel.load(start_from)
    if source is not None and config.first_stage is not None and not config.grows:
        raise two_stage_error(config.recipe)
    config = resolve(config, collection)
    processes.portions(config.training.accumulate)
    if source is not None:
        config = settled(config, collection, source)
    require_networks(config)
    first = None
    if config.first_stage is not None:
        first = estimate(config.first_stage, collection, device, steps, start_from, processes)
        source = None  # The first stage starts from it.
    sizes = label_sizes(config, collection)
    require_memory(config, sizes, chosen, careful=True)
    with explain_out_of_memory(config, sizes, chosen):
        return _measure(config, collection, chosen, steps, source, first, processes)


def _measure(
    config: RunConfig,
    collection: Collection,
    chosen: torch.device,
    steps: int,
    source: PretrainedModel | None,
    first: Estimate | None,
    processes: Processes,
) -> Estimate:
    """The estimate of a resolved config, from steps that are trained here; see `estimate`."""
    session = Session(config, collection, chosen, processes, few=True)
    taken = None if source is None else begin(session.state, source, session.model_record())
    session.prepare()
    # Measure full steps, not those of a pretraining phase.
    before = session.state.images_seen = config.training.pretrain_images
    say(f"measuring some steps at {config.resolution} pixels ...", to_stderr=True)
    times: list[float] = []
    worked, waited = time.process_time(), time.monotonic()
    # The first step warms up; if steps take long, one more is enough.
    while len(times) < steps + 1 and (len(times) < 2 or processes.any(sum(times) < _PATIENCE)):
        began = time.monotonic()
        session.trainer.step()
        wait_for(chosen)
        times.append(time.monotonic() - began)
    worked, waited = time.process_time() - worked, time.monotonic() - waited
    images_a_step = (session.state.images_seen - before) / len(times)
    rate = images_a_step / statistics.median(times[1:])  # the first one warms up
    assert config.training.images
    return Estimate(
        config,
        count_parameters(session.state.generator),
        count_parameters(session.state.discriminator),
        rate,
        config.training.images / rate,
        _peak_memory(chosen),
        first,
        taken,
        worked / (waited * torch.get_num_threads()) if chosen.type == "cpu" else None,
        processes,
        session.pictures.encoding_seconds,
    )


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
