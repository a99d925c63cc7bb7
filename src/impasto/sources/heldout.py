"""Recognise words, names and columns that mark pictures as for training or held out.

Words are known by themselves (`val`) or in a name (`seg_train`, `TestSet`, `train_1`, `PublicTest`). A
column determines the held-out pictures if its values are known words. If not, a note lists its values.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from impasto.formatting import counted
from impasto.sources.listing import Listing
from impasto.sources.where import written

TRAINING = frozenset(
    {
        *("train", "training", "trn", "trainval"),
        *("trainings", "entrainement", "apprentissage", "entrenamiento", "treino", "treinamento"),
        *("addestramento", "обучение", "训练", "訓練", "学習", "학습", "훈련"),
    }
)
HELD_OUT = frozenset(
    {
        *("val", "valid", "validation", "dev", "devel", "test", "tests", "testing", "tst", "eval"),
        *("evaluation", "heldout", "holdout", "pred", "predict", "prediction", "predictions"),
        "inference",
        *("validierung", "validierungs", "prueba", "pruebas", "validacion", "teste", "testes"),
        *("validacao", "validazione", "тест", "валидация", "测试", "測試", "验证", "驗證"),
        *("テスト", "検証", "테스트", "검증"),
    }
)
"""The names of splits that Hugging Face's `datasets` knows (its documentation, 'File names and splits'),
and others in German, French, Spanish, Portuguese, Italian, Russian, Chinese, Japanese and Korean. They
are without accents. All splits but the training split are held out."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_]+")
_APPENDED = re.compile(r"(?:set|sets|data|images|imgs|split|part|daten|bilder|satz|集|データ|用)$")
"""Endings that such words may have: `testset`, `trainimages`, `Testdaten`."""
_ACCENTS = re.compile("[\u0300-\u036f]")

_COLUMNS = (
    *("split", "usage", "subset", "partition", "data_split", "dataset_split", "split_name"),
    *("dataset", "set", "phase", "fold"),
)
"""Columns that may name the split. Any other column counts if all its values are names of splits, some
for training and some held out."""
_MOST_PARTS = 8
"""Most distinct values of such another column."""
_FLAG_MARKS = frozenset({"is", "in", "for"})
_PLAIN_FLAGS = frozenset({"training", "test", "testing", "heldout", "holdout", "val", "validation"})
"""Words that are a flag by themselves. `train` is none, because pictures may show a train."""
_BESIDE_FLAGS = frozenset({"set", "split", "image", "images", "img", "data", "sample", "picture"})
_UNCLEAR_FLAGS = {
    "is_valid": "of validation or of what is in order; call it is_test if its pictures are held out",
    "is_dev": "of a development set or of something else; call it is_test if its pictures are held out",
    "train": "of what is for training or of what is in the picture; call it is_train if its other "
    "pictures are held out",
}
"""By column of yes and no that is ambiguous and not used: what it may mean, and what to do."""
_YES = frozenset({"1", "1.0", "true", "t", "yes", "y"})
_NO = frozenset({"0", "0.0", "false", "f", "no", "n"})
_SHOWN = 5


def words_of(name: str) -> list[str]:
    """The words of a name in lower case and without accents: `TrainingSet_2` gives training, set, 2."""
    if not name.isascii():
        bare = _ACCENTS.sub("", unicodedata.normalize("NFD", name))
        name = unicodedata.normalize("NFC", bare)
    return [word.lower() for word in _WORD.findall(name)]


def _is_heldout(word: str) -> bool | None:
    """Whether a split of this name, a word in lower case, is held out; None if it names no split."""
    for form in (word, _APPENDED.sub("", word)):
        if form in TRAINING or form in HELD_OUT:
            return form in HELD_OUT
    return None


def is_split_word(word: str) -> bool:
    """Whether a word, in lower case, names a split."""
    return _is_heldout(word) is not None


def is_heldout(name: str) -> bool | None:
    """Whether a split of this name is held out; None if it names no split.

    A split for both, such as `train_val`, is for training.
    """
    words = words_of(name)
    decided = {_is_heldout(word) for word in words} - {None}
    if not decided and {"heldout", "holdout"} & {one + other for one, other in pairwise(words)}:
        return True
    return False not in decided if decided else None


def hold_out(listing: Listing, own: Sequence[bool | None], notes: Sequence[str] = ()) -> None:
    """Set `Entry.heldout`: by a column if one determines it, else as in `own`.

    Args:
        listing: complete; its entries and notes are changed.
        own: for each entry, the reader's conclusion from names of folders or files.
        notes: the notes to add if `own` is used.
    """
    decided, said = _by_columns(listing)
    listing.notes += said
    if decided is None:
        listing.notes += notes
        decided = list(own)
    else:
        decided = [bool(own[n] if held is None else held) for n, held in enumerate(decided)]
    listing.entries = [
        replace(entry, heldout=held) for entry, held in zip(listing.entries, decided, strict=True)
    ]


def _by_columns(listing: Listing) -> tuple[list[bool | None] | None, list[str]]:
    """Whether a column holds out each entry, or None if no column determines it; and the notes."""
    columns = dict.fromkeys(name for entry in listing.entries for name in entry.about)
    notes: list[str] = []
    for column in _of_name(columns, _COLUMNS):
        values = [entry.about.get(column, "") for entry in listing.entries]
        decided, said = _by_words(column, values)
        if decided is not None:
            return decided, said
        notes += said
    for column in columns:
        values = [entry.about.get(column, "") for entry in listing.entries]
        words = {value for value in values if value}
        if len(words) <= _MOST_PARTS and {is_heldout(word) for word in words} == {True, False}:
            return _by_words(column, values)
    decided, said = _by_flags(listing, columns)
    return (decided, said) if decided is not None else (None, notes + said)


def _of_name(columns: dict[str, None], names: Sequence[str]) -> list[str]:
    """The columns of these names, in the order of the names. Columns inside an object count, too."""
    last = {column: column.rpartition(".")[2].lower().replace(" ", "_") for column in columns}
    return [column for name in names for column in columns if last[column] == name]


def _by_words(column: str, values: list[str]) -> tuple[list[bool | None] | None, list[str]]:
    """Whether a column of names of splits holds out each entry, or None if its values do not determine
    it; and the notes.

    Args:
        column: its name.
        values: its value for each entry.
    """
    counts = Counter(values)
    meant = {value: is_heldout(value) for value in counts}
    kept = [value for value in meant if meant[value]]
    strange = [value for value in meant if value and meant[value] is None]
    # If everything were held out, nothing would be left to train on.
    decides = bool(kept) and len(kept) < len(meant)
    if column.rpartition(".")[2].lower() != "split":
        # Some values may be unknown words, such as `uncertain artist`, but at most half of them.
        others = sum(counts[value] for value in strange)
        both = {True, False} <= set(meant.values())
        if both and 2 * others > len(values):
            return None, [_not_understood(column, counts, strange)]
        decides = decides and both
    elif strange and not decides:
        return None, [_not_understood(column, counts, strange)]
    if not decides:
        return None, []
    notes = [
        f"held out is what the column '{column}' says ({listed(kept)}); --heldout and --seed have no "
        "effect"
    ]
    if others := sum(count for value, count in counts.items() if meant[value] is None):
        which = f" ({listed(strange)})" if strange else ""
        notes.append(
            f"{counted(others, 'picture')} with no known name of a split{which}, used for training"
        )
    return [meant[value] for value in values], notes


def _not_understood(column: str, counts: Counter[str], strange: list[str]) -> str:
    """A note on a column that may name the split but has unknown values.

    Args:
        column: its name.
        counts: the number of entries of each value.
        strange: the unknown values.
    """
    known = [value for value in counts if value and value not in strange]
    but = f" but {listed(known)}" if known else ""
    among = [f"{value} ({counts[value]:,})" for value in sorted(strange)]
    condition = written(column, "!=", min(strange)).replace('"', '\\"')
    return (
        f"no value of '{column}'{but} is known as a part for training or testing: {listed(among)}; so "
        f"'{column}' decides nothing. Write train and test there, or leave a part out, such as by "
        f'--where "{condition}"'
    )


def _flag(column: str) -> bool | None:
    """What a true value in this column means: held out (True), for training (False), or neither
    (None)."""
    words = words_of(column.rpartition(".")[2])
    marked = bool(words) and words[0] in _FLAG_MARKS
    rest = [word for word in words[marked:] if word not in _BESIDE_FLAGS]
    name = "".join(rest)
    if not marked and name.startswith("is"):  # Readers give `isTest` in small letters.
        marked, name = True, name[2:]
    if column.rpartition(".")[2].lower().replace(" ", "_") in _UNCLEAR_FLAGS or not (
        marked or name in _PLAIN_FLAGS
    ):
        return None
    return _is_heldout(name)


def _by_flags(
    listing: Listing, columns: dict[str, None]
) -> tuple[list[bool | None] | None, list[str]]:
    """Whether columns of yes and no hold out each entry, or None if no column does; and the notes."""
    decided = [False] * len(listing.entries)
    used = []
    flags = {name: flag for name in columns if (flag := _flag(name)) is not None}
    for column, of_heldout in flags.items():
        values = [entry.about.get(column, "").lower() for entry in listing.entries]
        # Entries with a blank cell are for training.
        truths = [value in (_YES if of_heldout else _NO) for value in values]
        if set(values) <= _YES | _NO | {""} and len(set(truths)) == 2:
            decided = [before or now for before, now in zip(decided, truths, strict=True)]
            used.append(column)
    if used and not all(decided):
        return list(decided), [
            f"held out is what the column '{' or '.join(used)}' says ({sum(decided):,} of "
            f"{counted(len(decided), 'picture')}); --heldout and --seed have no effect"
        ]
    notes = []
    for unclear, meaning in _UNCLEAR_FLAGS.items():
        for column in _of_name(columns, [unclear]):
            answers = {entry.about.get(column, "").lower() for entry in listing.entries}
            if answers <= _YES | _NO | {""} and answers & _YES and answers & _NO:
                notes.append(f"the column '{column}' decides nothing, as it may be {meaning}")
    return None, notes


def listed(names: Sequence[str]) -> str:
    """Names for a note, the first five if there are more."""
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return f"{', '.join(sorted(names)[:_SHOWN])}{more}"
