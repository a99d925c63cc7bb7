"""The folders that the studio reads and writes, and nothing outside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.sampling.records import ModelRecord
from impasto.sampling.shipped import SHIPPED

MASTERS = "masters"
"""The collection inside the package."""
MOST_LETTERS = 120
"""Most letters in the name of a folder."""


class MissingError(ImpastoError):
    """The collection, run, model or file that a request names does not exist; status 404."""


@dataclass(frozen=True)
class Places:
    """The roots, each an absolute path without links."""

    collections: Path
    runs: Path
    models: Path
    uploads: Path
    """Pictures that were dropped, a folder for each drop."""
    jobs: Path
    """Records, logs and files of jobs, a folder for each."""

    @classmethod
    def under(
        cls,
        folder: Path,
        *,
        collections: Path | None = None,
        runs: Path | None = None,
        models: Path | None = None,
    ) -> "Places":
        """The usual folders under one, with others in place of some; all are made."""
        roots = {
            "collections": collections or folder / "collections",
            "runs": runs or folder / "runs",
            "models": models or folder / "models",
            "uploads": folder / "uploads",
            "jobs": folder / "jobs",
        }
        for path in roots.values():
            try:
                path.expanduser().mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ImpastoError(
                    f"cannot make the folder {path}: {error.strerror}; choose another"
                ) from error
        return cls(**{name: path.expanduser().resolve() for name, path in roots.items()})

    def in_words(self, text: str) -> str:
        """A text without paths of uploads, which nobody chose: files are named as they were dropped."""
        if str(self.uploads) not in text:
            return text
        found = [path for path in self.uploads.iterdir() if not path.name.startswith(".")]
        # Of two names that begin alike the longer one is meant where it stands.
        for path in sorted(found, key=lambda path: -len(path.name)):
            text = text.replace(f"{path}/", "").replace(str(path), "what was dropped")
        return text

    def collection(self, name: str) -> str | Path:
        """The folder of a collection, or the word `masters`.

        Raises:
            MissingError: there is no such folder.
        """
        if name == MASTERS and not (self.collections / MASTERS).exists():
            return MASTERS
        return existing(self.collections, name, what="collection")

    def run(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            MissingError: there is no such run.
        """
        folder = existing(self.runs, name, what="run")
        if not (folder / "run.json").is_file():
            raise MissingError(f"there is no run '{name}'")
        return folder

    def model(self, name: str) -> Path:
        """The path that a model's name in the API stands for, as commands take it.

        Args:
            name: `masters`, `paintings`, `models/NAME`, `runs/RUN`, `runs/RUN/best` or
                `runs/RUN/checkpoints/NUMBER`.

        Raises:
            MissingError: there is no such folder.
        """
        if name in SHIPPED:
            return Path(name)
        root, _, rest = name.partition("/")
        if root == "models":
            return existing(self.models, rest, what="model")
        if root != "runs":
            raise MissingError(
                f"there is no model '{name[:MOST_LETTERS]}'; a model is masters, paintings, "
                "models/NAME, runs/RUN, runs/RUN/best or runs/RUN/checkpoints/NUMBER"
            )
        run, _, part = rest.partition("/")
        folder = self.run(run)
        if part in ("", "best"):
            return folder / part if part else folder
        kind, _, number = part.partition("/")
        if kind != "checkpoints":
            raise MissingError(f"there is no model '{name[:MOST_LETTERS]}'")
        return existing(confined(folder, "checkpoints"), number, what="checkpoint")

    def model_folder(self, name: str) -> Path:
        """The model folder of a model's name; of a run, its newest checkpoint.

        Raises:
            ImpastoError: there is no model.
        """
        from impasto.sampling import find_model

        path = self.model(name)
        self._check_checkpoint(name)
        found = find_model(path).resolve()
        if name not in SHIPPED:
            inside(found, self.models if name.startswith("models/") else self.runs)
        return found

    def _check_checkpoint(self, name: str) -> None:
        from impasto.sampling.model import checkpoint_folders

        root, _, run = name.partition("/")
        if root != "runs" or "/" in run or checkpoint_folders(self.run(run)):
            return
        raise ImpastoError(
            f"{run} has no checkpoint yet; Save now on its page saves one while it trains, and Resume "
            "goes on with it where it does not"
        )

    def fixed_model(self, name: str) -> str:
        """The name that stays with a model's weights: of a run, that of the checkpoint that it stands
        for now.

        Raises:
            ImpastoError: there is no model.
        """
        if not name.startswith("runs/"):
            return name
        folder = self.model_folder(name)
        return f"runs/{folder.parent.parent.name}/checkpoints/{folder.name}"

    def model_record(self, name: str) -> ModelRecord:
        """The contents of a model's `model.json`.

        Raises:
            ImpastoError: there is no model, or it is damaged.
        """
        return ModelRecord.of(self.model_folder(name))


def inside(path: Path, root: Path) -> Path:
    """A resolved path, if it is in a root.

    Raises:
        MissingError: it is elsewhere, such as behind a link.
    """
    if not path.is_relative_to(root):
        raise MissingError(f"'{path.name}' is outside the studio's folders")
    return path


def confined(root: Path, *parts: str) -> Path:
    """A path below a root, resolved. Links that lead out of the root are refused.

    Args:
        root: a resolved path.
        parts: names of folders and of a file, one each.

    Raises:
        MissingError: a part is no plain name, or the path leads out of the root.
    """
    for part in parts:
        plain = part and part not in (".", "..") and not set(part) & {"/", "\\", "\0"}
        if not plain or len(part.encode(errors="replace")) > 255:
            raise MissingError(f"'{part[:MOST_LETTERS]}' is no name of a file or folder")
    try:
        return inside(root.joinpath(*parts).resolve(), root)
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingError(f"'{parts[-1][:MOST_LETTERS]}' cannot be used") from error


def existing(root: Path, *parts: str, what: str) -> Path:
    """As `confined`, of something that is there.

    Raises:
        MissingError: it is not.
    """
    if not all(parts) or any(part.startswith(".") for part in parts):
        raise MissingError(f"there is no {what} '{'/'.join(parts)[:MOST_LETTERS]}'")
    path = confined(root, *parts)
    if not path.exists():
        raise MissingError(f"there is no {what} '{'/'.join(parts)[:MOST_LETTERS]}'")
    return path


def folders(root: Path, mark: str) -> Iterator[Path]:
    """The folders in a root that have a file of this name, by name; links that lead out are left out."""
    try:
        found = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError:
        return
    for path in found:
        resolved = path.resolve()
        if resolved.is_relative_to(root) and (resolved / mark).is_file():
            yield resolved


def new_own_name(name: str, what: str) -> str:
    """A name for a new collection or model.

    Raises:
        ImpastoError: it cannot be one, or is a word that stands for what comes with impasto.
    """
    if name in SHIPPED:
        raise ImpastoError(
            f"a {what} cannot be named {name}, which is the word for what comes with impasto; "
            "choose another name"
        )
    return new_name(name, what)


def new_name(name: str, what: str) -> str:
    """A name for a new folder.

    Raises:
        ImpastoError: it cannot be one.
    """
    usable = name and name == name.strip() and name[:1] not in ".-" and name.isprintable()
    if not usable or set(name) & set('/\\:*?"<>|') or len(name.encode()) > MOST_LETTERS:
        raise ImpastoError(
            f"'{name[:MOST_LETTERS]}' cannot be the name of a {what}: give a short one without "
            '/ \\ : * ? " < > |, that begins with no dot, hyphen or blank and ends with no blank'
        )
    return name
