"""The documentation's commands, settings and links are those that there are; the site itself is built
by `make docs`."""

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer import Context
from typer.core import TyperCommand

import impasto
from impasto.registry import module_names, recipe_modules
from impasto.settings import parse_settings
from tools.docs import commands, library, recipes, settings
from tools.docs.check import faults
from tools.docs.text import arguments, escaped, lists_apart

ROOT = Path(impasto.__file__).parents[2]
DOCS = ROOT / "docs"
# The notebook tells what was run then.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(set(DOCS.rglob("*.md")) - {DOCS / "notebook.md"}),
]
GROUP = commands.command_line()


def _options(command: TyperCommand) -> set[str]:
    parameters = command.get_params(Context(command))
    shown = [each for each in parameters if not getattr(each, "hidden", False)]
    return {name for each in shown for name in (*each.opts, *each.secondary_opts) if name[0] == "-"}


OPTIONS = {
    name: _options(command)
    for name, command in GROUP.commands.items()
    if isinstance(command, TyperCommand)
}


def _shown(text: str) -> Iterator[list[str]]:
    """The words of each command `impasto ...`: a line of code, or between backticks."""
    lines = re.findall(r"^ {4}(?:\.venv/bin/)?(impasto .*)$", text, flags=re.MULTILINE)
    prose = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)
    for line in [*lines, *re.findall(r"`(impasto [^`]*)`", prose)]:
        yield shlex.split(line.replace("...", ""), comments=True)


def _check_training(words: list[str]) -> None:
    """The recipe and the settings of a command `impasto train` are such that there are."""
    named = words[2] if len(words) > 2 and not words[2].startswith("-") else "flagship_64"
    if named.isupper():
        return
    given = [after for before, after in itertools.pairwise(words) if before == "--set"]
    whole = [each for each in given if "=" in each and not each.endswith("=")]
    impasto.change(impasto.load_recipe(named)(), parse_settings(whole))


def _check(words: list[str]) -> None:
    name = words[1] if len(words) > 1 else ""
    if name.startswith("-") or not name:
        assert name in ("", "--help", "--version")
        return
    assert name in OPTIONS, f"there is no command {name}"
    used = {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
    assert used <= {*OPTIONS[name], "--help"}, f"{name} has no {used - OPTIONS[name]}"
    if name == "train":
        _check_training(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in _shown(text):
        try:
            _check(words)
        except (AssertionError, impasto.ImpastoError) as error:
            raise AssertionError(f"{page.name}: {shlex.join(words)}: {error}") from error
    everywhere = {"--help", "--version"}.union(*OPTIONS.values())
    for option in re.findall(r"`(--[a-z][a-z-]*)", text):
        assert option in everywhere, f"{page.name}: no command has {option}"


def test_commands_of_recipes_exist() -> None:
    shown = list(_shown(recipes.page()))
    assert len([words for words in shown if words[1] == "train"]) >= len(recipe_modules())
    for words in shown:
        _check(words)


def test_the_commands_of_the_demo_are_those_shown() -> None:
    made = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    run = re.findall(r"^\.venv/bin/(impasto (?:train|sample|report) .*)$", made, re.MULTILINE)
    told = re.findall(r'^echo "  (impasto .*)"$', made, re.MULTILINE)
    assert (len(run), len(told)) == (3, 3)
    page = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    for line in (*run, *told):
        assert f"\n    {line}\n" in page, line


def test_a_command_that_is_shown_wrongly_is_found() -> None:
    for line in (
        "impasto paint masters",
        "impasto sample masters --seed 3",
        "impasto train --data masters --set training.bach=3",
        "impasto train no_recipe_of_ours --data masters",
    ):
        (words,) = _shown(f"    {line}\n")
        with pytest.raises((AssertionError, impasto.ImpastoError)):
            _check(words)


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


def test_links_of_the_readme_lead_somewhere() -> None:
    readme = ROOT / "README.md"
    links = re.findall(r"\]\(([^)\s]+)\)", readme.read_text(encoding="utf-8"))
    assert links
    for link in links:
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = ROOT / path if path else readme
        assert target.is_file(), link
        assert not anchor or anchor in _anchors(target), link


def test_pages_from_the_code_name_everything() -> None:
    text = commands.page()
    for name, options in OPTIONS.items():
        assert f"\n### {name}\n" in text
        section = text.partition(f"\n### {name}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        assert all(option in section for option in options - {"--help"}), name
    assert "*(default: 100 for a picture, no limit for a file)*" in text
    assert "*(default: 64; at least 1)*" in text
    text = settings.page()
    assert "\n`learning_rate_decay.factor`\n" in text
    for room in ("networks", "objectives"):
        assert all(f"\n### `{name}`\n" in text for name in module_names(room)), room
    for setting in (
        "training.batch",
        "discriminator.head_width",
        "autoencoder.scale",
        "objective.bce.real_labels",
    ):
        assert f"`{setting}`\n:   " in text
    assert "Channels before the last layer; each smaller level has twice as many." in text
    text = recipes.page()
    assert all(f"{{ #{name} }}" in text for name in recipe_modules())
    text = library.page()
    assert all(f"::: impasto.{name}\n" in text for name in impasto.__all__)


def test_environment_variables_are_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"\"(IMPASTO_[A-Z_]+)\"", text)}
    assert used
    assert used <= settings.ENVIRONMENT.keys()


def test_the_check_of_the_site_finds_faults(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<h2 id='there'>", encoding="utf-8")
    (tmp_path / "index.html").write_text(
        "<a href='other.html#there'>1</a> <a href='https://example.org'>2</a> "
        "<a href='#own' id='own'>3</a> <img src='data:image/png;base64,'>",
        encoding="utf-8",
    )
    assert faults(tmp_path) == []
    (tmp_path / "index.html").write_text(
        "<a href='other.html#gone'>1</a> <a href='gone.html'>2</a> <img src='gone.png'> "
        "<link rel='stylesheet' href='https://example.org/font.css'>",
        encoding="utf-8",
    )
    assert faults(tmp_path) == [
        "index.html: other.html#gone has no such anchor",
        "index.html: gone.html is not there",
        "index.html: gone.png is not there",
        "index.html: https://example.org/font.css is fetched from the network",
    ]


def test_text_becomes_markdown() -> None:
    assert escaped("a_b*c, `d_e` <f>") == r"a\_b\*c, `d_e` \<f\>"
    assert lists_apart("Words:\n- one\n- two\n    more\n- three\n") == (
        "Words:\n\n- one\n- two\n    more\n- three\n"
    )
    assert lists_apart("```yaml\nlabels:\n- style\n```\n") == "```yaml\nlabels:\n- style\n```\n"
    assert arguments("What.\n\nArgs:\n    one: first\n        line.\n    two: next.\n") == {
        "one": "first line.",
        "two": "next.",
    }


def test_the_site_is_built_with_the_versions_of_the_tests() -> None:
    pins, docs = (
        dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements" / name).read_text(), re.M))
        for name in ("pins.txt", "docs.txt")
    )
    shared = pins.keys() & docs.keys()
    assert "typer" in shared
    assert {name: docs[name] for name in shared} == {name: pins[name] for name in shared}
