"""Several processes train the run that one would train. All recipes: tests_processes/."""

import copy
import datetime
import json
import math
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto import _start
from impasto import processes as module
from impasto.collection import Collection
from impasto.errors import ImpastoError, StoppedError
from impasto.processes import (
    ALONE,
    Processes,
    counts_that_fit,
    joined,
    placed,
    processes_in_words,
    tree_sum,
)
from impasto.training import train
from impasto.training.doctor import DivergedError
from impasto.training.portions import BatchUpdate, Buffers, TreeSum
from impasto.training.state import TrainState
from impasto.training.trainer import Trainer
from tests.helpers.command_line import invoke
from tests.helpers.processes import ended, start
from tests.helpers.trained_weights import entry, in_portions, trained
from tests.helpers.training import session, small


def test_a_tree_sum_by_hand() -> None:
    # In float32 1 is lost beside 2^25, so the order shows.
    big, one = torch.tensor([2.0**25]), torch.tensor([1.0])
    assert tree_sum([big, one, one, one]).item() == 2.0**25  # (big + 1) + (1 + 1)
    assert tree_sum([one, one, one, one, big]).item() == 2.0**25 + 4
    assert tree_sum([big]).item() == 2.0**25


@pytest.mark.parametrize("count", range(1, 18))
def test_one_after_another_or_all_at_once_is_the_same_sum(count: int) -> None:
    torch.manual_seed(count)
    values = [torch.randn(50) * 10 ** torch.randn(50) for _ in range(count)]
    streamed = TreeSum()
    for value in values:
        streamed.add([value, -value])
    first, second = streamed.total()
    assert torch.equal(first, tree_sum(values))
    assert torch.equal(second, -first)


@pytest.mark.parametrize("portions", [1, 2, 3, 4, 6, 8, 12])
def test_processes_that_fit_sum_in_the_order_of_one(portions: int) -> None:
    torch.manual_seed(portions)
    values = [torch.randn(50) * 10 ** torch.randn(50) for _ in range(portions)]
    for count in range(1, portions + 1):
        places = [Processes(rank, count) for rank in range(count)]
        if count not in counts_that_fit(portions):
            with pytest.raises(ImpastoError, match=rf"only by .*; for {count}, set"):
                places[0].portions(portions)
            continue
        shares = [place.portions(portions) for place in places]
        assert [number for share in shares for number in share] == list(range(portions))
        sums = [tree_sum([values[number] for number in share]) for share in shares]
        assert torch.equal(tree_sum(sums), tree_sum(values)), (portions, count)


def test_numbers_that_fit() -> None:
    assert counts_that_fit(1) == [1]
    assert counts_that_fit(6) == [1, 3, 6]
    assert counts_that_fit(8) == [1, 2, 4, 8]
    assert processes_in_words(2, 4, 500_000) == (
        "2 of 1, 2 or 4 that can share a batch of 4 portions; with more than one, each sends and "
        "receives 1.0 MB a step"
    )
    assert processes_in_words(1, 1, 5) == (
        "1 of 1 that can share a batch of 1 portion (more: set training.accumulate)"
    )


def test_the_place_of_a_process() -> None:
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    slurm = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "3"}
    assert placed({}) == ALONE
    assert placed(torchrun) == Processes(5, 8, 1)
    assert placed(slurm) == Processes(3, 4, 3)
    # A batch script, outside srun, and torchrun inside one.
    assert placed({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == ALONE
    assert placed(torchrun | slurm) == Processes(5, 8, 1)


def test_a_place_that_is_no_number_is_one_line() -> None:
    with pytest.raises(ImpastoError, match=r"RANK, WORLD_SIZE and LOCAL_RANK .* are gold, 2, 0; "):
        placed({"RANK": "gold", "WORLD_SIZE": "2"})


def test_others_that_never_start_are_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "1"}
    for name, value in {**slurm, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "_MEETING", datetime.timedelta(seconds=1))
    with pytest.raises(ImpastoError) as caught, joined():
        pass
    told = str(caught.value)
    assert told.startswith("process 1 of 2 cannot meet the others within 1 seconds; start all 2, ")
    assert "\n" not in told


def test_where_the_processes_of_slurm_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "subprocess.run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 0, stdout=f"{command[3]}-1\n{command[3]}-2\n"
        ),
    )
    slurm = {"SLURM_STEP_NODELIST": "node", "SLURM_JOB_ID": "70123"}
    assert module._meeting_point(slurm) == "tcp://node-1:30123"
    assert module._meeting_point({**slurm, "MASTER_ADDR": "a"}) == "tcp://a:30123"
    assert module._meeting_point({"MASTER_ADDR": "a", "MASTER_PORT": "5"}) == "env://"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImpastoError, match="set MASTER_ADDR"):
        module._meeting_point(slurm)


def test_alone_nothing_is_asked_of_others() -> None:
    with joined() as here:
        assert here == ALONE
        assert here.gather(3) == [3]
        assert here.any(True)
        assert not here.any(False)
        assert here.on_first(lambda: 4) == 4
        assert here.local_first(lambda: 5) == 5
        (same,) = here.sum([value := torch.ones(2)])
        assert same is value
        with pytest.raises(ImpastoError, match=r"^broken$"), here.agreeing():
            raise ImpastoError("broken")


def test_errors_travel_between_processes() -> None:
    for error in (DivergedError("not finite", "The numbers are not finite."), StoppedError("so")):
        sent = pickle.loads(pickle.dumps(error))
        assert type(sent) is type(error)
        assert str(sent) == str(error)
    assert pickle.loads(pickle.dumps(DivergedError("a", "b"))).symptom == "a"
    ended_by_batch_system = pickle.loads(pickle.dumps(StoppedError("so", ended=True)))
    assert (ended_by_batch_system.exit_code, StoppedError("so").exit_code) == (0, 130)


PROGRAM = """
import torch
from impasto.errors import ImpastoError
from impasto.processes import joined

with joined() as here:
    rank = float(here.rank)
    weight = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last) * (rank + 1)
    summed, one, gap = here.sum([weight, torch.tensor(rank + 1), torch.arange(6.0)[::2]])
    assert torch.equal(summed, 3 * torch.arange(24.0).view(2, 3, 2, 2)), summed
    assert summed.stride() == weight.stride()
    assert one.item() == 3 and gap.tolist() == [0, 4, 8]
    exact = torch.tensor([1 + 2**-40], dtype=torch.float64)
    double, single = here.sum([exact, torch.ones(2)])
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    assert torch.equal(double, 2 * exact) and single.tolist() == [2, 2]
    assert here.any(here.rank == 1) and not here.any(False)
    assert here.gather(here.rank * 10) == [0, 10]
    assert here.on_first(lambda: here.rank) == 0
    for rank in (0, 1):
        try:
            with here.agreeing():
                if here.rank == rank:
                    raise ImpastoError("broken")
        except ImpastoError as error:
            print(rank, error, error.silent)
    def work():
        if here.rank == 1:
            raise ImpastoError("late")
        return 1
    try:
        here.local_first(work)
    except ImpastoError as error:
        print(error, error.silent)
    from torch.distributed.nn import functional  # torch._dynamo imports it
    assert functional.broadcast.__defaults__ == (None,)  # not the processes, which would stay connected
    try:
        here.on_first(lambda: (_ for _ in ()).throw(ImpastoError("at the end")))
    except ImpastoError as error:
        print(error.agreed)
        raise
"""


def test_two_processes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    first, second = ended(start(2, [tmp_path / "program.py"]))
    told = "0 broken {0}\n1 process 1 of 2: broken {0}\nprocess 1 of 2: late {0}\nTrue\n"
    assert first[1] == told.format(False), first
    assert second[1] == told.format(True), second
    for code, _, err in (first, second):
        assert code == 1
        assert "ImpastoError: at the end" in err


def test_two_processes_train_as_one(labelled: Collection) -> None:
    # Batch norm, adaptive augmentation, several critic steps and a penalty, spectral norm and dropout,
    # several generator steps, mixed batches.
    published = "artgan_published,training.generator_steps=2,training.mix_batches=0.3"
    recipes = ["flagship_32", "gangogh_style_genre", published, "fastgan_256"]
    program = ["-m", "tests.helpers.trained_weights", labelled.path, 2, *recipes]
    told = ended(start(2, program))
    for code, _, err in told:
        assert code == 0, err
    first, second = (json.loads(out) for _, out, _ in told)
    for recipe in recipes:
        alone, statistics = trained(entry(recipe), labelled, 2, ALONE)
        assert first[recipe] == second[recipe]
        assert first[recipe][0] == alone, recipe
        for name, value in statistics.items():
            assert first[recipe][1][name] == value or math.isnan(value), (recipe, name)


def test_buffers_are_those_of_one_pass_over_the_batch(tiny: Collection) -> None:
    """Running statistics are the mean of the portions', and a portion does not see another's."""
    ready = session(
        small(training__accumulate=4, training__pretrain_images=8, training__precision="float32"),
        tiny,
    )
    seen: list[Any] = []
    norm = next(
        module
        for module in ready.state.discriminator.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    )
    norm.register_forward_hook(
        lambda module, given, _: seen.append(
            (given[0].detach().mean(dim=(0, 2, 3)), module.running_mean.clone())
        )
    )
    ready.trainer.step()
    assert len(seen) == 8  # real and generated pictures of four portions
    momentum = norm.momentum or 0.0
    for mean, running in seen[::2]:
        # The first pass of every portion begins with the statistics of the update's beginning: none.
        torch.testing.assert_close(running, momentum * mean)
    ends = torch.stack([running for _, running in seen[1::2]])
    torch.testing.assert_close(norm.running_mean, ends.mean(dim=0))
    assert int(norm.num_batches_tracked or 0) == 2


def test_portions_have_their_own_pictures_and_randomness(labelled: Collection) -> None:
    ready = session(in_portions("fastgan_256"), labelled)
    shown, painted = [], []
    original = ready.pictures.shown

    def noted(start: int, count: int, mirrored: torch.Tensor | None = None) -> Any:
        shown.append((start, count))
        return original(start, count, mirrored)

    ready.pictures.shown = noted  # type: ignore[method-assign]
    ready.state.generator.register_forward_hook(
        lambda _, given, made: painted.append((given[0].clone(), made.detach().clone()))
    )
    for _ in range(2):
        ready.trainer.step()
    one = [(0, 2), (2, 2), (4, 2), (6, 2)]
    two = [(start + 8, count) for start, count in one]
    assert shown == [*one, *one, *two, *two]
    for step in (painted[:8], painted[8:]):
        # The generator's update sees the images of the discriminator's, though its spectral norm has
        # gone on meanwhile.
        for (latents, images), (again, others) in zip(step[:4], step[4:], strict=True):
            assert torch.equal(latents, again)
            assert torch.equal(images, others)
    latents = [found for step in (painted[:4], painted[8:12]) for found, _ in step]
    assert len({tuple(each.flatten().tolist()) for each in latents}) == 8


class Replacing(torch.nn.Module):
    """A network that puts a new tensor in its buffer's place."""

    middle: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.unused = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("middle", torch.zeros(()))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.middle = 0.5 * self.middle + values.mean()
        return self.weight * values + self.middle


def test_buffers_that_a_network_replaces() -> None:
    network = Replacing()
    parameters = list(network.parameters())
    batch = BatchUpdate(parameters, Buffers(network), ALONE, 2)
    for number in batch.numbers:
        with batch.portion(number) as noted:
            noted["n"] = (torch.ones(()), torch.ones(()))
            network(torch.full((2,), number + 1.0)).sum().backward()
            assert network.middle.item() == number + 1  # each begins with that of the beginning
    batch.finish()
    assert network.middle.item() == 1  # that of the first portion
    assert parameters[0].grad is not None
    assert parameters[0].grad.item() == 2 * 1 + 2 * 2

    average = copy.deepcopy(network)
    optimiser = torch.optim.SGD(parameters)
    state = TrainState(network, network, average, optimiser, optimiser)
    for _ in range(2):
        network(torch.ones(2))
        state.update_average(1, 1.0)
        assert average.middle.item() == network.middle.item()


def test_a_gradient_in_one_portion_only_is_one_line() -> None:
    network = Replacing()
    batch = BatchUpdate(list(network.parameters()), Buffers(network), ALONE, 2)
    with batch.portion(0) as noted:
        noted["n"] = (torch.ones(()), torch.ones(()))
        network.weight.square().backward()
    with pytest.raises(ImpastoError, match=r"set training\.accumulate to 1"), batch.portion(1):
        network.unused.square().backward()


RESUME = """
import os, sys
from impasto._start import main
os.chdir(sys.argv[1 + int(os.environ["RANK"])])
del sys.argv[1:3]
main()
"""


def test_only_the_first_process_has_the_run(labelled: Collection, tmp_path: Path) -> None:
    run = train(small("artgan", training__accumulate=2), labelled, run=tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "program.py").write_text(RESUME)
    places = [tmp_path, tmp_path / "elsewhere"]
    arguments = ["resume", run.name, "--images", 80]
    first, second = ended(start(2, [tmp_path / "program.py", *places, *arguments]))
    assert first[0] == second[0] == 0, (first, second)
    assert first[1].count("finished: run") == 1
    assert second[1:] == ("", "")


def test_the_first_stage_can_be_sent(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and tensors can; a network with spectral norm cannot."""
    sent = []

    def on_first(self: Processes, work: Any) -> Any:
        sent.append(value := work())
        return value

    monkeypatch.setattr(Processes, "on_first", on_first)
    lengths = {"training__images": 8, "first_stage__training__images": 8}
    train(small("gantor_v2", **lengths), labelled, out=tmp_path)
    assert not any(isinstance(each, torch.nn.Module) for each in sent)


def test_a_process_whose_others_still_train_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []

    def stop() -> None:
        raise SystemExit(2)

    monkeypatch.setattr("impasto.cli.main", stop)
    monkeypatch.setattr("os._exit", codes.append)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for connected in (False, True):
        monkeypatch.setattr("torch.distributed.is_initialized", lambda found=connected: found)
        with pytest.raises(SystemExit):
            _start.main()
    assert codes == [2]


def test_a_run_by_name_begins_or_goes_on(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = small("artgan"), tmp_path / "my-run"
    with monkeypatch.context() as patch:
        step = Trainer.step

        def interrupted(self: Trainer) -> Any:
            if self.state.steps == 3:
                raise KeyboardInterrupt
            return step(self)

        patch.setattr(Trainer, "step", interrupted)
        with pytest.raises(StoppedError, match="impasto resume"):
            train(config, labelled, run=run, device="cpu")
    assert train(config, labelled, run=run, device="cpu") == run
    whole = train(config, labelled, out=tmp_path, device="cpu")
    last = "checkpoints/000000000064/generator.safetensors"
    assert (run / last).read_bytes() == (whole / last).read_bytes()
    # Finished, it stays as it is; another config, or another collection, is refused.
    before = (run / "stats.jsonl").read_bytes()
    train(config, labelled, run=run, device="cpu")
    assert (run / "stats.jsonl").read_bytes() == before
    with pytest.raises(ImpastoError, match=r"with training.seed 0, not 3; .*impasto resume"):
        train(small("artgan", training__seed=3), labelled, run=run, device="cpu")
    assert (run / "stats.jsonl").read_bytes() == before
    with pytest.raises(ImpastoError, match="exists already"):
        train(config, labelled, run=tmp_path, device="cpu")


def test_going_on_by_name_reads_the_collection_once(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = small("artgan"), tmp_path / "run"
    train(config, labelled, run=run, device="cpu")
    verified: list[Path] = []
    verify = Collection.verify

    def noted(self: Collection) -> None:
        verified.append(self.path)
        verify(self)

    monkeypatch.setattr(Collection, "verify", noted)
    train(config, labelled, run=run, device="cpu")
    assert len(verified) == 1


def test_the_command_takes_a_run_by_name(labelled: Collection, tmp_path: Path) -> None:
    arguments = ["train", "artgan", "--data", labelled.path, "--images", 16]
    for name in ("batch=8", "grid=4", "samples_every=16", "accumulate=2"):
        arguments += ["--set", f"training.{name}"]
    for name in ("resolution=32", "generator.width=4", "discriminator.width=4"):
        arguments += ["--set", name]
    code, told = invoke(*arguments, "--run", tmp_path / "a")
    assert code == 0, told
    assert f"finished: {tmp_path / 'a'}" in told
    code, again = invoke(*arguments, "--run-folder", tmp_path / "a")
    assert code == 0, again
    code, told = invoke(*arguments, "--dry-run")
    assert "processes:     1 of 1 or 2 that can share a batch of 2 portions" in told
