"""Problem files: defaults, overrides, and what is said of a wrong key."""

import os
import tomllib
from pathlib import Path

import pytest

from headstart.cli import comparisons
from headstart.engine import to_toml
from headstart.models.backbones.wheel import place
from headstart.problems import load_problem, load_run


def written(path: Path, text: str) -> Path:
    file = path / "problem.toml"
    file.write_text(text)
    return file


def test_the_demo_is_a_problem() -> None:
    problem = load_problem(Path(comparisons.__file__).with_name("demo.toml")).problem()
    assert problem.shots == [1, 5]
    assert [t.name for t in (problem.target, *problem.sources)] == ["digits_5-9", "digits_0-4"]
    assert problem.settings == {"width": 24, "halvings": 0}


@pytest.mark.skipif(not os.environ.get("HEADSTART_DATA"), reason="set HEADSTART_DATA to the real sets")
@pytest.mark.skipif(not place("minilm").exists(), reason="no real weights: run `headstart weights minilm`")
def test_the_demo_of_words_is_a_problem() -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    problem = load_problem(Path(comparisons.__file__).with_name("demo_words.toml")).problem()
    assert (problem.shots, problem.target.kind.outputs, len(problem.target.test or ())) == ([1, 5], 15, 450)
    assert problem.target.encoding is not None
    assert problem.target.encoding.facts()["vocabulary"] == 30522


def test_a_completed_file_gives_the_same_elsewhere(problem: Path, tmp_path: Path) -> None:
    file = load_problem(problem)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy = written(folder, to_toml(file.complete()))
    again = load_problem(copy)
    assert again.complete() == file.complete()
    assert again.problem().target.train.x.equal(file.problem().target.train.x)


def test_defaults_are_those_of_the_library(tmp_path: Path) -> None:
    from headstart.strategies import Budget

    file = load_problem(written(tmp_path, 'target.data = "digits"'))
    assert file.complete()["budget"] == {k: v for k, v in vars(Budget()).items() if v is not None}
    assert file.settings.budget.steps is None
    assert file.problem().budget == Budget()
    assert file.problem().shots is None


def test_names_of_target_and_sources_differ(problem: Path) -> None:
    old = 'data="csv:old.csv#label"'
    more = f'sources=[{{{old}}}, {{{old}}}, {{{old}, name="pets"}}]'
    posed = load_problem(problem, [more]).problem()
    assert [t.name for t in (posed.target, *posed.sources)] == [
        "label",
        "label of old",
        "label of old 2",
        "pets",
    ]


def test_overrides(problem: Path) -> None:
    changes = [
        "target.shots=[1, 2]",
        "target.data=csv:other.csv#label",
        "sources.0.name=pets",
        "backbone.weights=none",
    ]
    settings = load_problem(problem, changes).settings
    assert settings.target.shots == [1, 2]
    assert settings.target.data == "csv:other.csv#label"
    assert settings.sources[0].name == "pets"
    assert load_problem(problem, ["backbone.weights=none"]).problem().weights is None


def test_a_source_is_read_with_the_target_s_columns(problem: Path, tmp_path: Path) -> None:
    posed = load_problem(problem).problem()
    mean = posed.target.encoding.features["f0"].mean  # type: ignore[union-attr]
    raw = float((tmp_path / "old.csv").read_text().splitlines()[1].split(",")[0])
    std = posed.target.encoding.features["f0"].std  # type: ignore[union-attr]
    (source,) = posed.sources
    assert source.test is None  # nothing would use it
    assert any(abs(float(x) - (raw - mean) / std) < 1e-4 for x in source.train.x[:, 0])  # type: ignore[union-attr]


def test_labels_none_leaves_the_target_unlabelled(problem: Path) -> None:
    target = '{data = "csv:new.csv#label", labels = "none"}'
    posed = load_problem(problem, [f"target={target}"]).problem()
    assert posed.labelled() == 0
    assert len(posed.target.unlabelled) > 0  # type: ignore[arg-type]


def test_words_of_a_text_problem_size_the_backbone(tmp_path: Path) -> None:
    rows = "".join(f"day {i} was {'bad,no' if i % 2 else 'fine,yes'}\n" for i in range(12))
    (tmp_path / "t.csv").write_text(f"text,mood\n{rows}")
    posed = load_problem(written(tmp_path, 'target.data = "text:t.csv#mood"')).problem()
    assert posed.build(pretrained=False)(posed.target.test.x).shape[0] == len(posed.target.test)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("target.shotss=1", 'found "shotss"; did you mean "shots"?'),
        ("targt.data=x", 'found "targt"; did you mean "target"?'),
        (
            "budget.step=1",
            'key in [budget] of problem.toml should be a known name; found "step"; did you mean "steps"?',
        ),
        ("sources.0.shots=1", 'key in [sources.0] of problem.toml should be a known name; found "shots"'),
        ("target.split.tset=0.1", 'did you mean "test"?'),
        (
            "target.shots=0",
            "`target.shots` of problem.toml should be a whole number of at least 1, or a list",
        ),
        ("target.shots=[1, -5]", "found [1, -5]"),
        ("target.shots=[]", "found []"),
        ("target.shots=2.5", "found 2.5"),
        ("target.draw=often", '`target.draw` of problem.toml should be "equal" or "random"; found "often"'),
        ("target.split.test=1.5", "should be a fraction in [0, 1); found 1.5"),
        ("target.data=", 'found ""'),
        ("compare.seeds=0", "`compare.seeds`"),
        ("compare.workers=many", 'found "many"'),
        ("compare.seconds=-1.0", "should be a number above 0; found -1.0"),
        ("compare.seconds=nan", "should be a number above 0; found nan"),
        ("budget.steps=0", "`budget.steps`"),
        ("budget.steps=true", "found true"),
        ("target.labels=some", 'should be "all" or "none"; found "some"'),
        ("target.resize=[1]", "pixels of a side, or [height, width]"),
        ("sources=3", "should be tables, each under [[sources]]; found 3"),
        ("compare=3", "`compare` of problem.toml should be a table; found 3"),
        ("target.data.x=1", "should be a table at `target.data`"),
        ("sources.7.name=x", "a number below 1 in place of '7'"),
        ("shots", 'should be "key=value"'),
    ],
)
def test_a_wrong_key_is_named(problem: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str) -> None:
    monkeypatch.chdir(problem.parent)
    with pytest.raises(ValueError) as error:
        load_problem("problem.toml", [change])
    assert said in str(error.value)


def test_every_wrong_key_is_told_at_once(problem: Path) -> None:
    with pytest.raises(ValueError) as error:
        load_problem(problem, ["target.shotss=1", "budget.steps=-1"])
    assert len(str(error.value).splitlines()) == 2


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at line 2, column 8"):
        load_problem(written(tmp_path, "[target]\ndata = csv:new.csv\n"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="binary"):
        load_problem(tmp_path / "binary.toml")
    with pytest.raises(FileNotFoundError, match="nothing there"):
        load_problem(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="a folder"):
        load_problem(tmp_path)
    with pytest.raises(ValueError, match=r"`target` of .* found nothing"):
        load_problem(written(tmp_path, ""))


def test_a_run_takes_the_strategy_s_settings(problem: Path) -> None:
    fit = load_run(problem).fit
    assert fit.settings == {"lr": 1e-3}
    assert load_run(problem, ["fit.settings.lr=0.5"]).fit.settings == {"lr": 0.5}
    for change, said in {
        "fit.strategy=finetun": 'did you mean "finetune"?',
        "fit.settings.rate=1": "known: lr",
        "target.shots=[1, 2]": "should be one number",
        "fit.settings.lr=fast": 'found "fast"',
        "fit.settings.lr=-1": "found -1",
    }.items():
        with pytest.raises(ValueError) as error:
            load_run(problem, [change])
        assert said in str(error.value)


def test_a_run_needs_its_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"add \[fit\]"):
        load_run(written(tmp_path, 'target.data = "digits"'))


def test_complete_is_toml(problem: Path) -> None:
    file = load_problem(problem)
    assert tomllib.loads(to_toml(file.complete())) == file.complete()
