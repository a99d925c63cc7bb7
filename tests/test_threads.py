"""The number of threads follows what is measured; here on a made-up machine with its own clock."""

from collections.abc import Iterator

import pytest
import torch

from impasto.threads import ThreadChoice, chosen_threads, is_crowded, threads_a_process


class Machine:
    """Cores that other programs hold, or not, and a unit of work on them.

    Attributes:
        others: cores that other programs hold.
        work: seconds of a unit with one thread.
        blind: whether looks at the cores find them free always.
        waited: seconds that threads have waited for cores, where the system says so.
        share: of the threads' time, waited although no other program holds a core.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.others = 0
        self.work = 1.0
        self.now = 0.0
        self.looks = 0
        self.blind = False
        self.waited: float | None = None
        self.share = 0.0
        self.choice = ThreadChoice(
            cores, crowded=self.crowded, clock=lambda: self.now, waited=lambda: self.waited
        )

    def crowded(self, threads: int) -> bool:
        self.looks += 1
        self.now += 0.02
        return threads + self.others > self.cores and not self.blind

    def unit(self) -> None:
        with self.choice.unit():
            threads = self.choice.threads
            assert torch.get_num_threads() == threads
            waits = threads > 1 and threads + self.others > self.cores
            seconds = self.work * (30 if waits else threads**-0.8)
            self.now += seconds
            if self.waited is not None:
                self.waited += (0.25 if waits else self.share) * threads * seconds

    def units(self, count: int) -> float:
        """The mean seconds of so many units."""
        before = self.now
        for _ in range(count):
            self.unit()
        return (self.now - before) / count


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_quiet_machine_is_left_alone() -> None:
    machine = Machine(2)
    machine.units(1000)
    assert (machine.choice.threads, machine.choice.changes, machine.looks) == (2, [], 1)


@pytest.mark.parametrize("cores", [2, 4, 8])
def test_beside_another_program_it_is_no_slower_than_one_thread(
    cores: int, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(cores)
    machine.others = 1
    assert machine.units(300) <= 1 / 0.9  # of one thread's second
    assert machine.choice.threads == {2: 1, 4: 3, 8: 7}[cores]
    machine.others = 0
    machine.units(300)
    assert machine.choice.threads == cores
    before = machine.now
    machine.others = cores - 1
    machine.units(2000)
    assert machine.choice.threads == 1
    assert (machine.now - before) / 2000 <= 1 / 0.9


def test_a_program_that_begins_and_ends_on_the_way(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "impasto")
    machine = Machine(2)
    machine.units(20)
    machine.others = 1
    machine.units(40)
    assert machine.choice.changes == [1]
    machine.others = 0
    machine.units(40)
    assert machine.choice.changes == [1, 2]
    first, second = caplog.messages
    assert first == "computing with 1 thread: a step takes 1 s with it and took 30 s with 2"
    assert second.startswith("computing with 2 threads: a step takes 0.57 s")


def test_a_program_that_the_first_look_misses() -> None:
    machine = Machine(2)
    machine.others, machine.blind, machine.waited = 1, True, 0.0
    machine.unit()
    machine.unit()
    assert (machine.choice.threads, machine.choice.changes) == (1, [1])
    machine.blind = False
    assert machine.units(300) < 1.01
    machine.others = 0
    machine.units(300)
    assert machine.choice.changes == [1, 2]


def test_threads_that_wait_but_are_faster_than_fewer() -> None:
    machine = Machine(2)
    machine.waited, machine.share = 0.0, 0.25
    machine.units(1000)
    # One thread is tried now and then: after 2, 4, 8, ... 60, 60 seconds.
    assert machine.choice.threads == 2
    assert machine.choice.changes == [1, 2] * (len(machine.choice.changes) // 2)
    assert 5 < len(machine.choice.changes) // 2 < 20


def test_larger_units_are_not_taken_for_other_programs() -> None:
    machine = Machine(2)
    machine.units(20)
    machine.work = 5.0
    machine.units(50)
    # One thread was tried, and its steps have other bits than those before.
    assert (machine.choice.threads, machine.choice.changes) == (2, [1, 2])
    machine.work = 1.0
    machine.units(20)
    machine.work = 5.0
    before = machine.now
    machine.units(100)
    assert machine.choice.threads == 2
    assert (machine.now - before) / 100 < 1.1 * 5 * 2**-0.8


def test_one_unit_in_sixteen_may_be_larger() -> None:
    machine = Machine(2)
    for number in range(320):
        machine.work = 2.0 if number % 16 == 0 else 1.0
        machine.unit()
    assert machine.choice.changes == []


def test_one_thread_has_no_choice() -> None:
    machine = Machine(1)
    machine.others = 1
    machine.units(10)
    assert (machine.looks, machine.choice.changes) == (0, [])


def test_what_the_user_has_fixed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    with chosen_threads("step") as free:
        assert free.counts == [2, 1]
        with free.unit(), chosen_threads("batch") as inner:
            assert inner.counts == [1]  # the number is that of the outer unit
        with chosen_threads("batch") as beside:
            assert beside.counts[-1] == 1
        torch.set_num_threads(1)
    assert torch.get_num_threads() == 2
    with chosen_threads("step", free=False) as bound:
        assert bound.counts == [1]
        with bound.unit():
            assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with chosen_threads("step") as fixed:
        assert fixed.counts == [1]


def test_looking_leaves_the_number_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    assert isinstance(is_crowded(2), bool)
    assert torch.get_num_threads() == 1
    # Where the system says how long threads wait for cores, it is asked.
    for share, expected in ((0.05, False), (0.25, True)):
        seconds = [0.0]

        def passed(seconds: list[float] = seconds) -> float:
            seconds[0] += 0.001
            return seconds[0]

        def waited(seconds: list[float] = seconds, share: float = share) -> float:
            return 2 * share * seconds[0]

        monkeypatch.setattr("impasto.threads.time.perf_counter", passed)
        monkeypatch.setattr("impasto.threads.waited", waited)
        assert is_crowded(2) is expected
    monkeypatch.setattr("impasto.threads.waited", lambda: None)
    # A sum by two threads that takes a thousand times as long waits for a core.
    times = iter([0.0, 10.0, 20.0, *(20 + 0.01 * k for k in range(1, 99))])
    monkeypatch.setattr("impasto.threads.time.perf_counter", lambda: next(times))
    assert is_crowded(2)


def test_several_processes_use_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert (threads_a_process(4, 1), threads_a_process(4, 2)) == (4, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert (threads_a_process(4, 1), threads_a_process(4, 2)) == (4, 2)
