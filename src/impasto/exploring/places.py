"""Where the files about a model are kept that exploring it makes: favourites and directions."""

from pathlib import Path

from impasto.files import cache_folder, sha256_of_file
from impasto.sampling.model import WEIGHTS_FILE
from impasto.sampling.shipped import shipped_name


def place_beside(folder: Path, file: str) -> Path:
    """Where a file about a model is kept: in the model's folder; or in the cache, for the models inside
    the package and those of the hub's cache, by the SHA-256 of their weights."""
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
