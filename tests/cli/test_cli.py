"""The command line as its user meets it: in processes of its own, and in this one for errors."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import impasto
from impasto import cli
from impasto.cli import GROUPS
from impasto.collection import Collection
from impasto.registry import module_names, recipe_modules
from tests.helpers.command_line import Say
from tests.helpers.pictures import paint

SMALL = [
    *("--set", "resolution=32", "--set", "training.batch=8", "--set", "training.grid=4"),
    *("--set", "generator.width=4", "--set", "discriminator.width=4", "--device", "cpu"),
]


def test_the_module_is_the_console_script() -> None:
    as_module = subprocess.run(
        [sys.executable, "-m", "impasto", "--version"], capture_output=True, text=True, check=True
    )
    script = Path(sys.executable).with_name("impasto")
    as_script = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert as_module.stdout == as_script.stdout
    assert as_module.stdout.startswith("impasto 0.")


def test_recipes(say: Say) -> None:
    code, out, _ = say("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(recipe_modules())
    code, out, _ = say("recipes", "ukiyoe_dcgan_v2")
    assert "Daniel Gao and Edward Qin" in out
    assert "activation: leaky_relu" in out
    code, _, err = say("recipes", "ukiyoe")
    assert code == 2
    assert err.startswith("impasto: unknown recipe 'ukiyoe'; there is artgan")


def test_from_pictures_to_samples(tiny: Collection, tmp_path: Path, say: Say) -> None:
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs")]
    code, out, _ = say("train", "ukiyoe_dcgan_v1", *data, *SMALL, "--images", "32", "--seed", "5")
    assert code == 0
    trained = tmp_path / "runs" / "00000-ukiyoe_dcgan_v1-tiny"
    assert f"finished: {trained}" in out
    assert json.loads((trained / "run.json").read_text())["config"]["training"]["seed"] == 5
    assert say("resume", str(trained))[0] == 0

    code, out, _ = say("sample", str(trained), "--seeds", "0-5", "--out", str(tmp_path / "one"))
    assert code == 0
    assert len(list((tmp_path / "one").glob("seed-*.png"))) == 6
    assert say("export", str(trained), str(tmp_path / "model"))[0] == 0
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "generator.safetensors",
        "model.json",
    ]
    for source, name in ((trained, "a.png"), (tmp_path / "model", "b.png")):
        grid = ["--seeds", "3,1", "--truncation", "0.8", "--grid", str(tmp_path / name)]
        assert say("sample", str(source), *grid)[0] == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (64, 32)


def test_what_is_printed_can_be_given_to_a_shell(tmp_path: Path, say: Say) -> None:
    home = tmp_path / "it's $HOME & more"
    paint(home / "pictures", 12)
    (home / "pictures" / "note.doc").write_text("left out")
    packed, runs, model = home / "a collection", home / "runs", home / "a model"
    told = say("pack", str(home / "pictures"), str(packed), "--resolution", "32")[1]
    assert shlex.quote(str(packed / "left-out.csv")) in told
    told += say(
        "train",
        "ukiyoe_dcgan_v1",
        "--data",
        str(packed),
        "--out",
        str(runs),
        "--images",
        "8",
        *SMALL,
    )[1]
    (run,) = runs.iterdir()
    told += say("export", str(run), str(model))[1]
    told += say("resume", str(run))[1]
    commands = [shlex.split(line) for line in re.findall(r"impasto [a-z]+ .*", told)]
    assert [words[1:3] for words in commands] == [
        ["inspect", str(packed)],
        *([each, str(run)] for each in ("report", "evaluate")),
        ["sample", str(model)],
        *([each, str(run)] for each in ("report", "evaluate", "resume")),
    ]
    sheet = re.findall("contact sheet: (.*)", say("inspect", str(packed), "--out", str(home))[1])
    page = say("report", str(run))[1].splitlines()[-1:]
    for text in (sheet, page):
        assert Path(*shlex.split(text[0])).is_file()


def test_no_command_is_printed_with_a_bare_path() -> None:
    source = Path(impasto.__file__).parent
    names = "|".join(sorted(path.stem for path in (source / "cli").glob("[a-z]*.py")))
    bare = re.compile(rf"impasto ({names}) \{{(?!quoted|escape)|--(data|from|out) \{{(?!quoted)")
    for path in source.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "looks at seeds" not in line:
                assert not bare.search(line), f"{path.name}: {line}"


def test_a_seed_that_is_named_again_counts_once(tiny: Collection, tmp_path: Path, say: Say) -> None:
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs"), "--images", "8"]
    assert say("train", "ukiyoe_dcgan_v1", *data, *SMALL)[0] == 0
    (run,) = (tmp_path / "runs").iterdir()
    out = tmp_path / "out"
    code, text, err = say("sample", str(run), "--seeds", "1,1,1", "--out", str(out))
    assert (code, text) == (0, f"1 picture in {out}\n")
    assert "note: 2 seeds given twice: each seed counts once" in err
    assert [path.name for path in out.iterdir()] == ["seed-00000001.png"]
    grid = tmp_path / "grid.png"
    assert say("sample", str(run), "--seeds", "3,0-3", "--grid", str(grid))[1].startswith("4 pic")
    with Image.open(grid) as picture:
        assert picture.size == (64, 64)


def test_a_dry_run_writes_nothing(tiny: Collection, tmp_path: Path, say: Say) -> None:
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs")]
    code, out, _ = say("train", "ukiyoe_dcgan_v1", *data, *SMALL, "--images", "1k", "--dry-run")
    assert code == 0
    for words in ("images: 1000", "generator:     ", "discriminator: ", "memory:", "time:"):
        assert words in out
    assert not (tmp_path / "runs").exists()


def test_the_numbers_of_a_dry_run(tiny: Collection, tmp_path: Path, say: Say) -> None:
    file = tmp_path / "numbers.json"
    command = ("train", "ukiyoe_dcgan_v1", "--data", str(tiny.path), *SMALL, "--images", "1k")
    assert say(*command, "--dry-run", "--numbers", str(file))[0] == 0
    found = json.loads(file.read_text())
    (stage,) = found["stages"]
    assert stage["images"] == 1000
    assert stage["seconds"] == pytest.approx(1000 / stage["images_per_second"])
    assert found["seconds"] == stage["seconds"]
    assert found["memory_bytes"] > 2**20
    code, _, errors = say(*command, "--numbers", str(file))
    assert (code, "--dry-run" in errors) == (2, True)


def test_a_dry_run_on_a_busy_machine_says_so(
    tiny: Collection, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "ukiyoe_dcgan_v1", "--data", str(tiny.path), *SMALL, "--dry-run")
    for share, told in ((0.1, True), (0.9, False)):
        threads = share * torch.get_num_threads()
        monkeypatch.setattr(time, "process_time", lambda rate=threads: rate * time.monotonic())
        out = say(*command)[1]
        assert ("other programs used the processor" in out) == told


def test_mistakes_are_one_line_that_names_the_choices(
    tiny: Collection, tmp_path: Path, say: Say
) -> None:
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs")]
    dcgan = ["train", "ukiyoe_dcgan_v1", *data]
    for arguments, message in [
        (["train", "stylegan", *data], "unknown recipe 'stylegan'; there is artgan"),
        ([*dcgan, "--set", "training.btch=3"], "unknown setting 'training.btch'; there is acc"),
        ([*dcgan, "--set", "nothing"], "--set takes name=value"),
        ([*dcgan, "--images", "many"], "--images is a number of pictures such as 200k"),
        (
            [*dcgan, "--images", "8", "--set", "training.images=foo"],
            "--images and --set training.im",
        ),
        ([*dcgan, "--images", "8", "--set", "training.epochs=1"], "--images and --set training.ep"),
        (
            [*dcgan, "--set", "training.seed=2020-99-99"],
            "training.seed: '2020-99-99' is not a YAML",
        ),
        ([*dcgan, "--set", "generator_optimiser.optimiser=[adam]"], "generator_optimiser"),
        (["train", "gangogh", *data, "--set", "labels=5"], "labels"),
        (["train", "gangogh", *data, "--set", "labels={a: 1}"], "labels"),
        ([*dcgan, "--set", "resolution=32", "--device", "tpu"], "no device 'tpu'"),
        ([*dcgan, "--set", "resolution=32", "--set", "labels=[style]"], "'style'"),
        (["train", "ukiyoe_dcgan_v1", "--data", str(tmp_path / "x")], str(tmp_path / "x")),
        (["resume", str(tmp_path)], "is not a run"),
        (["pack", "masters", "n" * 400], "File name too long"),
        (["sample", str(tmp_path)], "neither a run"),
        (["sample", "masters", "--precision", "half"], "a precision is auto, float32, bfloat16"),
        (["walk", "masters", "--fps", "0"], "invalid value for '--fps': "),
        (["walk", "masters", "--seconds", "0"], "1 to 1,000,000 frames, not 0 seconds of 30"),
        (["canvas", "masters", "--variety", "some"], "invalid value for '--variety': "),
        (["export", str(tmp_path), str(tmp_path / "y")], "neither a run"),
        (["report", str(tmp_path)], str(tmp_path)),
    ]:
        code, _, err = say(*arguments)
        assert code == 2, arguments
        assert message in err
        assert err.startswith("impasto: ")
        assert err.count("\n") == 1, err
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this full device")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "impasto", "recipes"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "impasto: cannot use the output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_training_goes_on_when_nobody_reads_its_output(tiny: Collection, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "impasto", "train", "ukiyoe_dcgan_v1", *SMALL]
    command += ["--data", str(tiny.path), "--out", str(tmp_path), "--images", "16"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as training:
        assert training.stdout is not None
        assert training.stdout.readline().startswith(b"run: ")
        training.stdout.close()
        assert training.wait() == 0
    (run,) = tmp_path.iterdir()
    assert list((run / "checkpoints").iterdir())


def test_an_unknown_command_is_an_error_too(say: Say) -> None:
    code, _, err = say("paint")
    assert code == 2
    assert "No such command 'paint'" in err


def test_a_surprise_is_no_traceback(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(cli, "app", surprise)
    code, _, err = say("recipes")
    assert code == 1
    assert "unexpected ZeroDivisionError" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("IMPASTO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("moment", ["impasto.registry", "pydantic", "impasto.collection"])
def test_ctrl_c_before_anything_runs_is_one_line(moment: str, again: bool) -> None:
    """While commands or what typer needs are being imported, or what the command needs; and `again`
    while Python ends."""
    code = (
        "import atexit, os, signal, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{moment}':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"if {again}:\n"
        "    atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['impasto', 'train', 'first_look', '--data', 'masters', '--dry-run']\n"
        "import runpy\n"
        "runpy.run_module('impasto', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "impasto: interrupted\n")
    assert done.returncode == (-signal.SIGINT if again else 130)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_in_a_terminal(tiny: Collection, tmp_path: Path) -> None:
    arguments = ["train", "ukiyoe_dcgan_v1", "--data", str(tiny.path), "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", *arguments, *SMALL, "--images", "10M"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("*/samples/reals.png")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    (trained,) = tmp_path.iterdir()
    assert f"go on: impasto resume {trained}" in err
    assert list((trained / "checkpoints").glob("[0-9]*"))


def test_help_lists_every_command_below_a_heading(say: Say) -> None:
    code, out, _ = say("--help")
    assert code == 0
    headings = [line for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Options:", *(f"{heading}:" for heading in GROUPS)]
    listed = [
        line.split()[0]
        for line in out.partition("Collections:")[2].splitlines()
        if line[:2] == "  "
    ]
    assert listed == [name for group in GROUPS.values() for name in group]
    assert sorted(listed) == sorted(name.rstrip("_") for name in module_names("cli"))


def test_help_of_a_command_names_choices_and_no_types(say: Say) -> None:
    for name in (name for group in GROUPS.values() for name in group):
        code, out, _ = say(name, "--help")
        assert code == 0
        assert not re.search(r"<(str|int|float|path|Path)>", out), name
    assert "--fit crop|squash|pad|tiles" in say("pack", "--help")[1]
