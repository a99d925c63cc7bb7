"""Classes merged, small ones left unknown, and in which order that is done."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.sources.class_names import (
    Merge,
    choose,
    merge_classes,
    minimum_class,
    parse_merge,
    read_merges,
    renaming,
)
from impasto.sources.listing import Entry, Listing, class_name


def listing(*rows: str) -> Listing:
    """Pictures of a style and a genre each, such as `Rococo portrait`; `-` for unknown."""
    entries = []
    for number, row in enumerate(rows):
        labels = tuple("" if name == "-" else name for name in row.split())
        entries.append(Entry(f"{number}.png", None, "1", labels, {"year": str(1800 + number)}))
    return Listing("a test", ("style", "genre"), entries)


def labels(found: Listing) -> list[tuple[str, ...]]:
    return [entry.labels for entry in found.entries]


PRINTS = listing("Ukiyo-e sea", "Shin-hanga sea", "Sosaku-hanga -", "Rococo portrait", "- sea")


def test_classes_are_merged() -> None:
    merges = ["style: Ukiyo-e = Ukiyo-e | Shin-hanga|Sosaku-hanga", "genre: any = sea|portrait"]
    merged = merge_classes(PRINTS, renaming(PRINTS, merges))
    assert labels(merged) == [
        ("Ukiyo-e", "any"),
        ("Ukiyo-e", "any"),
        ("Ukiyo-e", ""),
        ("Rococo", "any"),
        ("", "any"),
    ]
    assert merged.notes == [
        "style Ukiyo-e: 3 pictures of Shin-hanga (1), Sosaku-hanga (1), Ukiyo-e (1)",
        "genre any: 4 pictures of sea (3), portrait (1)",
    ]
    assert not PRINTS.notes
    assert labels(PRINTS)[1] == ("Shin-hanga", "sea")


def test_a_merge_into_another_class_keeps_what_is_called_so() -> None:
    merged = choose(PRINTS, None, ["style: Rococo = Ukiyo-e"], 1)
    assert merged.notes == ["style Rococo: 2 pictures of Rococo (1), Ukiyo-e (1)"]
    # All by the source's names: what is merged is not merged again.
    swapped = choose(PRINTS, None, ["style: Rococo = Ukiyo-e", "style: Ukiyo-e = Rococo"], 1)
    assert [row[0] for row in labels(swapped)] == [
        "Rococo",
        "Shin-hanga",
        "Sosaku-hanga",
        "Ukiyo-e",
        "",
    ]


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ("style: x = Shin hanga", "no style is called 'Shin hanga'; did you mean Shin-hanga?"),
        ("style: x = ukiyo-e", "no style is called 'ukiyo-e'; did you mean Ukiyo-e?"),
        ("styl: x = Rococo", "no label field 'styl'; did you mean style? (labels are chosen with"),
        ("style x = Rococo", "--merge takes 'FIELD: NEW = CLASS | CLASS', or a CSV file"),
        ("style: x", "--merge takes 'FIELD"),
        ("style: = Rococo", "--merge takes 'FIELD"),
        ("style: x = Rococo |", "--merge takes 'FIELD"),
        ("style: x | Rococo", "--merge takes 'FIELD"),
        ("style: x = Rococo = Cubism", "--merge takes 'FIELD"),
        (": x = Rococo", "--merge takes 'FIELD"),
        ("", "--merge takes 'FIELD"),
    ],
)
def test_wrong_merges_are_told(merge: str, message: str) -> None:
    with pytest.raises(ImpastoError) as error:
        renaming(PRINTS, [merge])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_goes_to_one_place() -> None:
    twice = ["style: a = Rococo", "style: b = Rococo"]
    with pytest.raises(ImpastoError, match="takes style 'Rococo' both for a and for b"):
        renaming(PRINTS, twice)


NAMES = st.text(alphabet="ab'=|: é.", min_size=1, max_size=6).map(class_name).filter(bool)


@given(into=NAMES, classes=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_merges_are_written_as_they_are_read(into: str, classes: list[str]) -> None:
    merge = Merge("style", into, tuple(classes))
    assert parse_merge(str(merge)) == merge


def test_merges_come_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "merges.csv"
    for text in (
        "field,from,to\nstyle,Shin-hanga,Ukiyo-e\ngenre,sea,out | in\nstyle,Sosaku-hanga,Ukiyo-e\n",
        "Field;To;From\nstyle;Ukiyo-e;Shin-hanga\ngenre;out | in;sea\nstyle;Ukiyo-e;Sosaku-hanga\n",
    ):
        table.write_text(text, encoding="utf-8-sig")
        assert read_merges(str(table)) == [
            "style: Ukiyo-e = Shin-hanga | Sosaku-hanga",
            "genre: 'out | in' = sea",
        ]
    assert read_merges("style:a=b|c") == ["style: a = b | c"]
    table.write_text("field,from,into\nstyle,a,b\n")
    with pytest.raises(ImpastoError, match=r"row 2 of .* does not name field, from and to"):
        read_merges(str(table))
    table.write_text("field,from,to\n")
    with pytest.raises(ImpastoError, match=r"merges\.csv has no rows, such as style,Shin-hanga,"):
        read_merges(str(table))
    with pytest.raises(ImpastoError, match=r"there is no .*other\.csv, which --merge names"):
        read_merges(str(tmp_path / "other.csv"))


def test_small_classes_become_unknown() -> None:
    found = minimum_class(
        listing("a x", "a x", "a y", "b x", "c -", "c x", "- x"),
        2,
    )
    assert labels(found) == [
        ("a", "x"),
        ("a", "x"),
        ("a", ""),
        ("", "x"),
        ("c", ""),
        ("c", "x"),
        ("", "x"),
    ]
    assert found.notes == [
        "style: now unknown for 1 picture, of classes with fewer than 2: b (1)",
        "genre: now unknown for 1 picture, of classes with fewer than 2: y (1)",
    ]
    many = minimum_class(listing(*[f"k{n} x" for n in range(12)], "a x", "a x"), 2)
    assert many.notes[0].endswith(
        "2: k0 (1), k1 (1), k10 (1), k11 (1), k2 (1), k3 (1), k4 (1), k5 (1) and 4 others"
    )
    with pytest.raises(ImpastoError, match=r"no style has 4 pictures.*; the largest, a, has 3"):
        minimum_class(listing("a x", "a x", "a x", "b x"), 4)


def test_first_where_then_merge_then_the_least_size() -> None:
    source = listing("a x", "b x", "b x", "c x", "c x", "a x", "- x")
    merge = ["style: ab = a | b"]
    found = choose(source, "style != 'a' and year < 1805", merge, 2)
    # `where` goes by the names before, so both of a are gone; one of the unknown styles too.
    assert [entry.relative for entry in found.entries] == ["1.png", "2.png", "3.png", "4.png"]
    assert [row[0] for row in labels(found)] == ["ab", "ab", "c", "c"]
    # A class that `where` left no picture of may still be named.
    alone = choose(source, "style = 'c'", merge, 1)
    assert [row[0] for row in labels(alone)] == ["c", "c"]
    assert len(alone.notes) == 1
    # The least size is of what was merged.
    assert [row[0] for row in labels(choose(source, "year < 1802", merge, 2))] == ["ab", "ab"]
    with pytest.raises(ImpastoError, match="no style has 2"):
        choose(source, "year < 1802", [], 2)
    assert labels(choose(source, None, [], 1)) == labels(source)


def test_classes_that_differ_by_how_they_are_written_alone_are_told_with_the_merge() -> None:
    names = ["Pop Art", "pop art", "Pop-Art", "POP_ART.", "Ｐｏｐ Art", "l'art", "L’art", "L'art!"]
    names += ["l'art", "Pop Art", "A-", "A", "1-2", "12", "A = B", "a=b", "'Q'", "'q'"]
    entries = [Entry(f"{number}.png", labels=(name,)) for number, name in enumerate(names)]
    found = Listing("a test", ("dc:subject",), entries)
    (note,) = choose(found, None, [], 1).notes
    said = "dc:subject: 9 classes differ by capitals, blanks or punctuation alone; "
    said += "to take those as one: "
    assert note.startswith(said)
    # As a shell gives it back, the note joins them all.
    given = shlex.split(note.removeprefix(said))
    assert given[::2] == ["--merge"] * 3
    merged = choose(found, None, [line for text in given[1::2] for line in read_merges(text)], 1)
    classes = {label for (label,) in labels(merged)}
    assert classes == {"Pop Art", "l'art", "L’art", "A-", "A", "1-2", "12", "A = B", "a=b", "'Q'"}
    assert not any("differ by" in note for note in merged.notes)
    # A class too small to be kept may be the same as another.
    assert "differ by" in choose(found, None, [], 2).notes[0]
