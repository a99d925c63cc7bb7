"""Packing that goes on: after a kill, after pictures were added, by several machines, and back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import (
    Collection,
    PackOptions,
    fitting,
    pack,
    pack_shard,
    packing,
    replacing,
)
from impasto.collection.removal import forget
from impasto.collection.replacing import work_folder
from impasto.decoding.workers import DiedError
from impasto.errors import ImpastoError
from impasto.resolution import Resolution
from tests.helpers.packed import contents, rows


def drawings(folder: Path, numbers: range, side: int = 24) -> Path:
    """Pictures of noise, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        path = folder / f"{number:03}.png"
        Image.fromarray(pixels).save(path)
        os.utime(path, (number, number))  # made again, it is the same file
    return folder


def same(first: Path, second: Path) -> set[str]:
    """Files that differ, but for the time and the name in the description."""
    ours, theirs = contents(first), contents(second)
    assert ours.keys() == theirs.keys()
    described = []
    for files in (ours, theirs):
        told: dict[str, Any] = json.loads(files.pop("collection.json"))
        told["made"].pop("when")
        told.pop("name")
        described.append(told)
    assert described[0] == described[1]
    return {name for name in ours if ours[name] != theirs[name]}


@pytest.mark.parametrize(
    "options",
    [
        PackOptions(resolution=16, fit="tiles"),
        PackOptions(resolution=32, smaller=(16,), encoding="webp"),
    ],
)
def test_killed_again_and_again_it_ends_as_if_never(tmp_path: Path, options: PackOptions) -> None:
    """`kill -9` at moments spread over the work; every time it goes on from where it was."""
    source = drawings(tmp_path / "pictures", range(60), side=40)
    (source / "031.png").write_bytes(b"bad")
    (source / "copy.png").write_bytes((source / "030.png").read_bytes())
    whole = pack(source, tmp_path / "whole", options).collection.path
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from impasto.collection import PackOptions, pack, parts\n"
        "parts._PART_SECONDS = 0\n"
        f"options = {options!r}\n"
        "if __name__ == '__main__':\n"
        f"    pack(Path({str(source)!r}), Path({str(tmp_path / 'killed')!r}), options,\n"
        "         lambda done, total: time.sleep(0.01))\n"
    )
    before, kills = -1, 0
    while not (tmp_path / "killed").exists():
        process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        # Killed a few parts on, which is in the middle of the next one.
        while process.poll() is None and time.monotonic() < deadline:
            parts = len(list(work_folder(tmp_path / "killed").glob("part-*")))
            if kills < 6 and parts >= before + 4:
                process.kill()
            time.sleep(0.002)
        _, errors = process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, errors.decode()
            break
        kills += 1
        now = len(list(work_folder(tmp_path / "killed").glob("part-*")))
        assert now > before
        before = now
    assert kills >= 3
    assert same(whole, tmp_path / "killed") == set()
    assert not work_folder(tmp_path / "killed").exists()


def test_killed_while_the_collection_is_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every rename: there is the old collection, the new one, or what becomes one again."""
    source = drawings(tmp_path / "pictures", range(12))
    options = PackOptions(resolution=16)
    old = pack(source, tmp_path / "packed", options).collection
    drawings(source, range(12, 16))
    whole = pack(source, tmp_path / "whole", options).collection.path
    rename = Path.rename

    class KilledError(BaseException):
        pass

    for moment in range(4):
        left = moment

        def killed(self: Path, target: Path) -> Path:
            nonlocal left
            if "part-" not in str(target):
                if left == 0:
                    raise KilledError
                left -= 1
            return rename(self, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", killed)
            try:
                pack(source, tmp_path / "packed", options)
            except KilledError:
                pass
            else:
                assert moment == 3
        report = pack(source, tmp_path / "packed", options)
        assert report.known >= 12
        assert same(whole, tmp_path / "packed") == set()
        # Once more from the old one.
        for number in range(12, 16):
            (source / f"{number:03}.png").unlink()
        again = pack(source, tmp_path / "packed", options).collection
        assert again.content_hash == old.content_hash
        drawings(source, range(12, 16))


def test_added_pictures_alone_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = drawings(tmp_path / "pictures", range(0, 20, 2))
    options = PackOptions(resolution=16)
    pack(source, tmp_path / "packed", options)
    drawings(source, range(1, 9, 2))
    (source / "000.png").unlink()
    decoded: list[str] = []
    fit = fitting.fit_picture

    def spied(options: PackOptions, encodings: dict[Resolution, str], picture: Any) -> Any:
        decoded.append(picture.name)
        return fit(options, encodings, picture)

    monkeypatch.setattr(fitting, "fit_picture", spied)
    report = pack(source, tmp_path / "packed", options)
    assert decoded == ["001.png", "003.png", "005.png", "007.png"]
    assert (report.known, report.source_count) == (9, 13)
    monkeypatch.undo()
    fresh = pack(source, tmp_path / "fresh", options).collection
    assert same(tmp_path / "packed", fresh.path) == set()

    when = (tmp_path / "packed" / "collection.json").stat().st_mtime_ns
    report = pack(source, tmp_path / "packed", options)
    assert report.notes[0] == "nothing has changed since it was packed"
    assert (tmp_path / "packed" / "collection.json").stat().st_mtime_ns == when


def test_a_changed_picture_is_decoded_again(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(8))
    options = PackOptions(resolution=16)
    pack(source, tmp_path / "packed", options)
    Image.new("RGB", (24, 24), "red").save(source / "003.png")
    os.utime(source / "003.png", (1, 1))
    report = pack(source, tmp_path / "packed", options)
    assert report.known == 7
    row = [row["path"] for row in report.collection.source_table()].index("003.png")
    pixels = report.collection.images(np.flatnonzero(report.collection.sources == row))
    assert np.array_equal(pixels[0], np.full((16, 16, 3), (255, 0, 0)))


def test_what_may_change_from_one_packing_to_the_next(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(10))
    pack(source, tmp_path / "packed", PackOptions(resolution=16))
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16, heldout=0.3))
    assert (report.known, report.heldout_source_count) == (10, 3)
    changes: dict[str, Any]
    for changes in ({"resolution": 32}, {"resolution": 16, "fit": "squash"}):
        with pytest.raises(ImpastoError, match="is a collection already, packed with"):
            pack(source, tmp_path / "packed", PackOptions(**changes))
    other = drawings(tmp_path / "others", range(5))
    with pytest.raises(ImpastoError, match=r"is a collection already, of .*pictures"):
        pack(other, tmp_path / "packed", PackOptions(resolution=16))


@pytest.mark.parametrize("made", [None, [], {"options": None}])
def test_a_description_that_does_not_say_how_it_was_packed(tmp_path: Path, made: Any) -> None:
    source = drawings(tmp_path / "pictures", range(5))
    path = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    described = json.loads((path / "collection.json").read_text())
    (path / "collection.json").write_text(json.dumps({**described, "made": made}))
    with pytest.raises(ImpastoError, match="does not say how it was packed"):
        pack(source, path, PackOptions(resolution=16))


def test_a_description_without_pixels_is_packed_anew(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(5))
    path = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    described = json.loads((path / "collection.json").read_text())
    (path / "collection.json").write_text(json.dumps({**described, "pixels": []}))
    report = pack(source, path, PackOptions(resolution=16))
    assert (report.known, len(report.collection)) == (0, 5)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_of_the_work_make_one_collection(tmp_path: Path, order: tuple[int, ...]) -> None:
    source = drawings(tmp_path / "pictures", range(30))
    options = PackOptions(resolution=16)
    whole = pack(source, tmp_path / "whole", options).collection.path
    *first, last = order
    to_do = []
    for number in first:
        ended = pack_shard(source, tmp_path / "packed", (number, 3), options)
        assert isinstance(ended, int)
        to_do.append(ended)
        assert not (tmp_path / "packed").exists()
    assert 30 > to_do[0] > to_do[1] > 0
    report = pack_shard(source, tmp_path / "packed", (last, 3), options)
    assert not isinstance(report, int)
    assert same(whole, tmp_path / "packed") == set()
    # A machine that comes late finds it done.
    assert not isinstance(pack_shard(source, tmp_path / "packed", (1, 3), options), int)
    with pytest.raises(ImpastoError, match="shard 4/3 is none of"):
        pack_shard(source, tmp_path / "packed", (4, 3), options)


def test_machines_that_end_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine may be done, and clear up, at any moment of putting together."""
    source = drawings(tmp_path / "pictures", range(12))
    options = PackOptions(resolution=16)
    whole = pack(source, tmp_path / "whole", options).collection.path
    for module, moment in (
        (packing, "plan_collection"),
        (replacing, "write_collection"),
        (replacing, "_move_into_place"),
    ):
        packed = tmp_path / moment
        original = getattr(module, moment)

        def overtaken(*arguments: Any) -> Any:
            monkeypatch.undo()
            pack(source, packed, options)  # noqa: B023
            return original(*arguments)  # noqa: B023

        monkeypatch.setattr(module, moment, overtaken)
        assert len(pack(source, packed, options).collection) == 12
        assert same(whole, packed) == set()
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert hidden == []


def test_what_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = drawings(tmp_path / "pictures", range(8))
    options = PackOptions(resolution=16)
    whole = pack(source, tmp_path / "whole", options).collection.path
    opened, fit_all = Path.open, fitting._fit_all

    def refused(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "003.png":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)

    def gave_up(*arguments: Any) -> Any:
        for number, result in enumerate(fit_all(*arguments)):
            yield DiedError("it took more than 60 s") if number == 5 else result

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(fitting, "_fit_all", gave_up)
    report = pack(source, tmp_path / "packed", options)
    assert report.left_out == [
        ("003.png", "unreadable for now: Permission denied"),
        ("005.png", "gave up: it took more than 60 s"),
    ]
    monkeypatch.undo()
    assert pack(source, tmp_path / "packed", options).known == 6
    assert same(whole, tmp_path / "packed") == set()


@pytest.mark.parametrize("name", ["facts.npz", "looks.npy"])
def test_where_what_is_known_is_damaged_all_is_decoded_again(tmp_path: Path, name: str) -> None:
    source = drawings(tmp_path / "pictures", range(6))
    packed = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    drawings(source, range(6, 7))
    whole = (packed / name).read_bytes()
    for damaged in (b"", whole[:50], whole[:20] + bytes(60) + whole[80:]):
        (packed / name).write_bytes(damaged)
        with pytest.raises(ImpastoError, match=f"{name} has changed since"):
            forget(packed, ["003.png"])
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16))
    assert (report.known, report.source_count) == (0, 7)


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What is behind it is replaced: a forgotten picture must not stay there."""
    source = drawings(tmp_path / "pictures", range(6))
    pack(source, tmp_path / "packed", PackOptions(resolution=16))
    (tmp_path / "link").symlink_to(tmp_path / "packed")
    forget(tmp_path / "link", ["003.png"])
    assert (tmp_path / "link").is_symlink()
    assert len(Collection.open(tmp_path / "packed")) == 5
    drawings(source, range(6, 7))
    pack(source, tmp_path / "link", PackOptions(resolution=16))
    assert (tmp_path / "link").is_symlink()
    assert len(Collection.open(tmp_path / "packed")) == 6


def test_the_command_in_shards(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(12))
    arguments = ["pack", str(source), str(tmp_path / "packed"), "--resolution", "16,8"]
    told = CliRunner().invoke(app, [*arguments, "--shard", "1/2"])
    assert told.exit_code == 0
    assert "shard 1/2 is done; " in told.stdout
    told = CliRunner().invoke(app, [*arguments, "--shard", "2/2"])
    assert told.exit_code == 0
    assert "12 source pictures" in told.stdout
    assert Collection.open(tmp_path / "packed").resolutions == (8, 16)
    for shard in ("2", "a/b", "0/2", "1/"):
        told = CliRunner().invoke(app, [*arguments, "--shard", shard])
        assert isinstance(told.exception, ImpastoError)


def test_forgetting(tmp_path: Path) -> None:
    for name, numbers in (("cats", range(6)), ("dogs", range(6, 12))):
        drawings(tmp_path / "pictures" / name, numbers)
    source = tmp_path / "pictures"
    (source / "dogs" / "copy.png").write_bytes((source / "cats" / "003.png").read_bytes())
    options = PackOptions(resolution=16)
    before = pack(source, tmp_path / "packed", options).collection
    rest = [row["path"] for row in before.source_table() if row["path"] != "cats/003.png"]
    images = {
        row["path"]: before.images(np.array([number]))
        for number, row in enumerate(before.source_table())
    }
    sha = next(row["sha256"] for row in before.source_table() if row["path"] == "dogs/007.png")

    report = forget(tmp_path / "packed", ["cats/003.png"])
    assert (report.asked_for, report.copies, report.pictures) == (
        ["cats/003.png"],
        ["dogs/copy.png"],
        1,
    )
    after = Collection.open(tmp_path / "packed")
    after.verify()
    assert [row["path"] for row in after.source_table()] == rest
    assert after.fields[0].classes == ("cats", "dogs")
    assert after.content_hash != before.content_hash
    for number, name in enumerate(rest):
        assert np.array_equal(after.images(np.array([number])), images[name])
    gone = rows(tmp_path / "packed" / "forgotten.csv")
    assert [row["path"] for row in gone] == ["cats/003.png", "dogs/copy.png"]
    assert not rows(tmp_path / "packed" / "duplicates.csv")

    report = forget(tmp_path / "packed", [sha[:10]])
    assert report.asked_for == ["dogs/007.png"]

    with pytest.raises(ImpastoError, match="was taken out of"):
        forget(tmp_path / "packed", ["cats/003.png"])
    with pytest.raises(ImpastoError, match="was taken out of"):
        forget(tmp_path / "packed", [sha[:10].upper()])
    with pytest.raises(ImpastoError, match="masters is a part of impasto"):
        forget(Path("masters"), ["x"])
    # Packing the source again brings none of them back, under another name neither.
    (source / "cats" / "again.png").write_bytes((source / "cats" / "003.png").read_bytes())
    drawings(source / "cats", range(20, 22))
    again = pack(source, tmp_path / "packed", options)
    names = [row["path"] for row in again.collection.source_table()]
    assert names == sorted({*rest, "cats/020.png", "cats/021.png"} - {"dogs/007.png"})
    kinds = {path: reason.partition(":")[0] for path, reason in again.left_out}
    assert kinds == dict.fromkeys(
        ["cats/003.png", "cats/again.png", "dogs/007.png", "dogs/copy.png"], "forgotten"
    )
    assert len(again.collection.forgotten_table()) == 3


def test_the_record_of_what_is_forgotten_is_never_ignored(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(6))
    packed = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    for damaged in (b"something,else\n1,2\n", b"\xff\xfe\xff"):
        (packed / "forgotten.csv").write_bytes(damaged)
        with pytest.raises(ImpastoError, match=r"cannot read .*forgotten.csv .*restore it"):
            pack(source, packed, PackOptions(resolution=16, heldout=0.5))


def test_a_collection_that_was_being_replaced_is_put_back(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(6))
    packed = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    packed.rename(tmp_path / ".packed.replaced-0")
    assert len(forget(packed, ["003.png"]).collection) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "packed"}


def test_what_cannot_be_forgotten_changes_nothing(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(6))
    pack(source, tmp_path / "packed", PackOptions(resolution=16))
    before = contents(tmp_path / "packed")
    for wanted, message in (
        (["01.png"], r"no picture '01.png' in .*, but "),
        (["000.png", "nothing"], "no picture 'nothing'"),
        (["deadbeef"], "no picture 'deadbeef'"),
        (["dead"], "or at least its first 8 digits"),
        ([f"{n:03}.png" for n in range(6)], "nothing would be left"),
    ):
        with pytest.raises(ImpastoError, match=message):
            forget(tmp_path / "packed", wanted)
    assert contents(tmp_path / "packed") == before
    assert not work_folder(tmp_path / "packed").exists()


def test_the_command_forget(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(6))
    pack(source, tmp_path / "packed", PackOptions(resolution=16))
    told = CliRunner().invoke(
        app, ["forget", str(tmp_path / "packed"), "--id", "000.png", "--id", "001.png"]
    )
    assert told.exit_code == 0, told.output
    assert "took out 2 source pictures, 2 pictures of 16 px" in told.stdout
    assert len(Collection.open(tmp_path / "packed")) == 4


def test_what_has_become_of_earlier_pictures_is_told(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(60))
    options = PackOptions(resolution=16)
    before = pack(source, tmp_path / "packed", options).collection
    sides = {row["path"]: row["split"] for row in before.source_table()}
    drawings(source, range(60, 120))
    report = pack(source, tmp_path / "packed", options)
    after = {row["path"]: row["split"] for row in report.collection.source_table()}
    held_out = sum(after[name] == "heldout" and side == "train" for name, side in sides.items())
    to_train = sum(after[name] == "train" and side == "heldout" for name, side in sides.items())
    told = [note for note in report.notes if "for training before" in note]
    if held_out or to_train:
        assert f", and {to_train} the other way" in told[0]
    else:
        assert not told
    for number in range(3):
        (source / f"{number:03}.png").unlink()
    report = pack(source, tmp_path / "packed", options)
    assert any(
        note.startswith("3 pictures packed before and no longer in the source")
        and "000.png" in note
        for note in report.notes
    )
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16, heldout=0.5))
    assert any(" the other way, because the share" in note for note in report.notes)


@pytest.mark.parametrize("name", ["labels.npy", "images-00000.npy", "duplicates.csv"])
def test_packing_again_brings_back_a_lost_file(tmp_path: Path, name: str) -> None:
    source = drawings(tmp_path / "pictures", range(8))
    packed = pack(source, tmp_path / "packed", PackOptions(resolution=16)).collection.path
    whole = contents(packed)
    (packed / name).unlink()
    with pytest.raises(ImpastoError, match=f"{name} is missing"):
        Collection.open(packed).verify(everything=True)
    with pytest.raises(ImpastoError, match=f"{name} is missing"):
        forget(packed, ["000.png"])
    pack(source, packed, PackOptions(resolution=16))
    assert contents(packed)[name] == whole[name]
    Collection.open(packed).verify(everything=True)


def test_machines_must_be_given_the_same(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(12))
    assert pack_shard(source, tmp_path / "packed", (1, 2), PackOptions(resolution=16))
    with pytest.raises(ImpastoError, match="resolution 16 on another machine, and 32 is asked for"):
        pack_shard(source, tmp_path / "packed", (2, 2), PackOptions(resolution=32))
    with pytest.raises(ImpastoError, match="shards 2 on another machine"):
        pack_shard(source, tmp_path / "packed", (2, 3), PackOptions(resolution=16))
    with pytest.raises(ImpastoError, match="not packed to its end yet"):
        Collection.open(tmp_path / "packed")
    pack_shard(source, tmp_path / "packed", (2, 2), PackOptions(resolution=16))
    assert len(Collection.open(tmp_path / "packed")) == 12


def test_a_packing_that_another_process_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of the slower one are cleared away under its hands."""
    source = drawings(tmp_path / "pictures", range(8))
    options = PackOptions(resolution=16)
    monkeypatch.setattr("impasto.collection.parts._PART_SECONDS", 0)
    nested = False

    def overtaken(done: int, total: int) -> None:
        nonlocal nested
        if done == 4 and not nested:
            nested = True
            pack(source, tmp_path / "packed", options)

    report = pack(source, tmp_path / "packed", options, overtaken)
    assert report.source_count == 8
    assert not work_folder(tmp_path / "packed").exists()
