"""Kill packing with SIGKILL at random moments, start it again each time, and compare the end.

    python -m benchmarks.kill_pack [SOURCE] [--kills 20] [--seed 0] [--resolution 64] [--workers 2]

Packs a source (by default the 21 paintings as tiles) once without interruption and once with so many
`kill -9`s of the whole process group, each followed by the same command, and compares the two
collections file for file and byte for byte; only the time in collection.json may differ. Moments are
random, within the time that packing takes without a kill. A packing that ends before its kill is
compared as well, and the next one begins from nothing.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from impasto.collection.replacing import work_folder


def command(source: str, destination: Path, resolution: str, workers: int) -> list[str]:
    """`impasto pack`, of a folder by classes or of the paintings."""
    pack = [sys.executable, "-m", "impasto", "pack", source, str(destination), "--name", "killed"]
    fit = ["--fit", "tiles"] if source == "masters" else []
    return [*pack, *fit, "--resolution", resolution, "--workers", str(workers)]


def fingerprint(folder: Path) -> dict[str, str]:
    """A digest of each file; of the description without its time."""
    found = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        if path.name == "collection.json":
            told = json.loads(content)
            del told["made"]["when"]
            content = json.dumps(told).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", default="masters")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resolution", default="64")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary, "whole"), Path(temporary, "killed")
        told = (arguments.source, arguments.resolution, arguments.workers)
        began = time.monotonic()
        subprocess.run(command(told[0], whole, *told[1:]), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        print(f"without a kill: {seconds:.1f} s", flush=True)
        first = fingerprint(whole)
        kills, work, different = 0, work_folder(killed), set[str]()
        while True:
            process = subprocess.Popen(
                command(told[0], killed, *told[1:]),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                last = kills == arguments.kills
                process.wait(None if last else chance.uniform(0.3, max(seconds, 0.6)))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                parts = len(list(work.glob("part-*"))) if work.exists() else 0
                there = "there" if killed.exists() else "not there yet"
                print(f"kill {kills}: {parts} parts, collection {there}", flush=True)
                continue
            if process.returncode:
                sys.exit(f"packing ended with code {process.returncode}")
            second = fingerprint(killed)
            names = first.keys() | second.keys()
            different |= {name for name in names if first.get(name) != second.get(name)}
            if last:
                break
            shutil.rmtree(killed)
        left = [path.name for path in Path(temporary).iterdir() if path.name.startswith(".")]
        print(
            f"{kills} kills; files: {len(first)}; different: {', '.join(sorted(different)) or 'none'}"
        )
        print(f"left beside it: {', '.join(left) or 'nothing'}")
        sys.exit(1 if different or left else 0)


if __name__ == "__main__":
    main()
