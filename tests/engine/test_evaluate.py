import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from headstart.engine import evaluate, predict, score
from headstart.engine.evaluate import _resamples
from headstart.models import Adapted, Net
from headstart.tasks import Binary, Labelled, Multiclass, Multilabel, Regression, Task, Tokens

G = torch.Generator().manual_seed(0)
KINDS = {
    "multiclass": (Multiclass(4), torch.randn(60, 4, generator=G), torch.randint(3, (60,), generator=G)),
    "binary": (
        Binary(),
        torch.randn(60, 1, generator=G).mul(2).round().div(2),
        torch.randint(2, (60,), generator=G).float(),
    ),
    "multilabel": (
        Multilabel(3),
        torch.randn(60, 3, generator=G),
        torch.randint(2, (60, 3), generator=G).float(),
    ),
    "regression": (Regression(), 3 + torch.randn(60, 1, generator=G), 3 + torch.randn(60, generator=G)),
    "regression2": (Regression(2), torch.randn(60, 2, generator=G), torch.randn(60, 2, generator=G)),
    "tokens": (Tokens(3), torch.randn(20, 5, 3, generator=G), torch.randint(3, (20, 5), generator=G)),
}


def answering(kind, prediction, y):
    """A task and a net whose outputs are the rows themselves."""
    return Net(nn.Identity(), {"a": nn.Identity()}), Task("a", kind, Labelled(prediction, y))


def holed(name):
    """The case with some of its labels missing."""
    kind, prediction, y = KINDS[name]
    y = y.clone()
    if name != "regression2":
        y[:5] = math.nan if y.is_floating_point() else -100
    return kind, prediction, y


@pytest.mark.parametrize("name", KINDS)
def test_values_are_those_of_the_measures(name):
    kind, prediction, y = holed(name)
    net, task = answering(kind, prediction, y)
    result = evaluate(net, task, task.train)
    p, t, _ = kind.scored(prediction, y)
    ones = torch.ones(1, len(t), dtype=torch.float64)
    assert list(result) == list(kind.measures())
    for key, measure in kind.measures().items():
        assert result[key].value == measure(p, t, ones).item()
        assert result[key].low <= result[key].value <= result[key].high
    assert score(net, task, task.train) == result[kind.metric].value


def test_resamples_are_drawn_from_a_fixed_seed_and_keep_their_size():
    first, second = (torch.cat(list(_resamples(7, 7))) for _ in range(2))
    assert first.shape == (200, 7)
    assert first.equal(second)
    assert (first.sum(1) == 7).all()


def test_an_interval_has_a_width_where_every_row_is_right():
    y = torch.arange(30) % 3
    task = Task("a", Multiclass(3), Labelled(nn.functional.one_hot(y).float() * 9, y))
    found = evaluate(Net(nn.Identity(), {"a": nn.Identity()}), task, task.train)
    assert found["log_loss"].low > 0
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision"):
        assert (found[name].value, found[name].high) == (1, 1)
        assert found[name].low == pytest.approx(0.8865, abs=1e-4)


def test_what_is_not_defined_is_nan():
    net, task = answering(Binary(), torch.randn(6, 1), torch.zeros(6))
    result = evaluate(net, task, task.train)
    assert math.isnan(result["auroc"].value)
    assert not math.isnan(result["accuracy"].value)
    net, task = answering(Multiclass(2), torch.randn(3, 2), torch.full((3,), -100))
    assert math.isnan(evaluate(net, task, task.train)["accuracy"].value)
    assert evaluate(net, task, task.train)["accuracy"].n == 0
    assert math.isnan(score(net, task, task.train))
    net, task = answering(Regression(), torch.randn(6, 1), torch.full((6,), 0.1))
    assert math.isnan(evaluate(net, task, task.train)["r2"].value)
    y = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    net, task = answering(Multilabel(2), torch.tensor([[-1.0, 1.0], [1.0, 1.0]]), y)
    assert evaluate(net, task, task.train)["auroc"].value == 1.0


def test_a_dataset_is_read_row_by_row():
    x, y = torch.randn(10, 2), torch.arange(10) % 2
    net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
    task = Task("a", Multiclass(2), Labelled(x, y), test=TensorDataset(x, y))
    assert score(net, task, batch=3) == score(net, task, task.train)


def test_predict_restores_every_mode_and_makes_no_graph():
    net = Net(nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)), {"a": nn.Linear(2, 2)})
    net.backbone[1].eval()
    modes = [m.training for m in net.modules()]
    x = torch.randn(9, 2)
    out = predict(net, "a", x, batch=4)
    assert not out.requires_grad
    assert modes == [m.training for m in net.modules()]
    assert torch.equal(out, predict(net, "a", {"x": x}["x"], batch=9))
    assert torch.equal(out, predict(Adapted(net, "a", {}), "a", x))
    assert predict(net, "a", x[:0]).shape == (0, 2)
    with pytest.raises(KeyError, match="head should be a known name"):
        predict(net, "b", x)
    with pytest.raises(ValueError, match="`batch`"):
        predict(net, "a", x, batch=0)


def test_no_test_rows():
    with pytest.raises(ValueError, match=r"`test` rows of task 'a' should be given; found None; pass `data`"):
        evaluate(*answering(Multiclass(2), torch.zeros(2, 2), torch.zeros(2, dtype=torch.long)))


def test_scores_of_a_comparison_show_no_progress(monkeypatch, capsys):
    monkeypatch.setattr("headstart.progress.QUIET", -1.0)
    rows = Labelled(torch.zeros(400, 2), torch.arange(400) % 2)
    net, task = Net(nn.Identity(), {"coins": nn.Linear(2, 2)}), Task("coins", Multiclass(2), rows)
    score(net, task, rows)
    assert capsys.readouterr().err == ""
    evaluate(net, task, rows)
    assert "row" in capsys.readouterr().err


def test_rows_of_any_form_are_answered_and_one_alone_is_refused():
    net = Net(nn.Linear(2, 4), {"coins": nn.Linear(4, 3)})
    x = torch.randn(5, 2)
    whole = predict(net, "coins", x)
    assert torch.equal(predict(net, "coins", x.numpy()), whole)
    assert torch.equal(predict(net, "coins", x.tolist()), whole)
    with pytest.raises(ValueError, match=r"rows should be one or more; found \[2\], one; pass `x\[None\]`"):
        predict(net, "coins", x[0])


@pytest.mark.parametrize("name", KINDS)
def test_answers_that_are_no_numbers_are_told_and_not_scored(name):
    kind, outputs, y = KINDS[name]
    outputs = outputs.clone()
    outputs[7] = math.nan
    net, task = answering(kind, outputs, y)
    for ask in (evaluate, score):
        with pytest.raises(FloatingPointError, match="NaN in row 7, 1 of"):
            ask(net, task, task.train)
