"""Whatever a user gets wrong: exit status 2, a message that names it, no traceback, nothing half-written."""

import builtins
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

import headstart
from headstart.cli import app
from headstart.cli.app import spelled

Wrong = Callable[..., str]


def change(problem: Path, *changes: str) -> list[str]:
    return ["compare", problem.name, *(word for c in changes for word in ("--set", c))]


def rows(table: Path) -> list[str]:
    return table.read_text().splitlines()


def write(table: Path, lines: list[str]) -> None:
    table.write_text("\n".join(lines) + "\n")


def test_missing_file(wrong: Wrong, problem: Path) -> None:
    said = wrong(*change(problem, "target.data=csv:nwe.csv#label"))
    assert 'did you mean "new.csv"?' in said
    assert "nothing there" in wrong("compare", "none.toml")
    assert "nothing there" in wrong("evaluate", "none", "csv:new.csv#label")
    assert "no run.toml" in wrong("resume", "none")
    assert "no result.json" in wrong("report", "none")


def test_unknown_run(wrong: Wrong, call: Callable[..., Any], problem: Path) -> None:
    assert "`x` should be a run; found no run in runs; pass `--root`" in wrong("runs", "show", "x")
    call("fit", "problem.toml", "--out", "runs/first")
    assert 'did you mean "first"?' in wrong("runs", "show", "frist")
    assert 'did you mean "first"?' in wrong("runs", "compare", "first", "fist")


def test_hints_name_no_argument_that_the_command_has_not() -> None:
    """Hints are written for Python; a command shows its own options, or keys of the file that it reads."""
    source = "\n".join(p.read_text() for p in Path(headstart.__file__).parent.rglob("*.py"))
    hints = set(re.findall(r",? or pass `\w+=[\w.]+`", source))
    assert {" or pass `overwrite=True`", " or pass `drop_small=True`", " or pass `clip=1.0`"} <= hints
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        options = {word for parameter in command.params for word in parameter.opts}
        for hint in hints:
            said = spelled(hint, [name, "x"])
            assert "=" not in said, (name, hint)
            assert set(re.findall(r"--[\w-]+", said)) <= options


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b"f0,f1,label\n1,2,a\n1,2,b\n3,", "line 4"),
        (b'f0,f1,label\n1,2,a\n1,2,"b', "quote"),
        (b"f0,f1,label\n", "rows below the header"),
        (b"f0,f1,label\n1,2,a\n2,3,a\n", "at least two classes"),
    ],
    ids=["empty", "binary", "cut off", "cut off in quotes", "no rows", "one class"],
)
def test_broken_table(wrong: Wrong, problem: Path, table: Path, content: bytes, said: str) -> None:
    table.write_bytes(content)
    assert said in wrong("compare", problem.name)
    assert said in wrong("fit", problem.name)


def test_unknown_column(wrong: Wrong, problem: Path) -> None:
    assert 'did you mean "label"?' in wrong(*change(problem, "target.data=csv:new.csv#lable"))


def test_two_label_columns_for_a_target(wrong: Wrong, problem: Path) -> None:
    said = wrong(*change(problem, "target.data=csv:new.csv#label,f0"))
    assert "keep one column after the #" in said


def test_no_label_column(wrong: Wrong, problem: Path) -> None:
    assert "#label" in wrong(*change(problem, "target.data=csv:new.csv"))
    assert "csv:new.csv#label" in wrong(*change(problem, "target.data=new.csv"))
    assert "no file before the `#`" in wrong(*change(problem, "target.data=csv:#label"))


def test_data_of_another_reader(wrong: Wrong, model: Path) -> None:
    said = wrong("predict", model, "images:photos", "-o", "p.csv")
    assert 'reader of the data should be "csv:"' in said
    assert 'found "images:"' in said


def test_what_the_system_refuses_is_told_in_four_parts(
    wrong: Wrong, problem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(path: Path, *rest: Any, **more: Any) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    said = wrong("compare", problem.name, "--out", "locked")
    assert "`locked" in said
    assert "found Read-only file system; " in said
    assert "Errno" not in said


def test_class_smaller_than_shots(wrong: Wrong, problem: Path, table: Path) -> None:
    write(table, [row for i, row in enumerate(rows(table)) if "washer" not in row or i < 30])
    said = wrong(*change(problem, "target.shots=9"))
    assert '("washer")' in said
    assert said.endswith("lower `shots`\n"), "the command cannot drop the small classes"


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "problem.toml", "--seeds", "0"),
        ("compare", "problem.toml", "--seeds", "-3"),
        ("compare", "problem.toml", "--workers", "0"),
        ("compare", "problem.toml", "--seconds", "-1"),
        ("compare", "problem.toml", "--set", "target.shots=0"),
        ("compare", "problem.toml", "--set", "compare.seeds=[1, 1]"),
        ("compare", "problem.toml", "--set", "target.split.test=0.0"),
        ("fit", "problem.toml", "--set", "budget.steps=-5"),
        ("fit", "problem.toml", "--set", "fit.settings.lr=-1"),
        ("fit", "problem.toml", "--set", "fit.seed=-1"),
        ("rank", "problem.toml", "--seed", "-1"),
    ],
)
def test_numbers_out_of_range(wrong: Wrong, problem: Path, words: tuple[str, ...]) -> None:
    assert wrong(*words)


def test_nan_in_an_array(wrong: Wrong, problem: Path) -> None:
    x, y = np.ones((12, 3), dtype=np.float32), np.arange(12) % 2
    x[5, 1] = np.nan
    np.savez("bad.npz", x=x, y=y)
    assert "the first is row 5" in wrong(*change(problem, "target.data=npz:bad.npz#x,y"))
    Path("cut.npz").write_bytes(Path("bad.npz").read_bytes()[:200])
    assert "a whole .npz archive" in wrong(*change(problem, "target.data=npz:cut.npz#x,y"))


def test_infinity_in_a_table(wrong: Wrong, problem: Path, table: Path) -> None:
    lines = rows(table)
    write(table, [lines[0], "inf," + lines[1].split(",", 1)[1], *lines[2:]])
    assert "infinity in row 0" in wrong("compare", problem.name)


def test_words_where_numbers_were(wrong: Wrong, model: Path, table: Path) -> None:
    lines = rows(table)
    write(table, [lines[0], "many," + lines[1].split(",", 1)[1], *lines[2:]])
    assert "'many'" in wrong("predict", model, "csv:new.csv", "-o", "p.csv")


def test_label_outside_the_classes(wrong: Wrong, model: Path, table: Path) -> None:
    table.write_text(table.read_text().replace("washer", "wahser"))
    said = wrong("evaluate", model, "csv:new.csv#label")
    assert "'wahser'" in said
    assert 'did you mean "washer"?' in said


def test_rows_of_another_shape(wrong: Wrong, model: Path, problem: Path) -> None:
    Path("other.csv").write_text("f0,f3,f1\n1,2,3\n")
    assert '"f2"' in wrong("predict", model, "csv:other.csv", "-o", "p.csv")
    np.savez("wide.npz", x=np.ones((4, 7), dtype=np.float32), y=np.array(["bolt", "nut"] * 2))
    assert "should be" in wrong("evaluate", model, "npz:wide.npz#x,y")
    assert "should be" in wrong("predict", model, "npz:wide.npz", "-o", "p.csv")
    assert "should be" in wrong("adapt", model, "npz:wide.npz#x,y", "-o", "new")
    np.savez("deep.npz", x=np.ones((4, 7, 2), dtype=np.float32), y=np.array(["bolt", "nut"] * 2))
    assert "shape" in wrong(*change(problem, "sources.0.data=npz:deep.npz#x,y"))


def test_images_of_unequal_sizes_or_undecodable(wrong: Wrong, problem: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    for name in ("a", "b"):
        Path("photos", name).mkdir(parents=True)
        for size in (8, 9):
            Image.new("L", (size, 8)).save(Path("photos", name, f"{size}.png"))
    alone = ("sources=[]", "target.data=images:photos", "backbone={}")
    assert "resize" in wrong(*change(problem, *alone))
    Path("photos", "a", "9.png").write_bytes(b"no image")
    said = wrong(*change(problem, *alone, "target.resize=8"))
    assert "9.png" in said
    assert said.endswith("remove it, or pass `--skip-broken`\n")
    Path("empty").mkdir()
    assert "empty" in wrong(*change(problem, *alone, "target.data=images:empty"))


def test_duplicate_rows_across_train_and_test(call: Callable[..., Any], problem: Path, table: Path) -> None:
    header, *body = rows(table)
    write(table, [header, *body, *body])
    answer = call("compare", problem.name)
    assert answer.status == 0
    assert "warning: " in answer.err
    assert "of 14 test rows" in answer.err
    assert answer.err.count("warning: ") == 1, "told once"


def test_no_toml(wrong: Wrong, problem: Path) -> None:
    problem.write_text('[target]\ndata = "csv:new.csv#label\n')
    assert "at line 2" in wrong("compare", problem.name)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("target.shotss=1", "shots"),
        ('compare.strategies=["fintune"]', "finetune"),
        ("target.data=cvs:new.csv#label", "csv"),
        ("backbone.use=conv5", "conv4"),
        ("backbone.hiden=[8]", "hidden"),
        ("fit.strategy=prob", "probe"),
    ],
)
def test_unknown_names(wrong: Wrong, problem: Path, key: str, near: str) -> None:
    command = "fit" if key.startswith("fit") else "compare"
    assert f'did you mean "{near}"?' in wrong(command, problem.name, "--set", key)


def test_a_strategy_that_does_not_apply(wrong: Wrong, problem: Path) -> None:
    said = wrong("fit", problem.name, "--set", "fit.strategy=dann")
    assert '`fit.strategy` should be a strategy that applies to the problem; found "dann": ' in said
    assert "no unlabelled rows; those that apply: constant, " in said
    said = wrong("fit", problem.name, "--set", "sources=[]")
    assert "no source to pretrain one on" in said
    assert "no pretrained backbone" in wrong("rank", problem.name, "--set", "sources=[]")


def test_the_name_of_a_new_task(wrong: Wrong, model: Path) -> None:
    for name in ("a.b", "clear"):
        said = wrong("adapt", model, "csv:new.csv#label", "-o", "new", "--name", name)
        assert "`name` of a task should be " in said
        assert f'found "{name}"' in said


def test_a_directory_around_models(wrong: Wrong, model: Path) -> None:
    around = Path("run/models")
    around.mkdir(parents=True)
    for name in ("probe", "scratch"):
        shutil.copytree(model, around / name)
    said = wrong("predict", "run", "csv:new.csv", "-o", "p.csv")
    assert said.endswith("found nothing there; models within: run/models/probe, run/models/scratch\n")


def test_unknown_head_and_method(wrong: Wrong, model: Path) -> None:
    assert 'did you mean "label"?' in wrong("evaluate", model, "csv:new.csv#label", "--task", "lable")
    assert 'did you mean "protonet"?' in wrong(
        "adapt", model, "csv:new.csv#label", "-o", "n", "--method", "protnet"
    )


@pytest.mark.parametrize("damage", ["cut", "altered", "description"])
def test_damaged_model(wrong: Wrong, model: Path, damage: str) -> None:
    weights, description = model / "model.safetensors", model / "model.json"
    data = weights.read_bytes()
    if damage == "description":
        description.write_text(description.read_text()[:40])
    else:
        weights.write_bytes(data[:-9] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    for words in (("evaluate", model, "csv:new.csv#label"), ("predict", model, "csv:new.csv", "-o", "p.csv")):
        assert str(model) in wrong(*words)


def test_a_description_altered_by_hand(wrong: Wrong, model: Path) -> None:
    description = model / "model.json"
    text = description.read_text()
    for old, new in {"washer": "bolt", '"in": 8': '"in": "a"', '"reader"': '"raeder"'}.items():
        assert old in text
        description.write_text(text.replace(old, new))
        assert "altered; save the model again" in wrong("evaluate", model, "csv:new.csv#label")


def test_a_model_that_does_not_know_how_rows_are_made(wrong: Wrong, model: Path) -> None:
    from headstart.models import load, save

    saved = load(model)
    for encoding in (None, {"columns": ["f0"]}):
        save(saved.net, model, kinds=saved.kinds, encoding=encoding)
        assert "told how rows are made" in wrong("predict", model, "csv:new.csv", "-o", "p.csv")


def test_another_comparison_or_files_in_the_way(
    wrong: Wrong, call: Callable[..., Any], problem: Path
) -> None:
    assert call("compare", problem.name, "--strategies", "scratch").status == 0
    assert "this very comparison" in wrong(*change(problem, "budget.steps=5"))
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("years of work")
    assert "should be an empty directory" in wrong("compare", problem.name, "--out", "full")
    assert "full" in wrong("fit", problem.name, "--out", "full")
    assert "full" in wrong("adapt", "runs/problem/models/scratch", "csv:old.csv#label", "-o", "full")
    assert Path("full/thesis.txt").read_text() == "years of work"


def test_a_run_with_other_settings_in_the_way(wrong: Wrong, call: Callable[..., Any], problem: Path) -> None:
    assert call("fit", problem.name).status == 0
    assert "a run with others" in wrong("fit", problem.name, "--set", "budget.steps=5")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_disk_full(wrong: Wrong, problem: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.open

    def full(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        writes = any(letter in mode for letter in "wax+") and ".tmp" in str(file)
        return real("/dev/full" if writes else file, mode, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", full)
        assert "No space left" in wrong("predict", model, "csv:new.csv", "-o", "p.csv")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only(wrong: Wrong, problem: Path, model: Path) -> None:
    Path("locked").mkdir(mode=0o500)
    assert "locked" in wrong("predict", model, "csv:new.csv", "-o", "locked/p.csv")
    assert "locked" in wrong("compare", problem.name, "--out", "locked/c")
    assert "locked" in wrong("fit", problem.name, "--out", "locked/f")


def test_an_output_that_cannot_be(wrong: Wrong, problem: Path, model: Path) -> None:
    assert "`nowhere` should be a folder" in wrong("predict", model, "csv:new.csv", "-o", "nowhere/p.csv")
    assert "found a folder" in wrong("predict", model, "csv:new.csv", "-o", ".")
    for command in ("compare", "fit"):
        assert "new.csv" in wrong(command, problem.name, "--out", "new.csv/x")
        assert "new.csv" in wrong(command, problem.name, "--out", "new.csv")


def test_predictions_over_what_is_read(wrong: Wrong, model: Path, table: Path) -> None:
    before = table.read_text(), (model / "model.json").read_text()
    for out in ("new.csv", "model/model.json"):
        for data in ("csv:new.csv", "csv:new.csv#label", "new.csv"):
            assert "write elsewhere" in wrong("predict", model, data, "-o", out)
    assert (table.read_text(), (model / "model.json").read_text()) == before


def test_a_source_that_is_the_target(call: Callable[..., Any], problem: Path) -> None:
    changes = ("--set", "sources.0.data=csv:new.csv#label", "--set", "budget.pretrain=1")
    answer = call("rank", problem.name, *changes)
    assert 'source "csv:new.csv#label" is the target itself' in answer.err
    assert "the target itself" not in call("rank", problem.name, "--set", "budget.pretrain=1").err


def test_a_folder_without_its_reader(wrong: Wrong, problem: Path) -> None:
    Path("photos").mkdir()
    assert 'write "images:photos"' in wrong(*change(problem, "target.data=photos"))


def test_a_backbone_without_its_source(wrong: Wrong, problem: Path) -> None:
    said = wrong(*change(problem, "backbone={use='resnet18'}"))
    assert 'write "torchvision:resnet18" or "timm:resnet18"' in said


def test_worlds_where_rows_are_meant(wrong: Wrong, problem: Path) -> None:
    Path("heavy.toml").write_text('target = {world = "CartPole-v1", steps = [0, 5]}')
    for command in ("rank", "fit"):
        assert "found a world to act in; `headstart compare` takes worlds" in wrong(command, "heavy.toml")


def test_the_process_itself(tmp_path: Path, problem: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "headstart",
        "compare",
        problem.name,
        "--set",
        "target.data=csv:none.csv#label",
    ]
    process = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("error: `none.csv` should be a file; found nothing there")


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_damaged_checkpoints(call: Callable[..., Any], problem: Path, damage: str) -> None:
    """A damaged checkpoint is passed over for the one before: the run ends as if it had been whole."""
    assert call("fit", problem.name, "--out", "whole").status == 0
    assert call("fit", problem.name, "--out", "run").status == 0
    run = Path("run")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    for file in (run / "checkpoints").glob("all-*.safetensors"):
        data = file.read_bytes()
        file.write_bytes(data[:-9] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    answer = call("resume", run)
    assert answer.status == 0, answer
    for name in ("metrics.jsonl", "scores.json", "model/model.safetensors"):
        assert (run / name).read_bytes() == (Path("whole") / name).read_bytes(), name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("command", ["compare", "fit"])
def test_disk_full_while_training(
    call: Callable[..., Any], problem: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    real = builtins.open
    with monkeypatch.context() as patch:

        def full(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            writes = bool(set(mode) & set("wax+")) and "safetensors" in str(file)
            return real("/dev/full" if writes else file, mode, *rest, **more)

        patch.setattr(builtins, "open", full)
        answer = call(command, problem.name)
    assert answer.status == 2, answer
    assert "No space left" in answer.err
    assert not [p for p in Path("runs").rglob("*") if ".tmp" in p.name]
    answer = call(command, problem.name)
    assert answer.status == 0, answer
