"""A folder and the contents of its archives, as one tree."""

from impasto.errors import ImpastoError
from impasto.sources.archives import is_archive, stem_of
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, Folder, Tree, UnusableError, archive_at, unreadable


class FolderWithArchives(Tree):
    """A folder with the files of its archives, as if each archive were unpacked into a folder of its
    name. A single archive is as if unpacked into the folder itself. One archive is open at a time."""

    def __init__(self, folder: Folder, names_encoding: str | None = None) -> None:
        super().__init__(folder.place)
        self._folder = folder
        self._names_encoding = names_encoding
        self._where: dict[str, tuple[Place, str]] = {}
        """By file: its archive, and its name there."""
        self._opened: tuple[Place, Tree] | None = None

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        archives = {n: f for n, f in self._folder.files.items() if is_archive(n)}
        files = {n: f for n, f in self._folder.files.items() if n not in archives}
        left_out = list(self._folder.left_out)
        damaged: list[ImpastoError] = []
        for name, file in archives.items():
            assert file.path is not None
            try:
                tree = self._open(file.path)
                inside = tree.files
            except ImpastoError as error:
                damaged.append(error)
                left_out.append((name, f"{unreadable(error)}: {error}"))
                continue
            prefix = _prefix(name, list(inside)) if len(archives) > 1 else ""
            for inner in inside.values():
                placed = prefix + inner.name
                if placed in files:
                    left_out.append(
                        (f"{name}/{inner.name}", "twice: the first of this name counts")
                    )
                else:
                    files[placed] = File(placed, inner.size, inner.stamp)
                    self._where[placed] = (file.path, inner.name)
            left_out += [(prefix + inner_name, reason) for inner_name, reason in tree.left_out]
            self.notes += [note for note in tree.notes if note not in self.notes]
        self.close()
        if archives and len(damaged) == len(archives):
            raise damaged[0]
        return files, left_out

    def _open(self, path: Place) -> Tree:
        if self._opened is None or self._opened[0] != path:
            self.close()
            tree = archive_at(path, self._names_encoding)
            if tree is None:
                raise ImpastoError(f"{path} is no file, or no archive whatever its name says")
            self._opened = (path, tree)
        return self._opened[1]

    def read(self, name: str) -> bytes:
        if name in self._folder.files or name not in self.files:
            return self._folder.read(name)
        path, inner = self._where[name]
        try:
            tree = self._open(path)
            _ = tree.files  # If the archive was opened again, this lists it.
        except ImpastoError as error:
            raise UnusableError(f"{unreadable(error)}: {error}") from error
        return tree.read(inner)

    def close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None


def _prefix(archive: str, inside: list[str]) -> str:
    """The folder for an archive's files, with its last `/`. If they are all in a folder of the archive's
    name already, it is the folder of the archive.

    Args:
        archive: path of the archive.
        inside: names of the files in it.
    """
    folder, slash, _ = archive.rpartition("/")
    place = f"{stem_of(archive)}/"
    own = place.removeprefix(folder + slash)
    return folder + slash if inside and all(name.startswith(own) for name in inside) else place
