"""Batches that a thread reads before they are asked for."""

import gc
import signal
import threading
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.training.data import TrainingPictures
from impasto.training.read_ahead import Batch, ReadAhead, SideStream
from tests.helpers.training import CPU


class Reader:
    """Reads batches whose pixels are their numbers, and notes which were read in what thread."""

    def __init__(self, *, ahead: int = 2, kept: int = 0, damaged: int = -1) -> None:
        self.damaged = damaged
        self.read_by: dict[int, str] = {}
        self.times_read = 0
        self.ahead = ReadAhead(self._rows, self._read, ahead=ahead, kept=kept)

    def _rows(self, start: int, count: int) -> np.ndarray:
        return np.arange(start, start + count)

    def _read(self, rows: np.ndarray) -> Batch:
        self.read_by[int(rows[0])] = threading.current_thread().name
        self.times_read += 1
        if self.damaged in rows:
            raise ImpastoError(f"picture {self.damaged} is damaged")
        return Batch(torch.from_numpy(rows), torch.zeros(len(rows), 0))

    def ask(self, starts: list[int], count: int = 4) -> list[bool]:
        """Ask for these batches; whether each was read in the thread."""
        foreseen = []
        for start in starts:
            assert self.ahead.batch(start, count).pixels.tolist() == [*range(start, start + count)]
            foreseen.append(self.read_by[start].startswith("impasto-read-ahead"))
        return foreseen


def test_batches_one_after_another_are_foreseen_from_the_fourth_on() -> None:
    assert Reader().ask([4 * n for n in range(10)]) == [False] * 3 + [True] * 7


@pytest.mark.parametrize("portions", [2, 4, 16])
def test_portions_of_each_batch_are_foreseen(portions: int) -> None:
    # The second of two processes: its portions lie together in each batch.
    starts = [
        4 * (2 * portions * step + portions + number)
        for step in range(40)
        for number in range(portions)
    ]
    foreseen = Reader().ask(starts)
    assert all(foreseen[2 * portions + 1 :])


def test_portions_that_are_asked_for_twice_are_read_once() -> None:
    # Each step's four portions go through the discriminator's update, then the generator's.
    starts = [16 * step + 4 * part for step in range(10) for _ in range(2) for part in range(4)]
    reader = Reader(kept=16)
    assert all(reader.ask(starts)[24:])
    # At the end two more than were asked for; at the beginning one or two were foreseen in vain.
    assert reader.times_read <= 4 * 10 + 2
    forgetful = Reader()
    forgetful.ask(starts)
    assert forgetful.times_read > 60


def test_any_other_batch_is_read_when_it_is_asked_for() -> None:
    reader = Reader()
    reader.ask([0, 4, 8, 12, 16])
    assert reader.ask([100, 3, 1000]) == [False] * 3
    assert reader.ask([8, 12], count=3) == [False] * 2


def test_few_batches_are_held() -> None:
    reader = Reader(ahead=2, kept=9)
    reader.ask([4 * n for n in range(30)])
    assert len(reader.ahead._batches) == 1 + 2 + 2
    reader.ahead._thread.shutdown()  # waits for the two that are being read
    assert reader.times_read == 32


def test_an_error_is_raised_where_its_batch_is_asked_for() -> None:
    reader = Reader(damaged=21)
    assert reader.ask([0, 4, 8, 12, 16]) == [False] * 3 + [True] * 2
    with pytest.raises(ImpastoError, match="picture 21 is damaged"):
        reader.ahead.batch(20, 4)
    assert reader.ask([24]) == [True]


def threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("impasto-read-ahead")}


def pictures_of(collection: Collection, balance: str | None = None) -> TrainingPictures:
    """Pictures with two label fields, read ahead as for a GPU."""
    pictures = TrainingPictures(
        collection, ("style", "genre"), 0, CPU, torch.channels_last, balance=balance
    )
    pictures._ahead = pictures._read_ahead()
    return pictures


@pytest.mark.parametrize("balance", [None, "style"])
def test_pictures_are_the_same_as_without_reading_ahead(
    labelled: Collection, balance: str | None
) -> None:
    ahead = pictures_of(labelled, balance)
    plain = pictures_of(labelled, balance)
    plain._ahead = None
    for start in [*range(0, 160, 8), 3, *range(400, 480, 16)]:  # over several epochs
        for one, other in zip(ahead.shown(start, 8), plain.shown(start, 8), strict=True):
            assert torch.equal(one, other)
            assert one.stride() == other.stride()


def test_the_thread_ends_with_the_pictures(labelled: Collection) -> None:
    gc.collect()
    before = threads()
    pictures = pictures_of(labelled)
    for start in range(0, 64, 8):
        pictures.shown(start, 8)
    (thread,) = threads() - before  # those of other tests may end meanwhile
    del pictures
    gc.collect()
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_cpu_reads_no_batch_ahead(labelled: Collection) -> None:
    pictures = TrainingPictures(labelled, ("style",), 0, CPU, torch.channels_last)
    before = threads()
    for start in range(0, 64, 8):
        pictures.shown(start, 8)
    assert threads() <= before


def test_ctrl_c_stops_waiting_for_a_batch() -> None:
    reading, let_go = threading.Event(), threading.Event()

    def read(rows: np.ndarray) -> Batch:
        if rows[0] == 6:
            reading.set()
            let_go.wait(timeout=30)
        return Batch(torch.from_numpy(rows), torch.zeros(len(rows), 0))

    ahead = ReadAhead(lambda start, count: np.arange(start, start + count), read, ahead=2)

    def stop() -> None:
        reading.wait(timeout=30)
        signal.raise_signal(signal.SIGINT)

    def ask() -> None:
        for start in range(0, 20, 2):
            ahead.batch(start, 2)

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(KeyboardInterrupt):
        ask()
    stopping.join()
    let_go.set()
    # What was begun is whole, for whoever goes on.
    assert [ahead.batch(start, 2).pixels.tolist() for start in (6, 8)] == [[6, 7], [8, 9]]


def test_copies_to_cuda_are_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stream of their own, from pinned memory; the step's stream waits, and keeps the memory."""
    done: list[str] = []
    stream, current = mock.MagicMock(name="side"), mock.MagicMock(name="current")

    def event() -> str:
        done.append("event")
        return "there"

    stream.record_event.side_effect = event
    current.wait_event.side_effect = lambda given: done.append(f"wait until {given}")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    inside = mock.MagicMock()
    inside.__enter__.side_effect = lambda: done.append("side stream")
    inside.__exit__.side_effect = lambda *_: done.append("end of side stream")
    monkeypatch.setattr(torch.cuda, "stream", lambda given: inside if given is stream else None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)

    def pinned(tensor: Tensor) -> Tensor:
        done.append("pin")
        return tensor.clone()

    def recorded(_: Tensor, given: object) -> None:
        done.append(f"kept {given is current}")

    monkeypatch.setattr(Tensor, "pin_memory", pinned)
    monkeypatch.setattr(Tensor, "record_stream", recorded)
    side = SideStream(CPU)
    sent = side.send(Batch(torch.arange(3), torch.arange(2)))
    assert done == ["side stream", "pin", "pin", "event", "end of side stream"]
    done.clear()
    side.receive(sent)
    assert done == ["wait until there", "kept True", "kept True"]
    assert (sent.pixels.tolist(), sent.labels.tolist()) == ([0, 1, 2], [0, 1])
