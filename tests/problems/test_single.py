"""Single runs: what they depend on is hashed, and what they leave is seen to be whole."""

import shutil
from pathlib import Path

import pytest

from headstart.engine import Run
from headstart.problems import load_run
from headstart.problems.single import begin, reopen, scores
from headstart.records import read_record, write_record


def table(path, sign=1):
    lines = ["a,b,label"]
    lines += [f"{sign * (2 * (i % 2) - 1) + i % 7 / 10},{i % 5},{'xy'[i % 2]}" for i in range(40)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def file(tmp_path):
    table(tmp_path / "t.csv")
    text = """
target = {data = "csv:t.csv#label"}
backbone = {use = "mlp", hidden = [4]}
budget = {steps = 8}
fit = {strategy = "scratch"}
"""
    (tmp_path / "p.toml").write_text(text)
    return tmp_path / "p.toml"


def trained(file):
    place = file.with_name("run")
    begin(load_run(file), place).train()
    return place


def test_other_data_are_refused_with_what_changed_and_since_when(file):
    place = trained(file)
    kept = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    table(file.with_name("t.csv"), -1)
    began = Run.open(place).environment()["began"]
    with pytest.raises(ValueError) as told:
        trained(file)
    assert "rows of label of run" in str(told.value)
    assert f"as when it began, {began}; found others after step 8 of 8 (all); put them back" in str(
        told.value
    )
    assert reopen(place) is None, "what is finished stays so"
    status = place / "status.json"
    write_record(status, read_record(status) | {"state": "interrupted"})
    with pytest.raises(ValueError, match=r"rows of label of run .* found others after step 8 of 8"):
        reopen(place)
    write_record(status, read_record(status) | {"state": "done"})
    assert {p: b for p, b in kept.items() if p != status} == {p: p.read_bytes() for p in kept if p != status}
    table(file.with_name("t.csv"))
    trained(file)


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/model.json", "metrics.jsonl", "scores.json"]
)
def test_what_a_finished_run_has_lost_is_made_again(file, name):
    place = trained(file)
    before = (place / name).read_bytes()
    (place / name).write_bytes(before[:-4])
    with pytest.raises(ValueError, match=Path(name).name):
        scores(place)
    with pytest.warns(UserWarning, match=f"{Path(name).name}.*it is made again"):
        single = reopen(place)
    if name == "metrics.jsonl":
        with pytest.warns(UserWarning, match="metrics.jsonl"):
            single.train()
    else:
        single.train()
    assert (place / name).read_bytes() == before
    assert reopen(place) is None


def test_settings_that_were_altered_are_refused(file):
    place = trained(file)
    text = (place / "run.toml").read_text()
    (place / "run.toml").write_text(text.replace("steps = 8", "steps = 9"))
    with pytest.raises(ValueError, match=r"run.toml` should be as the run began with it; found altered"):
        reopen(place)


def test_a_run_killed_before_it_began_is_begun(file):
    place = trained(file)
    for path in place.iterdir():
        if path.name != "run.toml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    single = reopen(place)
    single.train()
    assert reopen(place) is None
    assert Run.open(place).environment()["data"]
