"""The README and the guides: every block of Python runs, every command is one, every table is up to date."""

import json
import re
import shlex
import sys
import types
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import typer

import headstart
from headstart.cli import app, main
from headstart.strategies import NO_REUSE, STRATEGIES

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))))
FOLLOWED = (
    "README.md",
    "docs/quickstart.md",
    "docs/multitask.md",
    "docs/few-shot.md",
    "docs/domains.md",
    "docs/recommenders.md",
    "docs/reinforcement.md",
    "docs/add-a-method.md",
)
BLOCK = re.compile(r"^```(python|toml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLOORS = ("constant", "raw+logreg", "raw+ridge", "raw+means", "tfidf+logreg", "scratch")  # the quick ones
QUICK = ["budget.steps=2", "budget.pretrain=2", "budget.meta=1", "budget.episodes=1", "budget.options=1"]
QUICK += ["compare.strategies=['probe', 'finetune']"]


def blocks(page):
    return BLOCK.findall((ROOT / page).read_text())


def commands(text):
    """Give the words of every line that calls the program."""
    lines = (re.sub(r"\s+# .*", "", line) for line in text.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("headstart ")]


def quick(words):
    """Let a comparison train for a moment only."""
    if words[0] not in ("demo", "compare"):
        return words
    sets = [word for key in QUICK for word in ("--set", key)]
    kept = words[: words.index("--seeds")] if "--seeds" in words else words
    return [*kept, "--seeds", "1", "--workers", "1", *sets]


def run(page, folder, monkeypatch):
    """Do what a page says, block by block, in a folder; return the functions that are tests."""
    monkeypatch.chdir(folder)
    space = {"__name__": "page"}
    for language, text in blocks(page):
        title = re.match(r"# (\S+)\n", text)
        name = title[1] if title else ""
        if language == "toml" and name:
            Path(name).write_text(text)
        elif language == "sh":
            for words in commands(text):
                assert main(quick(words)) == 0, words
        elif language == "python" and name.startswith("src/headstart/"):
            parts = name.removeprefix("src/").removesuffix(".py").split("/")
            where = module(parts, text, monkeypatch)
            exec(compile(text, name, "exec"), where)
        elif language == "python":
            with warnings.catch_warnings():  # words on the page's own data
                warnings.filterwarnings("ignore", ".* left out: one value in all training rows")
                warnings.filterwarnings("ignore", ".* different whole numbers, taken as classes")
                exec(compile(text, page, "exec"), space)
    return [value for key, value in space.items() if key.startswith("test_")]


def module(parts, text, monkeypatch):
    """Give the namespace of a file of the package: a new module, or one that is there."""
    if parts[-1] == "__init__":
        room = import_module(".".join(parts[:-1]))
        for name in re.findall(r"^from \.\w+ import (\w+)$", text, re.MULTILINE):
            monkeypatch.setattr(room, name, None, raising=False)  # so that it goes again afterwards
        return room.__dict__
    name = ".".join(parts)
    if (ROOT / "src" / "/".join(parts)).with_suffix(".py").exists():
        there = import_module(name)
        for word in re.findall(r"^(\w+) = |^from \.\w+ import (\w+)$", text, re.MULTILINE):
            monkeypatch.setattr(there, "".join(word), getattr(there, "".join(word), None), raising=False)
        return there.__dict__
    new = types.ModuleType(name)
    new.__package__ = ".".join(parts[:-1])
    monkeypatch.setitem(sys.modules, name, new)
    return new.__dict__


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_can_be_followed(page, tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.comparison.problem.NO_REUSE", FLOORS)
    if page == "README.md":  # its commands name files of the reader's; they are checked below
        monkeypatch.setattr(sys.modules[__name__], "commands", lambda text: [])
    for test in run(page, tmp_path, monkeypatch):
        test()


def test_the_pages_that_must_have_python_have_it():
    for page in FOLLOWED:
        assert sum(language == "python" for language, _ in blocks(page)) >= 2, page


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_is_one(page):
    program = typer.main.get_command(app)
    for language, text in blocks(page):
        for words in commands(text) if language == "sh" else []:
            command, rest = program, words
            while rest and rest[0] in getattr(command, "commands", {}):
                command, rest = command.commands[rest[0]], rest[1:]
            assert command is not program, words
            command.make_context(words[0], list(rest))  # refuses options and arguments that are not known


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page):
    text = BLOCK.sub("", (ROOT / page).read_text())
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_every_example_that_a_page_names_is_there(page):
    for name in re.findall(r"examples/\w+\.\w+", (ROOT / page).read_text()):
        assert (ROOT / name).exists(), name


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return import_module("tables")


def test_the_tables_of_the_readme_are_up_to_date(tables):
    readme = (ROOT / "README.md").read_text()
    assert tables.with_tables(readme) == readme, "run: python docs/tables.py"


def test_every_strategy_that_reuses_anything_has_its_literature():
    assert [name for name, strategy in STRATEGIES.items() if not strategy.paper] == list(NO_REUSE)


def test_results_are_shown_for_none_and_for_some(tables, tmp_path, monkeypatch):
    assert "No comparison" in tables.results(tmp_path)
    scored = {"mean": 0.8, "ci95": [0.7, 0.9], "gain": 0.1, "gain_ci95": [0.05, 0.15], "seconds": 1.0}
    common = {"shots": 1, "harmed": False, "trained_parameters": 3}
    rows = [
        {"strategy": "scratch", "seeds": []} | common | dict.fromkeys(scored),
        {"strategy": "probe", "seeds": [0.75, 0.85]} | common | scored,
    ]
    result = {"task": "d", "metric": "accuracy", "higher_is_better": True, "rows": rows, "reasons": ["why"]}
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "result.json").write_text(json.dumps(result))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    text = tables.results(tmp_path)
    assert "| `probe` | 0.800 [0.700, 0.900] | +0.100 [+0.050, +0.150] | gains | 1.0 | 2 |" in text
    assert text.index("`probe`") < text.index("`scratch`")
    assert "- why" in text


def test_the_public_names_are_those_of_the_reference():
    text = (ROOT / "docs" / "api.md").read_text()
    for name in headstart.__all__:
        value = getattr(headstart, name)
        if isinstance(value, types.ModuleType):
            assert f"automodule:: headstart.{name}\n" in text, name
        else:
            assert f"`hs.{name}`" in text, name
