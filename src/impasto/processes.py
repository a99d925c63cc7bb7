"""The processes that train one run together: one by default, several under `torchrun` or `srun`.

All that they send each other goes through `Processes`. Sums are taken in a fixed binary tree over the
portions of a batch, so they are bit for bit the same for every number of processes.
"""

import contextlib
import datetime
import importlib
import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, _set_pg_timeout
from torch.distributed.rendezvous import rendezvous

from impasto.errors import ImpastoError, StoppedError
from impasto.formatting import counted, one_line
from impasto.messages import LOGGER

T = TypeVar("T")

_MEETING = datetime.timedelta(minutes=10)
"""How long the processes wait for each other to begin with."""

_PATIENCE = datetime.timedelta(days=7)
"""How long a process waits for the others, since the first one may evaluate for hours. A process that
has died is noticed at once, by its closed connection."""


class LostProcessError(ImpastoError):
    """Another process of the run has ended."""


def tree_sum(values: Sequence[Tensor]) -> Tensor:
    """The sum of tensors of one shape: neighbours in pairs, then these sums in pairs, and so on.

    A sum of floating-point numbers depends on its order. This order depends on the number of values
    only, and the sums of aligned blocks of 2^k values are part of it.
    """
    level = list(values)
    while len(level) > 1:
        sums = [level[i] + level[i + 1] for i in range(0, len(level) - 1, 2)]
        level = sums + level[2 * len(sums) :]
    return level[0]


def counts_that_fit(portions: int) -> list[int]:
    """The numbers of processes that can share a batch of so many portions.

    These are 1, and those with 1, 2, 4, ... portions each: then the sum of a process's portions is part
    of the tree of all.
    """
    powers = [2**k for k in range(portions.bit_length())]
    return sorted({1, *(portions // each for each in powers if portions % each == 0)})


def processes_in_words(count: int, portions: int, gradients: int) -> str:
    """How many processes train, how many could, and what they would send.

    Args:
        count: of those that train.
        portions: of a batch.
        gradients: bytes of the gradients of a step.
    """
    fitting = counts_that_fit(portions)
    words = (
        f"{count} of {_listed(fitting)} that can share a batch of {counted(portions, 'portion')}"
    )
    if len(fitting) == 1:
        return f"{words} (more: set training.accumulate)"
    return (
        f"{words}; with more than one, each sends and receives {2 * gradients / 1e6:,.1f} MB a step"
    )


def _listed(numbers: Sequence[int]) -> str:
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True)
class Processes:
    """This process among those that train one run together.

    Attributes:
        rank: its number, from 0; the first one writes, evaluates and prints.
        count: how many there are.
        local_rank: its number on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def portions(self, total: int) -> range:
        """The numbers of this process's portions of a batch.

        Raises:
            ImpastoError: so many processes cannot share a batch of `total` portions.
        """
        if self.count not in counts_that_fit(total):
            fitting = _listed(counts_that_fit(total))
            raise ImpastoError(
                f"a batch of {counted(total, 'portion')} cannot be shared by {self.count} processes, "
                f"only by {fitting}; for {self.count}, set training.accumulate to "
                f"{_listed([self.count * 2**k for k in range(3)])}, and training.batch to a multiple"
            )
        each = total // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of tensors over all processes, in the order of `tree_sum`.

        They travel as one vector. Each process sums one part of it for all, so each sends and receives
        about twice its length, whatever the number of processes.
        """
        if self.count == 1:
            return list(tensors)
        kinds = list(dict.fromkeys(tensor.dtype for tensor in tensors))
        if len(kinds) > 1:  # a plugin's buffer in float64, for example
            sums = {kind: iter(self.sum([t for t in tensors if t.dtype == kind])) for kind in kinds}
            return [next(sums[tensor.dtype]) for tensor in tensors]
        # In the order of memory, which is not copied, and must stay what it is: fused optimisers walk
        # weights and gradients side by side.
        dense = [tensor if _is_dense(tensor) else tensor.contiguous() for tensor in tensors]
        flat = torch.cat([each.as_strided((each.numel(),), (1,)) for each in dense])
        padded = torch.nn.functional.pad(flat, (0, -len(flat) % self.count))
        received = torch.empty_like(padded)
        with _connected():
            dist.all_to_all_single(received, padded)
            mine = tree_sum(received.view(self.count, -1).unbind())
            # The form that every torch from 2.6 on has.
            dist.all_gather(list(padded.view(self.count, -1).unbind()), mine)
        parts = padded[: len(flat)].split([each.numel() for each in dense])
        return [
            part.as_strided(each.shape, each.stride())
            for part, each in zip(parts, dense, strict=True)
        ]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in one of the processes."""
        if self.count == 1:
            return flag
        flags = torch.tensor([int(flag)])
        with _connected():
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _connected():
            dist.all_gather_object(values, value)
        return values

    def on_first(self, work: Callable[[], T]) -> T:
        """The result of `work`, which the first process does alone while the others wait for it.

        Raises:
            ImpastoError: that of `work`, in all processes.
        """
        if self.count == 1:
            return work()
        result: list[Any] = [None, None]
        if self.first:
            try:
                result[0] = work()
            except ImpastoError as error:
                result[1] = error
        with _connected():
            dist.broadcast_object_list(result, src=0)
        if result[1] is not None:
            raise self.agreed(result[1])
        value: T = result[0]
        return value

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """Raise an ImpastoError of the block in all processes, whichever had it.

        Inside the block the processes must not send each other anything.
        """
        error: ImpastoError | None = None
        try:
            yield
        except ImpastoError as caught:
            if self.count == 1:
                raise
            error = caught
        for rank, each in enumerate(self.gather(error)):
            if each is not None:
                raise self.agreed(each if rank == 0 else self._named(each, rank))

    def local_first(self, work: Callable[[], T]) -> T:
        """The result of `work`, which every process does; the first one of each machine does it before
        the others, so that they find what it leaves in a cache.

        Raises:
            ImpastoError: that of `work` in any process, in all of them.
        """
        result: T | None = None
        for turn in (True, False):
            with self.agreeing():
                if (self.local_rank == 0) == turn:
                    result = work()
        return result  # type: ignore[return-value]  # every process had its turn

    def agreed(self, error: ImpastoError) -> ImpastoError:
        """An error that all processes raise now, and the first one reports."""
        error.silent = not self.first
        error.agreed = True
        return error

    def _named(self, error: ImpastoError, rank: int) -> ImpastoError:
        return ImpastoError(f"process {rank} of {self.count}: {error}")


def _is_dense(tensor: Tensor) -> bool:
    """Whether its values lie in memory without gaps, channels first or last."""
    return tensor.is_contiguous() or (
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )


ALONE = Processes()


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            "another process of this run has ended; with torchrun --max-restarts, or the same command "
            "again, it goes on from its newest checkpoint"
        ) from error


def placed(environment: Mapping[str, str]) -> Processes:
    """This process's place as `torchrun` (RANK, WORLD_SIZE, LOCAL_RANK) or `srun` (SLURM_PROCID,
    SLURM_STEP_NUM_TASKS, SLURM_LOCALID) say it in the environment.

    The batch script of Slurm, outside `srun`, is a process of its own.

    Raises:
        ImpastoError: a variable is no number.
    """
    for rank, count, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ):
        if rank in environment and count in environment:
            texts = [environment[rank], environment[count], environment.get(local, "0")]
            if not all(text.isdecimal() for text in texts):
                raise ImpastoError(
                    f"{rank}, {count} and {local} in the environment are {', '.join(texts)}; they must "
                    "be numbers, as torchrun or srun sets them; unset them to train on one process"
                )
            return Processes(*map(int, texts))
    return Processes()


def _meeting_point(environment: Mapping[str, str]) -> str:
    """The address at which the processes meet.

    Raises:
        ImpastoError: Slurm does not say on which machines they are.
    """
    if "MASTER_ADDR" in environment and "MASTER_PORT" in environment:
        return "env://"
    host = environment.get("MASTER_ADDR")
    if host is None:
        command = ["scontrol", "show", "hostnames", environment.get("SLURM_STEP_NODELIST", "")]
        try:
            host = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            raise ImpastoError(
                "cannot find out on which machine the first process is (scontrol show hostnames); set "
                "MASTER_ADDR to its name and MASTER_PORT to a free port"
            ) from None
    # A port of its own for each job on a machine, the same in all its processes.
    port = 20_000 + int(environment.get("SLURM_JOB_ID", "0")) % 20_000
    return f"tcp://{host}:{environment.get('MASTER_PORT', port)}"


def _connect(processes: Processes) -> None:
    """Raises: ImpastoError: the processes do not find each other."""
    # If torch._dynamo imported it later, its functions' defaults would keep the connections, and some
    # processes would be aborted at their end.
    importlib.import_module("torch.distributed.nn.functional")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, _, _ = next(
            rendezvous(
                _meeting_point(os.environ), processes.rank, processes.count, timeout=_MEETING
            )
        )
        # torchrun keeps its store when it starts processes again, with the addresses of the dead ones.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        dist.init_process_group(
            backend,
            store=PrefixStore(f"impasto/{attempt}", store),
            rank=processes.rank,
            world_size=processes.count,
            timeout=_MEETING,
        )
        _set_pg_timeout(_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ImpastoError(
            f"process {processes.rank} of {processes.count} cannot meet the others within "
            f"{_MEETING.seconds} seconds; start all {processes.count}, with the same MASTER_ADDR and "
            f"MASTER_PORT ({one_line(str(error))[:200]})"
        ) from error


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that `torchrun` or `srun` started beside this one; alone without them.

    All but the first are silent meanwhile. Inside another such block, or in a program that has
    initialised torch.distributed itself, its processes are taken.

    Raises:
        ImpastoError: the processes do not find each other.
    """
    processes = placed(os.environ)
    if processes.count == 1 or dist.is_initialized():
        yield processes
        return
    _connect(processes)
    level = LOGGER.level
    if not processes.first:
        LOGGER.setLevel(logging.CRITICAL)
    try:
        yield processes
    except ImpastoError as error:
        cause = error.__cause__
        if error.agreed or getattr(cause, "agreed", False):
            dist.destroy_process_group()
        if processes.first:
            raise
        if isinstance(error, StoppedError | LostProcessError) or getattr(cause, "silent", False):
            error.silent = True
        if error.silent:
            raise
        raise processes._named(error, processes.rank) from error
    finally:
        LOGGER.setLevel(level)
    # Not where one process has failed: the others would wait for it here.
    dist.destroy_process_group()
