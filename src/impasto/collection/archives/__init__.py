"""Archives that are read where they lie: one file a kind, so that a new kind touches no other file.

An archive is a module with:
- `claims(path: Path) -> bool`, whether this file is one, by its name or its first bytes;
- `open_archive(path: Path) -> Tree`, what is in it.
"""
