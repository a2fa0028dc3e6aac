"""Which layer to transfer: the block at which left-out rows are likeliest; test rows have no say."""

import pytest
import torch
from torch import nn

from headstart.comparison import Problem, compare
from headstart.models import AtAllCuts, Backbone, load
from headstart.strategies import STRATEGIES, Starts, Trial
from headstart.strategies.recipes import layers, left_out
from headstart.strategies.recipes.layers import _default, _likelihoods, _of_some_classes
from headstart.tasks import Labelled, Multiclass, Task

from .problems import TINY


class Forgets(nn.Module):
    """Two numbers pass two blocks; behind these only their signs are left."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)])
        with torch.no_grad():
            for block in self.blocks:
                block.weight.copy_(torch.eye(2))
                block.bias.zero_()
        self.last = nn.Linear(2, 3)
        with torch.no_grad():
            self.last.weight.copy_(torch.ones(3, 2))
            self.last.bias.zero_()

    def forward(self, x):
        x = self.blocks[0](x)
        x = self.blocks[1](x)
        return self.last(self.blocks[2](x.sign()))


def rows(count, seed):
    y = torch.arange(count) % 4
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)) / 3
    return Labelled(x + torch.stack([1.0 * y, 1.0 * (y == 2)], 1), y)


@pytest.fixture(scope="module")
def problem():
    task = Task("four", Multiclass(4), rows(80, 0), test=rows(80, 1))
    return Problem(task, [], backbone=Forgets(), shots=[1, 10], budget=TINY)


def ran(problem, amount, seed=0):
    name = "features@layer+logreg"
    trial = Trial(problem.cut(amount, seed), dict(STRATEGIES[name].options[0]), seed, Starts())
    return STRATEGIES[name].learn(trial)


def test_the_block_that_still_tells_the_classes_apart_is_taken(problem):
    trained = ran(problem, 10)
    assert trained.told["layer"] in ("blocks.0", "blocks.1")
    assert set(trained.told["likelihood"]) == {"blocks.0", "blocks.1", "blocks.2", "all"}
    assert trained.told["likelihood"][trained.told["layer"]] == max(trained.told["likelihood"].values())
    assert trained.told["layer"] == "blocks.1"  # the first says the same of every row, and is farther down
    assert not any(p.requires_grad for p in trained.net.backbone.parameters())
    assert "last" not in dict(trained.net.backbone.named_parameters())


def test_a_class_of_one_row_takes_the_block_two_thirds_of_the_way_up(problem):
    trained = ran(problem, 1)
    assert trained.told == {"layer": "blocks.1", "likelihood": {}, "C": 10.0}
    assert [_default(count) for count in (1, 2, 3, 4, 17)] == [0, 0, 1, 1, 10]


def test_of_blocks_that_rows_cannot_tell_apart_the_middle_one_is_taken():
    names, g = [f"blocks.{i}" for i in range(6)] + [""], torch.Generator().manual_seed(0)
    noise = torch.randn(7, 50, generator=g)
    close = dict(zip(names, noise * 0.5 - torch.tensor([0.0, 0, 0, 0.1, 0, 0.1, 9])[:, None], strict=True))
    assert names[_default(7)] == layers._chosen(names, {}) == "blocks.3"
    assert layers._chosen(names, {}, compared=True) == ""
    assert layers._chosen(names, close) in ("blocks.2", "blocks.3", "blocks.4")
    clear = dict(zip(names, noise * 0.1 - torch.tensor([0.0, 1, 2, 3, 4, 5, 6])[:, None], strict=True))
    assert layers._chosen(names, clear) == "blocks.0"


def test_turning_features_changes_no_likelihood():
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(20, 90, generator=g, dtype=torch.float64), torch.arange(20) % 2
    z[:, 0] += y
    two = Labelled(z.float(), y)
    asked = Problem(Task("two", Multiclass(2), two, test=two.take(torch.arange(4))), [], budget=TINY)
    trial = Trial(asked, {"C": 1.0}, 0)
    assert left_out.turned(z).shape == (20, 20)
    part = torch.arange(20) // 2 % 4
    wide = left_out.left_out(trial, z, y, part)
    assert left_out.left_out(trial, left_out.turned(z), y, part) == pytest.approx(wide, abs=1e-3)


def test_what_is_left_out_is_said_by_a_regression_on_the_others():
    from sklearn.linear_model import LogisticRegression

    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(20, 3, generator=g, dtype=torch.float64), torch.arange(20) % 2 * 3
    trial = Trial(Problem(Task("t", Multiclass(4), rows(8, 0), test=rows(8, 1)), budget=TINY), {"C": 2.0}, 0)
    part = torch.arange(20) // 2 % 4
    said = left_out.left_out(trial, z, y, part)
    out = part == 1
    middle = z[~out].mean(0)
    spread = (z[~out] - middle).square().sum(1).mean().sqrt()  # one for all features
    learned, asked = (((rows - middle) / spread).numpy() for rows in (z[~out], z[out]))
    expected = LogisticRegression(C=2.0, max_iter=1000).fit(learned, y[~out]).predict_log_proba(asked)
    assert said[out].numpy() == pytest.approx(expected, abs=1e-3)


def test_how_sure_answers_are_does_not_count():
    g = torch.Generator().manual_seed(0)
    logits, y = torch.randn(200, 3, generator=g, dtype=torch.float64), torch.arange(200) % 3
    logits[torch.arange(200), y] += 1
    likely = [float(left_out.likeliest((sure * logits).log_softmax(1), y).mean()) for sure in (0.5, 1.0, 4.0)]
    assert likely == pytest.approx([likely[1]] * 3, abs=1e-3)
    tried = [(t * logits).log_softmax(1)[range(200), y].mean() for t in torch.linspace(0.2, 3, 200)]
    highest = float(max(tried))
    assert likely[1] == pytest.approx(highest, abs=1e-3)


def test_test_rows_choose_nothing(problem):
    test = problem.target.test
    turned = Labelled(test.x, (test.y + 1) % 4)
    task = Task("four", Multiclass(4), problem.target.train, test=turned)
    again = Problem(task, [], backbone=Forgets(), shots=[1, 10], budget=TINY)
    assert ran(again, 10).told == ran(problem, 10).told


def test_rows_that_choose_are_at_most_three_hundred(problem, monkeypatch):
    seen = []
    said = torch.zeros(300, 4)
    monkeypatch.setattr(left_out, "left_out", lambda trial, z, y, part, **how: seen.append(len(y)) or said)
    many = rows(1000, 3)
    trial = Trial(problem, {"C": 1.0}, 0)
    _likelihoods(trial, {"": many.x}, many.y)
    assert set(seen) == {300}


def test_a_comparison_shows_which_block_was_taken(problem, tmp_path):
    result = compare(problem, "features@layer+logreg", 2, baseline="raw+logreg", out=tmp_path / "out")
    (one, ten) = result.details["layers"]
    assert one["taken"] == {"blocks.1": 2}
    assert sum(ten["taken"].values()) == 2
    assert set(ten["likelihood"]) == {"blocks.0", "blocks.1", "blocks.2", "all"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Which layer" in page
    assert "likelihood of a row left out" in page
    saved = load(tmp_path / "out" / "models" / "features@layer+logreg", backbone=Forgets())
    assert saved.net.backbone.cut["layer"] in ten["taken"]


def test_the_features_at_the_cut_are_those_of_the_whole(problem):
    trained = ran(problem, 10)
    whole, x = Forgets().eval(), problem.target.test.x
    with torch.no_grad():
        there = AtAllCuts(whole, [trained.told["layer"]]).by_name(x)[trained.told["layer"]]
        assert torch.equal(trained.net.features(x), there)


def test_of_many_classes_with_few_rows_some_choose():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(150).repeat_interleave(5)
    order = torch.randperm(750, generator=g)
    assert left_out.folded(y[order[:300]]) is None  # a draw has single rows of some
    some = _of_some_classes(y, order)
    assert len(some) == len(some.unique()) == 300
    assert y[some].bincount().unique().tolist() == [0, 5]
    rare = torch.cat([torch.zeros(200), torch.ones(200), torch.tensor([2.0])]).long()
    some = _of_some_classes(rare, torch.randperm(401, generator=g))
    assert rare[some].bincount().tolist() == [150, 150]
    assert len(_of_some_classes(torch.arange(9), torch.arange(9))) == 0  # one row of each: nothing can tell
    x = nn.functional.one_hot(y, 150).float() + 0.3 * torch.randn(750, 150, generator=g)
    task = Task("new", Multiclass(150), Labelled(x, y), test=Labelled(x, y))
    likely = _likelihoods(Trial(Problem(task), {"C": 10.0}, 0), {"good": x, "bad": x * 0 + x[:, :1]}, y)
    assert likely["good"].mean() > likely["bad"].mean() + 1


class Compared(Backbone):
    """A stack of blocks whose last features are made to be compared."""

    use = "compared"
    compared = True

    def __init__(self, blocks):
        super().__init__()
        self.settings, self.width = {}, 3
        self.blocks = blocks

    def forward(self, x):
        return self.blocks(x)


@pytest.mark.parametrize(("compared", "layer"), [(True, "all"), (False, "2")])
def test_with_one_row_of_each_class_features_that_are_compared_are_taken_whole(compared, layer):
    torch.manual_seed(0)
    backbone = Compared(nn.Sequential(*(nn.Linear(3, 3) for _ in range(4))))
    backbone.compared = compared
    target = Task("a", Multiclass(2), numbers_of(2), test=numbers_of(8))
    posed = Problem(target, backbone=backbone, shots=1)
    assert ran(posed, 1).told["layer"] == layer


def numbers_of(count):
    return Labelled(torch.randn(count, 3), torch.arange(count) % 2)
