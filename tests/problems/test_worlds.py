"""A problem file may name worlds in place of data."""

import pytest

from headstart.cli import main
from headstart.comparison.rl import Problem
from headstart.problems import WorldFile, load_asked

TEXT = """
[target]
world = "CartPole-v1"
context = {gravity = 20}
steps = [0, 64]

[[sources]]
world = "CartPole-v1"

[budget]
pretrain = 64
episodes = 2
hidden = [8]

[compare]
strategies = ["zero-shot"]
seeds = 2
"""


def written(folder, text=TEXT):
    path = folder / "heavy.toml"
    path.write_text(text)
    return path


def test_a_file_of_worlds_is_a_problem_of_worlds(tmp_path):
    file = load_asked(written(tmp_path), ["target.steps=[0, 32]", "compare.seeds=3"])
    assert isinstance(file, WorldFile)
    problem = file.problem()
    assert isinstance(problem, Problem)
    assert (problem.target.context, problem.steps, file.compare.seeds) == ({"gravity": 20}, (0, 32), 3)
    assert problem.sources_of() == ["CartPole-v1"]


@pytest.mark.slow
def test_the_command_compares_and_goes_on(tmp_path, capsys):
    path, out = written(tmp_path), str(tmp_path / "run")
    assert main(["compare", str(path), "--out", out]) == 0
    said = capsys.readouterr().out
    assert "one of 2 actions" in said
    assert "64 steps" in said
    assert main(["resume", out]) == 0
    assert "is finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (TEXT.replace("context", "contxt"), 'did you mean "context"'),
        (TEXT.replace("gravity", "gravty"), 'did you mean "gravity"'),
        (TEXT.replace("[0, 64]", "[-1]"), "at least 0"),
        (TEXT.replace('"CartPole-v1"\ncontext', '"Pendulum-v1"\ncontext'), "actions=5"),
        (TEXT.replace("pretrain = 64", "pretrain = 0"), "at least 1"),
        (TEXT + "\n[backbone]\n", "backbone"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path, wrong, told):
    with pytest.raises(ValueError, match=told):
        load_asked(written(tmp_path, wrong)).problem()
