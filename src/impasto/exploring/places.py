"""Paths of the files that exploring a model makes: favourites and directions."""

from pathlib import Path

from impasto.files import cache_folder, sha256_of_file
from impasto.sampling.model import WEIGHTS_FILE
from impasto.sampling.shipped import shipped_name


def place_beside(folder: Path, file: str) -> Path:
    """The path of a file about a model: in the model's folder; for packaged models, and for those in the
    hub's cache by the SHA-256 of their weights, in impasto's cache."""
    name = shipped_name(folder)
    if (
        name is None
        and folder.parent.name == "snapshots"
        and (folder.parent.parent / "blobs").is_dir()
    ):
        name = sha256_of_file(folder / WEIGHTS_FILE)[:16]
    if name is None:
        return folder / file
    return cache_folder() / Path(file).stem / name / file
