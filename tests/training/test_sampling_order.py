"""How often which class is shown: naturally, equally often, or by the square root of its pictures."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.reporting.page import write_report
from impasto.reporting.record import read_record
from impasto.training import train
from impasto.training.data import TrainingPictures
from impasto.training.order import TurnOrder, equal_turns, square_root_turns
from impasto.training.resolve import resolve
from impasto.training.session import Session
from tests.helpers.training import CPU, small

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def groups_of(sizes: list[int]) -> list[np.ndarray]:
    shuffled = np.random.default_rng(0).permutation(sum(sizes))
    return np.split(shuffled, np.cumsum(sizes)[:-1])


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=40))
def test_square_root_turns_are_spread_evenly(sizes: list[int]) -> None:
    turns = square_root_turns(np.array(sizes))
    each = np.bincount(turns, minlength=len(sizes))
    wanted = np.sqrt(sizes) / np.sqrt(sizes).sum()
    assert np.abs(each - wanted * 2**14).max() <= 1
    # Any stretch from the beginning has nearly its share of each class: within two turns, and a little
    # more where one class has nearly all of them, since turns are rounded.
    so_far = np.cumsum(turns[:, None] == np.arange(len(sizes)), axis=0)
    share = np.arange(1, len(turns) + 1)[:, None] * each / len(turns)
    assert np.abs(so_far - share).max() < 2.01


@settings(max_examples=50)
@given(
    sizes=SIZES, seed=st.integers(0, 2**40), batch=st.integers(1, 40), start=st.integers(0, 10**9)
)
def test_what_is_shown_depends_on_seed_and_number_alone(
    sizes: list[int], seed: int, batch: int, start: int
) -> None:
    groups = groups_of(sizes)
    for turns in (equal_turns(np.array(sizes)), square_root_turns(np.array(sizes))):
        whole = TurnOrder(groups, turns, seed).places(start, 200)
        fresh = TurnOrder(groups, turns, seed)
        in_batches = [fresh.places(start + k, min(batch, 200 - k)) for k in range(0, 200, batch)]
        assert np.array_equal(whole, np.concatenate(in_batches))


@settings(max_examples=30)
@given(sizes=SIZES, seed=st.integers(0, 2**40))
def test_each_class_goes_through_epochs_of_its_own(sizes: list[int], seed: int) -> None:
    groups = groups_of(sizes)
    turns = square_root_turns(np.array(sizes))
    order = TurnOrder(groups, turns, seed)
    shown = order.places(0, 400)
    class_of = np.empty(sum(sizes), np.int64)
    for k, group in enumerate(groups):
        class_of[group] = k
    assert np.array_equal(class_of[shown], turns[:400])
    ends = class_of[order.places(3 * len(turns) - 50, 100)]
    assert np.array_equal(ends, np.concatenate([turns[-50:], turns[:50]]))
    for group in groups:
        mine = shown[np.isin(shown, group)]
        for epoch in range(len(mine) // len(group)):
            part = mine[epoch * len(group) : (epoch + 1) * len(group)]
            assert sorted(part) == sorted(group)


def test_epochs_go_on_from_one_period_to_the_next() -> None:
    groups = groups_of([5, 3])
    order = TurnOrder(groups, np.array([0, 0, 1, 0]), 7)
    shown = np.concatenate([order.places(start, 6) for start in range(0, 240, 6)])
    for group in groups:
        epochs = shown[np.isin(shown, group)].reshape(-1, len(group))
        assert (np.sort(epochs, axis=1) == np.sort(group)).all()
        assert len({tuple(epoch) for epoch in epochs}) > 1


def test_runs_from_before_go_on_as_they_began() -> None:
    # The numbers that equal turns gave before there were others.
    order = TurnOrder(
        [np.arange(0, 5), np.arange(5, 8), np.arange(8, 9)], equal_turns(np.ones(3)), 7
    )
    expected = []
    for number in range(30):
        turn, k = divmod(number, 3)
        size, first = [(5, 0), (3, 5), (1, 8)][k]
        epoch, place = divmod(turn, size)
        expected.append(first + np.random.default_rng([7 + k, epoch]).permutation(size)[place])
    assert order.places(0, 30).tolist() == expected


def session(collection: Collection, **training: object) -> Session:
    changes = {f"training__{name}": value for name, value in training.items()}
    return Session(resolve(small("gangogh", **changes), collection), collection, CPU)


def test_classes_by_square_root(labelled: Collection) -> None:
    ready = session(labelled, balance_by="square_root")
    rows = labelled.labels[labelled.train_indices, labelled.field("genre")]
    roots = {label: count**0.5 for label, count in Counter(rows.tolist()).items()}
    wanted = {label: root / sum(roots.values()) for label, root in roots.items()}
    _, labels = ready.pictures.shown(1000, 2000)
    shown = Counter(labels[:, 0].tolist())
    torch.manual_seed(0)
    asked = Counter(ready.pictures.random_labels(20_000)[:, 0].tolist())
    for label, share in wanted.items():  # -1, unknown, is a class like the others
        assert shown[label] / 2000 == pytest.approx(share, abs=0.002)
        assert asked[label] / 20_000 == pytest.approx(share, abs=0.015)
    told = {name: (pictures, share) for name, pictures, share in ready.pictures.classes_shown()}
    assert told[None][0] == Counter(rows.tolist())[-1]
    assert sum(share for _, share in told.values()) == pytest.approx(1)
    assert told["landscape"][1] == pytest.approx(wanted[0], abs=0.001)


def test_how_often_classes_are_shown_in_words(labelled: Collection) -> None:
    by_root = session(labelled, balance_by="square_root").pictures.order_line()
    assert by_root.startswith(
        "each genre is shown by the square root of its pictures: 4 of them, from"
    )
    assert "landscape (" in by_root
    equal = session(labelled).pictures.order_line()
    assert equal.startswith("each genre is shown equally often: 4 of them, from")
    assert "25.00% of what is shown" in equal
    natural = session(labelled, balance=None).pictures.order_line()
    assert natural.startswith("each picture is shown once an epoch: 3 genre classes of ")
    assert natural.endswith(" unknown")
    assert session(labelled, balance=None).pictures.classes_shown() == []


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((9,), "1 genre class of 9 and 7 unknown"),
        ((8, 8), "2 genre classes of 8 each"),
        ((3, 0, 1300), "2 genre classes of 3 to 1,300"),
    ],
)
def test_the_sizes_of_classes_in_words(counts: tuple[int, ...], words: str) -> None:
    field = SimpleNamespace(name="genre", counts=counts)
    unknown = 7 if len(counts) == 1 else 0
    pictures: Any = SimpleNamespace(
        classes_shown=list,
        collection=SimpleNamespace(fields=[field]),
        fields=("genre",),
        rows=range(sum(counts) + unknown),
        order=None,
    )
    told = TrainingPictures.order_line(pictures)
    assert told == f"each picture is shown once an epoch: {words}"


@pytest.mark.usefixtures("told")
def test_what_was_chosen_is_on_record(
    labelled: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small("gangogh", training__balance_by="square_root", training__images=16)
    run = train(config, labelled, out=tmp_path, device="cpu")
    assert "each genre is shown by the square root of its pictures" in capsys.readouterr().out
    record = read_json(run / "run.json", "run")
    assert record["config"]["training"]["balance_by"] == "square_root"
    told = record["classes_shown"]
    assert [each["class"] for each in told] == [None, "landscape", "marina", "portrait"]
    assert sum(each["pictures"] for each in told) == len(labelled.train_indices)
    assert sum(each["share"] for each in told) == pytest.approx(1, abs=1e-5)

    page = write_report(run).page.read_text(encoding="utf-8")
    assert "This run shows classes in proportion to the square root of their pictures" in page
    landscape = told[1]
    assert f"{landscape['pictures']}, {landscape['share']:.1%}</span>" in page
    assert "all classes equally often" not in page
    shown = read_record(run)
    genre = next(field for field in shown.fields if field.name == "genre")
    assert shown.balance is None
    known = 1 - told[0]["share"]
    assert shown.commonest(genre) == pytest.approx(landscape["share"] / known, abs=1e-4)


def test_by_what_needs_a_field(labelled: Collection) -> None:
    config = small("gangogh", training__balance=None, training__balance_by="square_root")
    with pytest.raises(ImpastoError, match=r"training\.balance names no label field to do so by"):
        resolve(config, labelled)
