"""Every command on a user's own small data, from the problem to the predictions."""

import csv
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from headstart.cli import app
from headstart.cli.options import columns

Call = Callable[..., Any]
QUICK = [
    word
    for change in ("steps=3", "pretrain=3", "meta=1", "episodes=2", "options=1", "repeats=1")
    for word in ("--set", f"budget.{change}")
]


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_compare_then_use_the_model(call: Call, problem: Path) -> None:
    answer = call("compare", "problem.toml", "--strategies", "scratch,finetune,dann")
    assert answer.status == 0, answer
    assert "skipped dann: the target has no unlabelled rows" in answer.out
    assert "Recommended: " in answer.out
    out = Path("runs/problem")
    assert f"Report: {out / 'report.html'}" in answer.out
    model = out / "model"
    assert f"headstart predict {model}" in answer.out
    assert (
        "headstart compare problem.toml --strategies scratch,finetune,dann"
        in (out / "report.html").read_text()
    )

    before = {p: p.stat().st_mtime_ns for p in (out / "trials").iterdir()}
    assert call("compare", "problem.toml", "--strategies", "scratch, finetune", "--seeds", "3").status == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before, "what was there is not run again"
    assert len(json.loads((out / "result.json").read_text())["rows"][0]["seeds"]) == 3

    assert call("compare", out / "problem.toml", "--out", out).status == 0, "the completed file is a problem"
    (out / "report.html").unlink()
    assert call("report", out).out.strip() == str(out / "report.html")
    assert (out / "report.html").exists()

    answer = call("predict", model, "csv:new.csv", "-o", "p.csv")
    assert answer.out == "36 predictions in p.csv\n"
    rows = lines(Path("p.csv"))
    assert {row["prediction"] for row in rows} <= {"bolt", "nut", "washer"}
    assert all(abs(sum(float(row[f"p({c})"]) for c in ("bolt", "nut", "washer")) - 1) < 1e-4 for row in rows)
    assert all(
        float(row["probability"]) == max(float(row[f"p({c})"]) for c in ("bolt", "nut", "washer"))
        for row in rows
    )


def test_what_is_printed_runs_as_it_stands(call: Call, problem: Path) -> None:
    Path("my data").mkdir()
    for file in ("problem.toml", "new.csv", "old.csv"):
        Path(file).rename(Path("my data", file))
    answer = call("compare", "my data/problem.toml", "--out", "an answer")
    (line,) = (line for line in answer.out.splitlines() if line.startswith("Use it: "))
    assert call(*shlex.split(line.removeprefix("Use it: headstart "))).status == 0, line


def test_of_several_targets_each_has_a_model_that_is_told(call: Call, problem: Path, table: Path) -> None:
    head, *rest = table.read_text().splitlines()
    kinds = [line + f",{'ab'[i % 2]}" for i, line in enumerate(rest)]
    table.write_text("\n".join([f"{head},kind", *kinds]) + "\n")
    one, two = (f'{{data = "csv:new.csv#{label}", shots = 2}}' for label in ("label", "label,kind"))
    problem.write_text(problem.read_text().replace(f"target = {one}", f"targets = [{two}]"))
    answer = call("compare", problem, "--strategies", "scratch", "--out", "both")
    told = [line for line in answer.out.splitlines() if line.startswith("Model: ")]
    places = [Path("both", "model", target) for target in ("label", "kind")]
    assert [line.removeprefix("Model:  ") for line in told] == [str(place) for place in places]
    (line,) = (line for line in answer.out.splitlines() if line.startswith("Use it: "))
    assert call(*shlex.split(line.removeprefix("Use it: headstart "))).status == 0, line


@pytest.mark.parametrize("column", ["type", "items", "the.label"])
def test_label_columns_with_awkward_names(call: Call, problem: Path, table: Path, column: str) -> None:
    table.write_text(table.read_text().replace("label", column, 1))
    change = ("--set", f"target.data=csv:new.csv#{column}")
    assert call("compare", problem.name, "--strategies", "scratch,finetune", *change).status == 0
    assert call("evaluate", "runs/problem/models/finetune", f"csv:new.csv#{column}").status == 0


def test_predict_needs_no_label_column(call: Call, model: Path) -> None:
    Path("bare.csv").write_text("f2,f0,f1\n1,2,3\n4,5,6\n")
    assert call("predict", model, "csv:bare.csv", "-o", "p.csv").status == 0
    assert len(lines(Path("p.csv"))) == 2


def test_evaluate_measures_all_rows_or_the_test_part(call: Call, model: Path) -> None:
    out = call("evaluate", model, "csv:new.csv#label").out
    assert "accuracy" in out
    assert "36 of all rows" in out
    rows = Path("new.csv").read_text().splitlines()
    split = [rows[0] + ",split", *(f"{row},{'test' if i % 3 else 'train'}" for i, row in enumerate(rows[1:]))]
    Path("split.csv").write_text("\n".join(split))
    assert "24 of test rows" in call("evaluate", model, "csv:split.csv#label").out


def test_fit_resume_and_runs(call: Call, problem: Path) -> None:
    answer = call("fit", "problem.toml", "--out", "runs/a")
    assert answer.status == 0, answer
    assert "test rows" in answer.out
    for name in (
        "run.toml",
        "metrics.jsonl",
        "status.json",
        "environment.json",
        "scores.json",
        "model/model.json",
    ):
        assert (Path("runs/a") / name).is_file(), name
    assert "runs/a is finished." in call("resume", "runs/a").out
    assert call("evaluate", "runs/a/model", "csv:new.csv#label").status == 0

    assert call("fit", "problem.toml", "--out", "runs/b", "--set", "fit.settings.lr=0.01").status == 0
    assert call("compare", "problem.toml", "--strategies", "scratch", "--out", "runs/deep/c").status == 0
    listed = call("runs").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["a", "run", "done"], ["b", "run", "done"], ["deep/c", "comparison", "done"],
    ]  # fmt: skip
    assert 'strategy = "finetune"' in call("runs", "show", "a").out
    assert "accuracy scratch (2 shots)" in call("runs", "show", "deep/c").out
    Path("runs").rename("kept")
    for words in (("show", "a"), ("compare", "a", "b")):
        after, before = call("runs", *words, "--root", "kept"), call("runs", "--root", "kept", *words)
        assert (after.status, after.out) == (0, before.out)
    Path("kept").rename("runs")
    differ = call("runs", "compare", "a", "b").out
    assert "fit.settings.lr  0.001  0.01" in differ
    assert "budget" not in differ.split("result")[0]


def test_a_run_that_was_cut_short_ends_as_if_it_had_not_been(call: Call, problem: Path) -> None:
    call("fit", "problem.toml", "--out", "runs/whole")
    shutil.copytree("runs/whole", "runs/cut")
    cut = Path("runs/cut")
    status = json.loads((cut / "status.json").read_text())
    (cut / "status.json").write_text(json.dumps(status | {"state": "running", "pid": 2**22 + 1}))
    for checkpoint in sorted((cut / "checkpoints").iterdir())[1:]:
        checkpoint.unlink()
    shutil.rmtree(cut / "model")
    (cut / "scores.json").unlink()
    assert "lost" in call("runs").out
    assert call("resume", cut).status == 0
    for name in ("metrics.jsonl", "scores.json", "model/model.safetensors"):
        assert (cut / name).read_bytes() == (Path("runs/whole") / name).read_bytes(), name


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, problem: Path) -> None:
    words = [sys.executable, "-m", "headstart", "fit", "problem.toml", "--set", "budget.steps=1000000"]
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        metrics = tmp_path / "runs" / "problem" / "metrics.jsonl"
        deadline = time.monotonic() + 600  # to import, on a machine that is busy
        while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "go on with: headstart resume runs/problem" in error
    assert "Traceback" not in error
    assert json.loads((tmp_path / "runs/problem/status.json").read_text())["state"] == "interrupted"


@pytest.mark.parametrize("command", ["compare", "demo"])
def test_ctrl_c_of_a_comparison_keeps_every_option(
    call: Call, problem: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.comparison.jobs.Processes.run", interrupted)
    given = {"strategies": "scratch", "seeds": "2", "out": "a b", "workers": "2", "seconds": "9.5"}
    given |= {"overrides": "budget.steps=3", "threads": "1", "device": "cpu"}
    words = [command, "problem.toml"] if command == "compare" else [command]
    for option in get_command(app).commands[command].params:  # type: ignore[attr-defined]
        if option.param_type_name == "option" and option.name != "help":
            words += [option.opts[0], *([given[option.name]] if not option.is_flag else [])]
    answer = call(*words)
    assert answer.status == 130
    hint = shlex.split(answer.err.partition("go on with: ")[2])
    assert hint == ["headstart", "resume", "a b"]
    assert sorted(json.loads(Path("a b/command.json").read_text())["words"]) == sorted(words)
    assert tomllib.loads(Path("a b/problem.toml").read_text())["compare"]["seeds"] == 2


def test_a_comparison_is_resumed_from_its_directory(call: Call, problem: Path) -> None:
    words = ["compare", "problem.toml", "--strategies", "probe", "--seeds", "2"]
    whole = call(*words, "--out", "runs/whole")
    assert whole.status == 0
    call(*words, "--out", "runs/cut")
    cut = Path("runs/cut")
    for file in [*(cut / "trials").glob("probe-*-1.json"), cut / "result.json", cut / "report.html"]:
        file.unlink()
    (cut / "status.json").write_text(json.dumps({"state": "interrupted"}))
    Path("problem.toml").unlink()  # the directory keeps its own
    answer = call("resume", "runs/cut")
    assert answer.status == 0, answer
    results = [json.loads((Path(f"runs/{n}") / "result.json").read_text()) for n in ("whole", "cut")]
    for data in results:
        del data["sha256"]
        for row in data["rows"]:
            del row["seconds"]
    assert results[0] == results[1]
    again = call("resume", "runs/cut")
    assert again.out.startswith("runs/cut is finished.")
    assert "probe" in again.out


def test_a_comparison_that_was_begun_in_python_says_how_to_go_on(wrong: Callable[..., str]) -> None:
    Path("runs/own").mkdir(parents=True)
    Path("runs/own/comparison.json").write_text('{"fingerprint": ""}')
    assert "call `hs.compare` again with the same problem and `out`" in wrong("resume", "runs/own")


def test_a_finding_is_checked_under_other_protocols(call: Call, problem: Path) -> None:
    said = ["--set", "compare.strategies=['probe']", "--set", "compare.baseline=scratch"]
    assert call("compare", problem, "-o", "out", *said).status == 0
    assert "another protocol" not in Path("out/report.html").read_text()
    answer = call("check", "out", "--seeds", 2)
    assert answer.status == 0, answer.err
    assert "of 6 other protocols" in " ".join(answer.out.split())
    assert "three times the rate" in answer.out
    assert "Report: out/report.html" in answer.out
    told = json.loads(Path("out/check.json").read_text())
    assert [row["protocol"] for row in told["protocols"]] == [
        "half the steps", "twice the steps", "another split", "half the labels", "a third of the rate",
        "three times the rate",
    ]  # fmt: skip
    assert (told["strategy"], told["baseline"], told["target"]) == ("probe", "scratch", "label")
    assert "Would it survive another protocol?" in Path("out/report.html").read_text()
    assert "undecided against" in call("resume", "out").out  # the table of a comparison that is finished
    runs = call("runs", "--root", ".").out
    assert "out" in runs
    assert "half-the-steps" not in runs


def test_a_check_needs_a_comparison_that_keeps_its_file(wrong: Callable[..., str]) -> None:
    assert "a finished comparison" in wrong("check", "nowhere")


def test_one_comparison_at_a_time_in_a_directory(call: Call, tmp_path: Path, problem: Path) -> None:
    words = ["compare", "problem.toml", "--set", "budget.steps=1000000", "--out", "runs/busy"]
    command = [sys.executable, "-m", "headstart", *words, "--workers", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        status = Path("runs/busy/status.json")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not status.exists():
            time.sleep(0.05)
        second = call(*words, "--seconds", "0.001")
        listed, shown = call("runs"), call("runs", "show", "busy")
        held = json.loads(status.read_text())["pid"]
        process.kill()
    assert second.status == 2, second
    assert second.err == (
        f"error: output directory `runs/busy` should be free; found a run of process {process.pid} "
        f"on {platform.node()}; wait until it ends, or choose another (`--out`)\n"
    )
    assert "busy  comparison  running" in listed.out
    assert shown.status == 0
    assert held == process.pid
    assert "busy  comparison  lost" in call("runs").out
    assert call(*words, "--seconds", "0.001").status == 0, "taken over"


def test_rank(call: Call, problem: Path) -> None:
    answer = call("rank", "problem.toml")
    assert answer.status == 0, answer
    head, row = answer.out.splitlines()
    assert head.split() == ["start", "logme", "leep"]
    assert row.startswith("label of old")
    assert -10 < float(row.split()[-1]) < 0, "LEEP is a mean log likelihood"


@pytest.mark.parametrize("method", ["protonet", "cosine", "ridge", "maml"])
def test_adapt_to_new_classes(call: Call, model: Path, problem: Path, method: str) -> None:
    answer = call("adapt", model, "csv:old.csv#label", "-o", "new", "--method", method)
    assert answer.status == 0, answer
    assert "64 rows of 4 classes: cat, dog, eel, fox" in answer.out
    assert "accuracy" in call("evaluate", "new", "csv:old.csv#label").out
    call("predict", "new", "csv:old.csv", "-o", "p.csv")
    assert {row["prediction"] for row in lines(Path("p.csv"))} <= {"cat", "dog", "eel", "fox"}


def test_images_and_npz(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.clip(rng.normal(level, 20, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    x, y = rng.random((40, 1, 8, 8), dtype=np.float32), np.arange(40) % 4
    np.savez(tmp_path / "old.npz", x=x, y=y)
    Path("problem.toml").write_text(
        'target = {data = "images:photos", shots = 2}\nsources = [{data = "npz:old.npz#x,y"}]\n'
        'backbone = {use = "conv4", width = 4}\ncompare = {strategies = ["scratch", "protonet"], seeds = 1}\n'
    )
    answer = call("compare", "problem.toml", *QUICK)
    assert answer.status == 0, answer
    model = "runs/problem/models/scratch"
    (tmp_path / "photos" / "dark" / "0.png").write_bytes(b"no image")
    assert call("evaluate", model, "images:photos").status == 2
    answer = call("evaluate", model, "images:photos", "--skip-broken")
    assert answer.status == 0, answer
    assert answer.err.startswith("warning: ")
    assert "1 " in answer.err
    assert "11 of rows not trained on" in answer.out
    assert call("predict", model, "images:photos", "-o", "p.csv").status == 2
    assert call("predict", model, "images:photos", "-o", "p.csv", "--skip-broken").status == 0
    files = [str(Path("photos", name, f"{i}.png")) for name in ("dark", "light") for i in range(8)]
    assert [row["file"] for row in lines(Path("p.csv"))] == files[1:], "every answer names its image"


def test_demo(call: Call) -> None:
    only = ["--set", 'compare.strategies=["scratch","features+logreg"]', "--set", "target.shots=1"]
    answer = call("demo", "--seeds", "2", "--workers", "1", "--out", "d", *only, *QUICK)
    assert answer.status == 0, answer
    assert answer.out.startswith("The new task: tell the digits 5 to 9 apart")
    assert "features+logreg" in answer.out
    assert Path("d/report.html").is_file()


def test_no_runs(call: Call) -> None:
    assert call("runs").out == "there is no run in runs\n"
    for name in ("run.toml", "comparison.json"):
        Path("runs", name[:3]).mkdir(parents=True)
        Path("runs", name[:3], name).write_text("mine")
    assert call("runs").out == "there is no run in runs\n"
    assert "found no run in runs; pass `--root`" in call("runs", "show", "other").err
    assert "found no status.json in it" in call("runs", "show", "run").err


def test_columns_of_nothing() -> None:
    assert columns([]) == ""


@pytest.mark.parametrize("command", ["compare", "fit", "rank"])
def test_images_that_do_not_decode_are_left_out(call: Call, problem: Path, command: str) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    for folder in ("photos", "older"):
        for k, name in enumerate("ab"):
            Path(folder, name).mkdir(parents=True)
            for i in range(6):
                Image.new("L", (8, 8), 90 * k + i).save(Path(folder, name, f"{i}.png"))
        Path(folder, "a", "7.png").write_bytes(b"no image")
    more = ["target.data=images:photos", "sources.0.data=images:older", "backbone={use='mlp', hidden=[8]}"]
    words = [command, "problem.toml", *(word for change in more for word in ("--set", change)), *QUICK]
    said = call(*words)
    assert said.status == 2
    assert "or pass `--skip-broken`" in said.err
    answer = call(*words, "--skip-broken")
    assert answer.status == 0, answer
    if command == "fit":
        assert Path("runs/problem/run.toml").read_text().count("skip_broken = true") == 2, "for `resume`"


def test_images_of_another_size_are_told_once(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image
    from torch import nn

    from headstart.models import Net, mlp, save
    from headstart.tasks import Multiclass

    net = Net(mlp(48, hidden=(4,)), {"photos": nn.Linear(4, 2)})
    encoding = {"reader": "images", "shape": [1, 8, 6]}
    save(net, tmp_path / "model", kinds={"photos": Multiclass(["a", "b"])}, encoding=encoding)
    for name in "ab":
        Path("photos", name).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (6, 8)).save(Path("photos", name, f"{i}.png"))
    turned = Image.Exif()
    turned[0x0112] = 6  # shown with 8 pixels in height
    Image.new("L", (8, 6)).save(Path("photos", "b", "2.jpg"), exif=turned)
    commands = {"evaluate": [], "predict": ["-o", "p.csv"], "adapt": ["-o", "new"]}
    for command, more in commands.items():
        assert call(command, "model", "images:photos", *more).err == "", "of the model's size"
    shutil.rmtree("new")
    Image.new("L", (12, 5)).save(Path("photos", "a", "1.png"))
    Image.new("L", (9, 9)).save(Path("photos", "b", "1.png"))
    for command, more in commands.items():
        answer = call(command, "model", "images:photos", *more)
        assert answer.status == 0, answer
        assert answer.err == (
            "warning: 2 of 5 images are resized to 8 x 6 pixels (height x width), as the model takes them; "
            "the first is photos/a/1.png with 5 x 12\n"
        )


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_predictions_into_a_pipe(call: Call, model: Path) -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        answer = call("predict", model, "csv:new.csv", "-o", "pipe")
        assert os.read(reader, 12) == b"prediction,p"
    finally:
        os.close(reader)
    assert (answer.out, answer.err) == ("", "36 predictions in pipe\n")
