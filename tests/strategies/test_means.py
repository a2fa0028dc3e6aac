"""How far each user and item lies above the rest: against ridge regression, and in a comparison."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from headstart.comparison import Problem, compare
from headstart.comparison.plan import applicable
from headstart.datasets import from_frame
from headstart.strategies import STRATEGIES, Budget, Starts, Trial
from headstart.strategies.recipes.means import fitted

USERS, ITEMS = 40, 30


def ratings(label="stars", count=600):
    import pandas

    draw = np.random.default_rng(0)
    user, item = np.divmod(draw.permutation(USERS * ITEMS)[:count], ITEMS)  # no pair twice
    stars = draw.normal(size=USERS)[user] + draw.normal(size=ITEMS)[item] + 0.3 * draw.normal(size=count) + 3
    frame = pandas.DataFrame({"user": user.astype(str), "item": item.astype(str), "stars": stars})
    frame["liked"] = np.where(stars > 3, "yes", "no")
    (task,) = from_frame(frame[["user", "item", label]], label=label, ids=["user", "item"])
    return task


def test_the_sweeps_end_at_the_ridge_regression_on_indicators():
    draw = torch.Generator().manual_seed(0)
    ids = torch.stack(
        [torch.randint(1, 7, (60,), generator=draw), torch.randint(1, 5, (60,), generator=draw)], 1
    )
    y = torch.randn(60, generator=draw, dtype=torch.float64)
    hot = torch.cat([torch.nn.functional.one_hot(ids[:, k], n)[:, 1:] for k, n in ((0, 7), (1, 5))], 1)
    expected = Ridge(2.0, fit_intercept=False).fit(hot.numpy(), y.numpy()).coef_
    found = torch.cat([effect[1:] for effect in fitted(ids, y, 2.0)])
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)


def test_it_scores_what_is_a_sum_of_both_and_leaves_a_net_that_knows_no_new_user():
    task = ratings()
    trial = Trial(Problem(task, budget=Budget(steps=2, options=1)), {"pull": 3.0}, 0, Starts())
    net = STRATEGIES["raw+means"].learn(trial).net.eval()
    error = (net(task.test.x, "stars").flatten() - task.test.y).square().mean()
    assert error < 0.25 * task.test.y.var()
    new = net(torch.zeros(1, 2), "stars")
    torch.testing.assert_close(new, task.train.y.mean().reshape(1, 1), atol=0.2, rtol=0)


@pytest.mark.parametrize("label", ["stars", "liked"])
def test_tables_with_ids_are_compared_by_what_fits_them(label):
    problem = Problem(ratings(label), budget=Budget(steps=60, options=1, batch=64))
    assert problem.backbone == "factors"
    asked = applicable(problem)
    assert {"raw+means", "scratch", "constant"} <= set(asked.strategies)
    assert asked.skipped["raw+knn"] == "rows hold ids, whose numbers mean nothing"
    result = compare(problem, ["raw+means", "scratch"], 3, progress=False)
    best = {row["strategy"]: row["mean"] for row in result.data["rows"]}
    assert best["raw+means"] > best["constant"]


def test_what_has_no_ids_or_several_answers_is_left_out():
    from headstart.datasets import read

    (digits,) = read("digits")
    assert STRATEGIES["raw+means"].needs(Problem(digits)) == "no column of the target holds ids"
