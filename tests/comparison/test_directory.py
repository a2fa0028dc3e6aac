"""What the directory of a comparison holds is what was run: other data, damage and other seeds are seen."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import headstart as hs
from headstart.comparison import Problem, compare, opening
from headstart.comparison.cells import unwhole
from headstart.records import read_record, write_record
from headstart.strategies import Budget
from headstart.tasks import Labelled, Multiclass, Task

BUDGET = Budget(steps=4, pretrain=4, options=1)


def rows(seed=0, count=24):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    return Labelled(torch.randn(count, 3, generator=g) + 2 * y[:, None], y)


def problem(*, train=None, shots=(2,), **settings):
    target = Task("new", Multiclass(2), train or rows(), test=rows(1))
    return Problem(target, [Task("old", Multiclass(2), rows(2))], backbone="mlp", settings={"hidden": [4]},
                   shots=list(shots), budget=BUDGET, **settings)  # fmt: skip


def run(out, posed=None, seeds=2, ways="probe", **settings):
    return compare(posed or problem(), ways, seeds, baseline="scratch", out=out, progress=False, **settings)


def about(out, name="probe"):
    return json.loads((out / "models" / name / "model.json").read_text())["notes"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "c"
    run(out)
    return out


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made, tmp_path / "c")
    return tmp_path / "c"


def test_fewer_labels_later_leave_the_model_of_the_most(copy):
    before = (copy / "models/probe/model.safetensors").read_bytes()
    run(copy, problem(shots=(1, 2)))
    assert (about(copy)["shots"], about(copy)["seed"]) == (2, 0)
    (copy / "trials/probe-1-0.json").unlink()
    run(copy, problem(shots=(1, 2)))
    assert (copy / "models/probe/model.safetensors").read_bytes() == before
    run(copy, problem(shots=(1,)))
    assert about(copy)["shots"] == 1, "the most that is asked for now"


def test_another_first_seed_writes_its_own_model(copy):
    result = run(copy, seeds=[1, 0])
    assert about(copy)["seed"] == 1
    assert set(result.details["curves"]) == {"scratch", "probe"}
    assert result.details["confusions"] or result.recommended is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train": rows(5)}, "rows of new"),
        ({"metric": "macro_f1"}, "settings"),
        ({"class_weights": "balanced"}, "settings"),
    ],
)
def test_other_rows_and_settings_are_refused_by_name(copy, change, named):
    before = {f: f.read_bytes() for f in copy.rglob("*.json")}
    began = read_record(copy / opening.MARK)["began"]
    with pytest.raises(ValueError) as told:
        run(copy, problem(**change))
    assert f"one of other data or settings ({named}), begun {began}" in str(told.value)
    assert {f: f.read_bytes() for f in copy.rglob("*.json")} == before
    with pytest.raises(ValueError, match=r"\(threads\)"):
        run(copy, threads=2)


def test_a_retrained_backbone_is_refused(tmp_path):
    def model(seed):
        torch.manual_seed(seed)
        net = hs.Net(hs.backbone("mlp", inputs=(3,), settings={"hidden": [4]}), {"x": torch.nn.Linear(4, 2)})
        hs.models.save(net, tmp_path / "m", kinds={"x": Multiclass(2)})

    def posed():
        target = Task("new", Multiclass(2), rows(), test=rows(1))
        return Problem(target, backbone=f"file:{tmp_path / 'm'}", shots=[2], budget=BUDGET)

    with torch.random.fork_rng():
        model(0)
        run(tmp_path / "c", posed(), 1)
        run(tmp_path / "c", posed(), 1)
        model(1)
        with pytest.raises(ValueError, match=r"one of other data or settings \(backbone\)"):
            run(tmp_path / "c", posed(), 1)


class Drawn(torch.utils.data.Dataset):
    """Rows that are read when they are asked for, some with noise."""

    def __init__(self, add=0.0, noise=0.0):
        self.rows, self.add, self.noise = rows(), add, noise

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows.x[i] + self.add + self.noise * torch.randn(3), self.rows.y[i]


def test_rows_of_datasets_are_hashed_where_they_stay_the_same():
    def hashed(**settings):
        data = Drawn(**settings)
        module = torch.nn.Linear(3, 4)
        return Problem(Task("new", Multiclass(2), data, test=data), backbone=module).hashes()["rows of new"]

    assert hashed() == hashed()
    assert hashed() != hashed(add=1.0)
    assert hashed(noise=1.0) == hashed(noise=1.0) != hashed()


def digit(path):
    text = path.read_text()
    at = text.index('"score": 0.') + 11
    path.write_text(text[:at] + str((int(text[at]) + 5) % 10) + text[at + 1 :])


DAMAGE = {
    "trials/probe-2-0.json": digit,
    "trials/scratch-2-1.json": lambda path: path.write_text("null"),
    "outputs/probe-2-1.npz": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "outputs/truth-new.npz": lambda path: path.unlink(),
    "models/probe/model.safetensors": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "models/scratch/model.json": lambda path: path.unlink(),
    "model/model.json": lambda path: path.write_text("{}"),
    "handed-over.json": lambda path: path.write_text('{"strategy": "probe"}'),
    "comparison.json": lambda path: path.write_text("[]"),
}


def left(out):
    names = [*DAMAGE, "settings", "outputs/scratch-2-0.npz"]
    return {
        name: (out / name).read_bytes() for name in names if (out / name).is_file() and "trial" not in name
    }


SOME = ("trials/probe-2-0.json", "outputs/truth-new.npz")


@pytest.mark.parametrize("names", [SOME, *(pytest.param([name], marks=pytest.mark.slow) for name in DAMAGE)])
def test_damage_is_told_by_name_and_made_again(copy, names):
    before = left(copy)
    seeds = {row["strategy"]: row["seeds"] for row in json.loads((copy / "result.json").read_text())["rows"]}
    for name in names:
        DAMAGE[name](copy / name)
    with pytest.warns(UserWarning, match="run again|altered|anew") as told:
        result = run(copy)
    assert all(any(Path(name).name in str(one.message) for one in told) for name in names)
    assert {row["strategy"]: row["seeds"] for row in result.rows} == seeds
    after = left(copy)
    for kept in before.keys() - {"handed-over.json", "comparison.json"}:
        assert after[kept] == before[kept], kept
    assert unwhole(copy, result.details["files"]) == []


def test_a_cell_counts_as_that_of_its_own_file_alone(copy):
    one, two = copy / "trials/probe-2-0.json", copy / "trials/probe-2-1.json"
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)
    with pytest.warns(UserWarning, match="probe-2-0.json.*the content of another file"):
        run(copy)


def test_a_cell_of_another_comparison_is_none_of_this_one(copy, tmp_path):
    run(tmp_path / "other", problem(train=rows(5)))
    shutil.copy(tmp_path / "other/trials/probe-2-1.json", copy / "trials")
    with pytest.warns(UserWarning, match="probe-2-1.json.*of another comparison"):
        run(copy)


def test_a_damaged_mark_of_another_comparison_spoils_nothing(copy):
    (copy / "comparison.json").write_text("")
    with pytest.raises(ValueError, match=r"comparison.json` should be whole; found .*of another comparison"):
        run(copy, problem(train=rows(5)))
    assert len(list((copy / "trials").iterdir())) == 4


def test_done_is_said_when_the_report_is_there(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("headstart.comparison._compare.report.write", fail)
        with pytest.raises(OSError):
            run(tmp_path / "c", seeds=1)
    assert read_record(tmp_path / "c/status.json")["state"] == "failed"
    run(tmp_path / "c", seeds=1)
    assert read_record(tmp_path / "c/status.json")["state"] == "done"
    assert (tmp_path / "c/report.html").exists()


def test_the_cost_is_that_of_all_calls(copy):
    spent = read_record(copy / "status.json") | {"seconds": 5000.0, "state": "lost"}
    write_record(copy / "status.json", spent)  # as a call that was killed left it
    assert run(copy).details["budget"]["seconds"] > 5000
