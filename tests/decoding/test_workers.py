"""The time limit an item, with processes and a clock that are played."""

import math
import pickle
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.decoding import workers as workers
from impasto.decoding.workers import DiedError, in_order

LIMIT = 2.0
HANGS = math.inf


@dataclass
class Stage:
    """The clock, and the processes that work by it. An item is the seconds that it takes."""

    now: float = 1000.0
    start_up: float = 0.0
    """Seconds until a process is ready."""
    stops: list[float] = field(default_factory=list)
    """When all is stopped for a minute, as by Ctrl-Z."""
    processes: list["Process"] = field(default_factory=list)
    waits: int = 0

    def monotonic(self) -> float:
        return self.now

    def start(self, function: Callable[[float], float]) -> "workers._Worker[float]":
        process: Any = Process(self)
        self.processes.append(process)
        return workers._Worker(process, process)

    def wait(self, connections: list["Process"], most: float) -> list["Process"]:
        self.waits += 1
        ends = min(each.next_answer() for each in connections)
        self.now = max(self.now, min(ends, self.now + most))
        if self.stops and self.now >= self.stops[0]:
            del self.stops[0]
            self.now += 60
            for process in self.processes:
                process.answers = deque((ends + 60, told) for ends, told in process.answers)
        return [each for each in connections if each.next_answer() <= self.now]


class Process:
    """A process and its connection: answers, each with when it is there."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.answers: deque[tuple[float, Any]] = deque()
        self.answers.append((stage.now + stage.start_up, workers._READY))

    def next_answer(self) -> float:
        return self.answers[0][0] if self.answers else math.inf

    def send_bytes(self, message: bytes) -> None:
        index, seconds = pickle.loads(message)
        pending = self.answers[-1][0] if self.answers else self.stage.now
        self.answers.append((max(self.stage.now, pending) + seconds, (index, seconds)))

    def recv(self) -> Any:
        assert self.next_answer() <= self.stage.now
        return self.answers.popleft()[1]

    def kill(self) -> None:
        self.answers.clear()

    def join(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=stage.monotonic))
    monkeypatch.setattr(workers, "wait", stage.wait)
    monkeypatch.setattr(workers, "_start", stage.start)
    return stage


def died(results: Iterable[float | DiedError], items: list[float]) -> list[int]:
    """Which items died; all others have their results, in order."""
    results = list(results)
    lost = [number for number, result in enumerate(results) if isinstance(result, DiedError)]
    kept = [number for number in range(len(items)) if number not in lost]
    assert [results[number] for number in kept] == [items[number] for number in kept]
    return lost


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_limit_begins_anew_with_each_item(stage: Stage, processes: int) -> None:
    items = [0.9 * LIMIT] * 40
    assert list(in_order(float, items, processes, ahead=8, seconds=LIMIT)) == items


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_an_item_that_takes_too_long_costs_itself_alone(stage: Stage, processes: int) -> None:
    """Items behind it in the same process have all of their time."""
    items = [(0.0, 0.9 * LIMIT, 1.3 * LIMIT, HANGS)[number * 7 % 4] for number in range(40)]
    results = in_order(float, items, processes, ahead=8, seconds=LIMIT)
    assert died(results, items) == [number for number in range(40) if items[number] > LIMIT]
    # None is waited for much longer than the limit.
    assert stage.now - 1000 <= sum(min(item, 1.11 * LIMIT) for item in items)


def test_the_start_of_a_process_does_not_count(stage: Stage) -> None:
    stage.start_up = 10 * LIMIT
    items = [0.9 * LIMIT, HANGS, *[0.9 * LIMIT] * 8]
    assert died(in_order(float, items, 2, ahead=4, seconds=LIMIT), items) == [1]


def test_waiting_for_an_item_does_not_count(stage: Stage) -> None:
    """A process has nothing to do while another's item is waited for."""
    items = [HANGS, *[0.9 * LIMIT] * 8]
    assert died(in_order(float, items, 2, ahead=2, seconds=LIMIT), items) == [0]


def test_time_in_which_results_are_used_does_not_count(stage: Stage) -> None:
    items = [HANGS if number == 7 else 0.9 * LIMIT for number in range(20)]
    results = []
    for result in in_order(float, items, 2, ahead=8, seconds=LIMIT):
        results.append(result)
        stage.now += 10 * LIMIT
    assert died(results, items) == [7]


def test_a_stop_of_all_does_not_count(stage: Stage) -> None:
    stage.stops = [1000 + 0.4 * LIMIT, 1060 + 2.1 * LIMIT, 1120 + 4.7 * LIMIT]
    items = [0.8 * LIMIT] * 20
    assert died(in_order(float, items, 2, ahead=8, seconds=LIMIT), items) == []
    assert not stage.stops


@pytest.mark.parametrize("limit", [0.01, 60.0, 3600.0])
def test_looking_whether_time_is_up_costs_little(stage: Stage, limit: float) -> None:
    assert died(in_order(float, [HANGS], 1, ahead=2, seconds=limit), [HANGS]) == [0]
    assert limit <= stage.now - 1000 <= limit + 1.01
    assert stage.waits <= max(15, limit + 5)
