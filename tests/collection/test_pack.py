"""Packing from end to end: bad files, destinations, processes, interruption, the command."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, fitting, pack
from impasto.collection.packing import MASTERS
from impasto.decoding.workers import DiedError, in_order
from impasto.errors import ImpastoError
from impasto.sources.trees import readable
from tests.helpers.packed import contents, rows


def pictures(folder: Path, count: int, side: int = 20, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        colour = (number * 37 % 256, number * 91 % 256, number % 256)
        Image.new("RGB", (side, side), colour).save(folder / f"{number:03}.png")
    return folder


SMALL = PackOptions(resolution=16)


def test_bad_files_are_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 6)
    (source / "000-empty.png").write_bytes(b"")
    (source / "000-text.jpg").write_text("no picture")
    whole = (MASTERS / "lion.jpg").read_bytes()
    (source / "000-cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (5, 5)).save(source / "000-tiny.png")
    (source / "film.mp4").write_bytes(b"")
    report = pack(source, tmp_path / "packed", SMALL)
    assert (len(report.collection), report.source_count) == (6, 6)
    assert {path: reason.partition(":")[0] for path, reason in report.left_out} == {
        "film.mp4": "not a picture file by its name",
        "000-empty.png": "unreadable",
        "000-text.jpg": "not a picture",
        "000-cut.jpg": "truncated",
        "000-tiny.png": "too small",
    }
    assert report.reasons() == {
        "unreadable": 1,
        "not a picture": 1,
        "truncated": 1,
        "not a picture file by its name": 1,
        "too small": 1,
    }
    written = rows(tmp_path / "packed" / "left-out.csv")
    assert [(row["path"], row["reason"]) for row in written] == report.left_out
    assert [row["path"] for row in report.collection.source_table()] == [
        f"{number:03}.png" for number in range(6)
    ]


def test_tables_say_where_each_tile_is_from(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 6, side=40)
    collection = pack(
        source, tmp_path / "packed", PackOptions(resolution=16, fit="tiles")
    ).collection
    table = rows(collection.path / "pictures.csv")
    assert [int(row["index"]) for row in table] == list(range(len(collection)))
    assert [int(row["source"]) for row in table] == collection.sources.tolist()
    assert {row["mirrored"] for row in table} == {"0", "1"}
    for row in table:
        assert 0 <= float(row["left"]) < float(row["right"]) <= 40
    held = set(collection.sources[collection.heldout_indices].tolist())
    assert len(held) == 1
    assert not held & set(collection.sources[collection.train_indices].tolist())


def test_the_description_can_be_read_by_a_person(tmp_path: Path) -> None:
    for name, first, count in (("dogs", 0, 4), ("cats", 4, 3)):
        pictures(tmp_path / "pictures" / name, count, first=first)
    options = PackOptions(resolution=16, fit="pad", background=(1, 2, 3), workers=1)
    collection = pack(tmp_path / "pictures", tmp_path / "packed", options).collection
    described = json.loads((tmp_path / "packed" / "collection.json").read_text())
    assert described["fit"]["background"] == [1, 2, 3]
    (field,) = described["fields"]
    assert field["name"] == "class"
    assert [(item["name"], item["sources"]) for item in field["classes"]] == [
        ("cats", 3),
        ("dogs", 4),
    ]
    assert [item["train_pictures"] for item in field["classes"]] == list(
        collection.fields[0].counts
    )
    assert described["splits"]["train"]["pictures"] == 6
    assert described["splits"]["heldout"]["sources"] == 1
    (shard,) = described["pixels"][0]["shards"]
    assert shard["bytes"] == (tmp_path / "packed" / shard["file"]).stat().st_size
    assert described["made"]["options"]["resolution"] == 16


def test_copies_are_set_aside_or_at_least_never_split(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 10)
    for number in range(10):
        (source / f"copy-{number:03}.png").write_bytes((source / f"{number:03}.png").read_bytes())
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16, heldout=0.3))
    assert report.source_count == 10
    assert any(note.startswith("10 pictures excluded") for note in report.notes)
    table = rows(tmp_path / "packed" / "duplicates.csv")
    assert [row["kept"] for row in table] == ["1", "0"] * 10
    assert len({row["group"] for row in table}) == 10

    options = PackOptions(resolution=16, heldout=0.3, duplicates="none")
    report = pack(source, tmp_path / "all", options)
    by_digest: dict[str, set[str]] = {}
    for row in report.collection.source_table():
        by_digest.setdefault(row["sha256"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_digest.values())
    assert (report.source_count, report.heldout_source_count) == (20, 6)


def test_any_number_of_processes_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "pictures", 12)
    (source / "005.png").write_bytes(b"bad")
    monkeypatch.setattr(fitting, "_ALONE", 0)
    seen: list[tuple[int, int]] = []
    made = [
        pack(source, tmp_path / "one", PackOptions(resolution=16, workers=1, name="x")),
        pack(
            source,
            tmp_path / "two",
            PackOptions(resolution=16, workers=2, name="x"),
            lambda done, total: seen.append((done, total)),
        ),
    ]
    first, second = (contents(report.collection.path) for report in made)
    assert first.keys() == second.keys()
    different = {name for name in first if first[name] != second[name]}
    # Only the time at which they were made may differ.
    assert different <= {"collection.json"}
    assert made[0].collection.content_hash == made[1].collection.content_hash
    assert made[0].left_out == made[1].left_out
    assert seen == [(done, 12) for done in range(13)]


def double_or_die(number: int) -> int:
    if number in (3, 4, 11):
        os._exit(1)
    if number % 5 == 0:
        time.sleep(0.05)
    return 2 * number


def test_a_process_that_dies_costs_one_item() -> None:
    results = list(in_order(double_or_die, range(14), 2, ahead=4))
    for number, result in enumerate(results):
        if number in (3, 4, 11):
            assert isinstance(result, DiedError)
        else:
            assert result == 2 * number


def as_long(content: bytes) -> bytes:
    return content


def test_much_to_ask_and_much_to_answer() -> None:
    """More than a pipe holds in both directions, as of large pictures in an archive."""
    items = [bytes([number]) * 1_000_000 for number in range(6)]
    results = list(in_order(as_long, items, 2, ahead=4, seconds=60))
    assert results == items


def test_a_file_that_ends_the_only_process_does_so_once(tmp_path: Path) -> None:
    """A few pictures are decoded without other processes; run again, they are not."""
    source = pictures(tmp_path / "pictures", 5)
    (source / "003.png").write_bytes(b"the end")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from impasto.collection import PackOptions, pack\n"
        "options = PackOptions(resolution=16)\n"
        f"pack(Path({str(source)!r}), Path({str(tmp_path / 'packed')!r}), options)\n"
    )
    (tmp_path / "start").mkdir()
    # Python runs it at the start of every process.
    (tmp_path / "start" / "sitecustomize.py").write_text(
        "import os\n"
        "from impasto.decoding import fit as fitting\n"
        "decode = fitting.decode\n"
        "def ending(file, *arguments):\n"
        "    if file.getvalue() == b'the end':\n"
        "        os._exit(7)\n"
        "    return decode(file, *arguments)\n"
        "fitting.decode = ending\n"
    )
    paths = os.pathsep.join([str(tmp_path / "start"), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths}
    codes = [
        subprocess.run(
            [sys.executable, str(script)], check=False, timeout=60, env=environment
        ).returncode
        for _ in range(2)
    ]
    assert codes == [7, 0]
    assert rows(tmp_path / "packed" / "left-out.csv") == [
        {"path": "003.png", "reason": "gave up: decoding it ended the process"}
    ]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("pictures", "packed", "script.py", "start")
    }


def test_with_one_core_a_file_still_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who asks for it has all decoded in this process."""
    source = pictures(tmp_path / "pictures", 4)
    monkeypatch.setattr(fitting, "_ALONE", 0)
    monkeypatch.setattr(fitting, "available_cores", lambda: 1)
    asked: list[int] = []

    def spied(*arguments: Any) -> Any:
        asked.append(arguments[2])
        return in_order(*arguments)

    monkeypatch.setattr(fitting, "in_order", spied)
    assert pack(source, tmp_path / "packed", SMALL).source_count == 4
    assert pack(source, tmp_path / "here", replace(SMALL, workers=1)).source_count == 4
    assert asked == [1]


def test_a_script_runs_once_though_it_starts_processes(tmp_path: Path) -> None:
    """Also where it is not guarded by `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "from impasto.decoding.workers import in_order\n"
        "import math\n"
        "print(list(in_order(math.sqrt, [1.0, 4.0], 2, 4)))\n"
        "import __main__\n"
        "print(__main__.__file__)\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["[1.0, 2.0]", str(script)]


def test_processes_that_do_not_start_are_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
    with pytest.raises(ImpastoError, match="the worker processes do not start"):
        list(in_order(math.sqrt, [1.0, 4.0], 2, 4))


def test_destination_must_be_free(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file", "pictures"):
        with pytest.raises(ImpastoError, match="exists already"):
            pack(source, tmp_path / name, SMALL)
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(ImpastoError, match="exists already"):
        pack(source, tmp_path / "round", SMALL)
    assert (tmp_path / "full" / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert len(pack(source, tmp_path / "empty", SMALL).collection) == 5
    assert len(pack(source, tmp_path / "new" / "deep", SMALL).collection) == 5
    assert len(pack(source, source / "inside", SMALL).collection) == 5


def test_the_working_folder_can_be_the_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "pictures", 5)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert pack(source, Path(), SMALL).collection.name == "here"
    monkeypatch.chdir(tmp_path)
    Collection.open(tmp_path / "here").verify()


def test_nothing_usable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ImpastoError, match="no pictures in"):
        pack(tmp_path / "none", tmp_path / "packed", SMALL)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"")
    (tmp_path / "packed").mkdir()
    with pytest.raises(
        ImpastoError, match=r"no usable picture in .* 1 left out.*a.png \(unreadable"
    ):
        pack(tmp_path / "bad", tmp_path / "packed", SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "none", "packed"]
    assert not any((tmp_path / "packed").iterdir())


def test_a_name_that_windows_alone_can_have() -> None:
    assert readable("half of a letter \ud83d.png") == r"half of a letter \ud83d.png"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 5)
    try:
        os.rename(bytes(source / "000.png"), bytes(source) + b"/caf\xe9.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes no such names")
    report = pack(source, tmp_path / "packed", SMALL)
    assert report.source_count == 5
    assert report.collection.source_table()[-1]["path"] == r"caf\xe9.png"


def test_class_folders_whose_names_are_no_text_stay_different(tmp_path: Path) -> None:
    for name in (b"caf\xe8", b"caf\xe9"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path / "source") + b"/" + name))
        try:
            folder.mkdir(parents=True)
        except OSError:
            pytest.skip("this file system takes no such names")
        pictures(folder, 4)
    options = PackOptions(resolution=16, duplicates="none")
    collection = pack(tmp_path / "source", tmp_path / "packed", options).collection
    assert collection.fields[0].classes == (r"caf\xe8", r"caf\xe9")


def test_folders_that_cannot_be_read_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "pictures", 5)
    (source / "locked").mkdir()
    original = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = pack(source, tmp_path / "packed", SMALL)
    assert report.left_out == [("locked", "unreadable: a folder: Permission denied")]


def test_a_label_may_not_take_the_name_of_another_column(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pictures(tmp_path / "pictures" / name, 3)
    with pytest.raises(ImpastoError, match="cannot be called 'split'"):
        pack(tmp_path / "pictures", tmp_path / "packed", PackOptions(labels=("split",)))
    for name in ("my/genre", "a=b"):
        with pytest.raises(ImpastoError, match=f"cannot be called '{name}'.*rename it"):
            pack(tmp_path / "pictures", tmp_path / "packed", PackOptions(labels=(name,)))


def test_a_label_that_is_blank_everywhere(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 5)
    (source / "metadata.csv").write_text(
        "file,style\n" + "".join(f"00{n}.png,\n" for n in range(5))
    )
    with pytest.raises(ImpastoError, match="label 'style' is blank for every picture"):
        pack(source, tmp_path / "packed", PackOptions(resolution=16, labels=("style",)))
    assert not (tmp_path / "packed").exists()
    # That some picture is of a class which cannot be read is found out late: what is done is kept.
    (source / "bad.png").write_bytes(b"bad")
    with (source / "metadata.csv").open("a") as table:
        table.write("bad.png,Cubism\n")
    with pytest.raises(ImpastoError, match="label 'style' is blank for every picture that can be"):
        pack(source, tmp_path / "packed", PackOptions(resolution=16, labels=("style",)))
    assert pack(source, tmp_path / "packed", PackOptions(resolution=16)).known == 6


def test_a_source_of_which_one_part_is_left_is_divided(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    pictures(source / "train", 12)
    pictures(source / "test", 14)  # The first twelve are the same.
    for part, count in (("train", 12), ("test", 14)):
        options = PackOptions(resolution=16, where=f"path like '{part}/%'", heldout=0.25)
        report = pack(source, tmp_path / part, options)
        assert (report.source_count, report.heldout_source_count) == (count, round(count / 4))
        assert any("choose the held-out ones" in note for note in report.notes)
    for duplicates, told in (("none", True), ("exact", False)):
        options = PackOptions(resolution=16, duplicates=duplicates)
        report = pack(source, tmp_path / duplicates, options)
        assert report.heldout_source_count == 14
        assert report.source_count == (26 if told else 14)
        copies = "12 pictures for training, copies of pictures that the source holds out"
        assert told == any(note.startswith(copies) for note in report.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": "stretch"}, "unknown fit 'stretch'; there is aspect, crop, pad, squash, tiles"),
        ({"resolution": 0}, "resolution"),
        ({"heldout": 1.0}, "heldout"),
        ({"heldout": float("nan")}, "heldout"),
        ({"workers": 0}, "workers"),
        ({"max_upscale": 0.5}, "max_upscale"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"background": (0, 0, 256)}, "background"),
        ({"labels": ("a", "a")}, "twice"),
        ({"labels": ("a", "")}, "empty name"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        PackOptions(**changes)


def still_running(group: int) -> list[str]:
    """The processes of a group, where the system lists them, but for dead ones not yet buried."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # After the command's name in brackets: state, parent, group.
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("after", [0.0, 1.5])
def test_ctrl_c_ends_at_once_and_what_is_done_is_kept(
    tmp_path: Path, workers: int, after: float
) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    for number in range(60):
        for path in MASTERS.glob("*.jpg"):
            (source / f"{number}-{path.name}").symlink_to(path)
    command = [sys.executable, "-m", "impasto", "pack", str(source), str(tmp_path / "packed")]
    process = subprocess.Popen(
        [*command, "--fit", "tiles", "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # It is at work once its hidden folder is there; the workers may still be starting then.
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".packed.packing")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to it and all its workers
    out, errors = process.communicate(timeout=60)
    # Nothing of the workers, such as a traceback.
    assert out == ""
    told = [line for line in errors.splitlines() if " of 1,260 pictures" not in line]
    assert len(told) == 1
    assert told[0].startswith("impasto: stopped; what is done is kept in")
    # Python ends by the signal itself if it came while a text was executed; a shell says 130 too.
    assert process.returncode in (130, -signal.SIGINT)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", ".packed.packing"}
    assert not list((tmp_path / ".packed.packing").glob(".*"))
    deadline = time.monotonic() + 5
    while still_running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not still_running(process.pid)


def test_after_an_error_in_the_middle_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "pictures", 8)
    monkeypatch.setattr(fitting, "_ALONE", 0)

    def fail(done: int, total: int) -> None:
        if done == 5:
            raise RuntimeError("in the middle")

    for workers in (1, 2):
        options = PackOptions(resolution=16, workers=workers)
        destination = tmp_path / f"packed-{workers}"
        with pytest.raises(RuntimeError, match="in the middle"):
            pack(source, destination, options, fail)
        assert not destination.exists()
        assert pack(source, destination, options).known == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed-1", "packed-2", "pictures"]


def test_the_command(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 9)
    (source / "bad.png").write_bytes(b"")
    table = "file,style,genre\n" + "".join(f"00{n}.png,s{n % 2},g\n" for n in range(9))
    (source / "metadata.csv").write_text(table + "bad.png,s0,g\n")
    arguments = ["pack", str(source), str(tmp_path / "packed"), "--resolution", "16"]
    result = CliRunner().invoke(app, [*arguments, "--labels", "style, genre", "--name", "Mine"])
    assert result.exit_code == 0, result.output
    assert "Mine: 9 pictures of 16 px from 9 source pictures (crop)" in result.stdout
    assert "style: 2 classes" in result.stdout
    assert "left out: 1" in result.stdout
    assert "such as bad.png (unreadable: the file is empty)" in result.stdout
    collection = Collection.open(tmp_path / "packed")
    assert (collection.name, len(collection.fields)) == ("Mine", 2)
    assert np.array_equal(collection.labels[:, 0], [n % 2 for n in range(9)])


def test_the_command_on_the_masters(tmp_path: Path) -> None:
    arguments = [
        "pack",
        "masters",
        str(tmp_path / "packed"),
        "--resolution",
        "16",
        "--fit",
        "squash",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "masters: 21 pictures of 16 px" in result.stdout
    assert "left out" not in result.stdout
    collection = Collection.open(tmp_path / "packed")
    assert [field.name for field in collection.fields] == ["style", "genre", "artist"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--background", "blueish"], "unknown background 'blueish'"),
        (["--fit", "tile"], "unknown fit 'tile'; there is aspect, crop, pad, squash, tiles"),
        (["--labels", "mood"], "unknown label column 'mood'"),
    ],
)
def test_the_command_with_wrong_options(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["pack", "masters", str(tmp_path / "packed"), *arguments])
    assert isinstance(result.exception, ImpastoError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
