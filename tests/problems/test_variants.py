"""Strategies with settings of the user's own, and several targets, in a problem file."""

from pathlib import Path

import pytest
import torch

from headstart.problems import load_problem, load_run
from headstart.strategies import STRATEGIES

HEAD = '[target]\ndata = "digits:5-9"\nshots = 1\n[[sources]]\ndata = "digits:0-4"\n'
SLOW = '[[strategies]]\nuse = "finetune"\nname = "finetune-slow"\nlr = 1e-4\n'


def written(path: Path, text: str) -> Path:
    file = path / "problem.toml"
    file.write_text(text)
    return file


def test_variants_are_added_to_the_list(tmp_path: Path) -> None:
    file = load_problem(written(tmp_path, HEAD + SLOW + '[compare]\nstrategies = ["probe"]\n'))
    probe, slow = file.strategies()
    assert probe == "probe"
    assert (slow.name, slow.options, slow.run) == (
        "finetune-slow",
        ({"lr": 1e-4},),
        STRATEGIES["finetune"].run,
    )
    auto, slow = load_problem(written(tmp_path, HEAD + SLOW)).strategies()
    assert (auto, slow.name) == ("auto", "finetune-slow")


def test_the_list_may_name_variants(tmp_path: Path) -> None:
    file = load_problem(
        written(tmp_path, HEAD + SLOW + '[compare]\nstrategies = ["finetune-slow", "probe"]\n')
    )
    assert [getattr(s, "name", s) for s in file.strategies()] == ["finetune-slow", "probe"]


@pytest.mark.parametrize("place", ["finetune-slow", "0"])
def test_settings_of_variants_are_overridden_by_name_or_number(tmp_path: Path, place: str) -> None:
    path = written(tmp_path, HEAD + SLOW)
    (_, slow) = load_problem(path, [f"strategies.{place}.lr=0.5"]).strategies()
    assert slow.options == ({"lr": 0.5},)


def test_names_may_hold_dots(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + SLOW.replace("finetune-slow", "v1.2"))
    (_, slow) = load_problem(path, ["strategies.v1.2.lr=0.5"]).strategies()
    assert (slow.name, slow.options) == ("v1.2", ({"lr": 0.5},))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SLOW.replace('use = "finetune"', 'use = "finetun"'), 'did you mean "finetune"'),
        (SLOW.replace("lr =", "rate ="), "setting of strategy 'finetune' should be a known name"),
        (SLOW.replace("finetune-slow", "a b"), r"`strategies.0.name` of .* should be letters, digits"),
        (SLOW.replace("finetune-slow", "probe"), "a name that no other strategy has"),
        (SLOW + SLOW, "a name that no other strategy has"),
        ("[[strategies]]\nname = 'mine'\n", r"`strategies.0.use` of .* should be the name of a strategy"),
    ],
)
def test_wrong_variants_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_problem(written(tmp_path, HEAD + text))


def test_a_single_run_takes_a_variant(tmp_path: Path) -> None:
    file = load_run(written(tmp_path, HEAD + SLOW + '[fit]\nstrategy = "finetune-slow"\n'))
    assert file.fit.settings == {"lr": 1e-4}
    assert file.strategy().name == "finetune-slow"


TABLE = "a,b,colour,size\n" + "\n".join(f"{i},{i % 7},{'rg'[i % 2]},{i * 0.5}" for i in range(60))


def test_several_targets(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    text = '[[targets]]\ndata = "csv:t.csv#colour"\n[[targets]]\ndata = "csv:t.csv#size"\nname = "length"\n'
    problem = load_problem(written(tmp_path, text)).problem()
    assert [t.name for t in problem.targets] == ["colour", "length"]
    assert (
        problem.target.train.x.shape[1] == problem.targets[1].train.x.shape[1] == 2
    )  # no target is an input
    one = load_problem(written(tmp_path, '[[targets]]\ndata = "csv:t.csv#colour,size"\n')).problem()
    assert [t.name for t in one.targets] == ["colour", "size"]
    assert one.targets[0].train.x is one.targets[1].train.x


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[compare]\nseeds = 1\n", "`target` of .* should be a table with `data`; found nothing"),
        (HEAD + '[[targets]]\ndata = "digits:0-4"\n', "should be left out beside"),
        (
            '[[targets]]\ndata = "digits:5-9"\nshots = 1\n[[targets]]\ndata = "digits:0-4"\n',
            "`targets.1.shots` of .* should be those of the first target, 1; found None",
        ),
        (
            '[[targets]]\ndata = "digits:5-9"\ndraw = "random"\n[[targets]]\ndata = "digits:0-4"\n',
            '`targets.1.draw` of .* should be as of the first target, "random"; found "equal"',
        ),
        ('[[targets]]\ndata = 3\n', r"`targets.0.data` of .* should be a data reference"),
    ],
)  # fmt: skip
def test_wrong_targets_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_problem(written(tmp_path, text))


def test_how_rows_are_drawn_is_said_in_the_file_or_on_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD)
    assert load_problem(path).problem().draw == "equal"
    assert load_problem(path, ["target.draw=random"]).problem().draw == "random"


def test_what_judges_without_labels_is_said_in_the_file_or_on_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + '[compare]\nvalidator = "information"\n')
    assert load_problem(path).problem().validator == "information"
    assert load_problem(path, ["compare.validator=snd"]).problem().validator == "snd"
    assert load_problem(written(tmp_path, HEAD)).problem().validator == "sound"
    with pytest.raises(ValueError, match=r"`validator` should be a known name; found .sounds."):
        load_problem(path, ["compare.validator=sounds"]).problem()


def test_where_to_train_is_said_in_the_file_or_on_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + '[compare]\ndevice = "cpu"\nprecision = "float32"\nthreads = 2\n')
    file = load_problem(path)
    assert (file.compare.device, file.compare.precision, file.compare.threads) == ("cpu", "float32", 2)
    problem = file.problem()
    assert (problem.on.type, problem.dtype) == ("cpu", torch.float32)
    with pytest.raises(ValueError, match=r"`compare.precision` of .* should be"):
        load_problem(path, ["compare.precision=half"])
