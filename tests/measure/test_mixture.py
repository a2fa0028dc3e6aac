"""Which of several sources a target is like."""

import pytest
import torch

from headstart.measure import em_priors, mixture


def sites(counts, seed=0, apart=3.0):
    """Draw rows of sites with centres of their own, and the number of each row's site."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    centres = apart * torch.eye(len(counts), 4)
    return torch.randn(len(group), 4, generator=generator) + centres[group], group


@pytest.mark.parametrize("shares", [[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
def test_shares_of_a_mixture_are_found(shares):
    x, group = sites([300, 900, 200])
    target, _ = sites([round(1000 * share) for share in shares], seed=1)
    found = mixture(x, group, target)
    torch.testing.assert_close(found, torch.tensor(shares, dtype=torch.float64), atol=0.03, rtol=0)


def test_they_are_those_of_the_likeliest_priors_under_the_same_probabilities():
    from sklearn.linear_model import LogisticRegression

    x, group = sites([120, 60, 60], apart=1.0)
    target, _ = sites([30, 10, 60], seed=2, apart=1.0)
    mean = x.double().mean(0)
    scale = (x.double() - mean).square().mean().sqrt()
    model = LogisticRegression(max_iter=200).fit(((x.double() - mean) / scale).numpy(), group.numpy())
    p = torch.from_numpy(model.predict_proba(((target.double() - mean) / scale).numpy()))
    own = torch.eye(3, dtype=torch.float64)[group]
    expected = em_priors(own, group, p) * torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    torch.testing.assert_close(mixture(x, group, target), expected)
    assert float(expected.sum()) == pytest.approx(1.0)


def test_one_source_is_all_of_it():
    x, _ = sites([20])
    assert mixture(x, torch.zeros(20, dtype=torch.long), x).tolist() == [1.0]


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (torch.arange(20) % 2 * 2, r"found 20 numbers, and \[10, 0, 10\]"),
        (torch.zeros(3).long(), "3 numbers"),
    ],
)
def test_a_source_without_rows_is_told(group, found):
    x, _ = sites([20])
    with pytest.raises(ValueError, match=f"`group` should be .*{found}"):
        mixture(x, group, x)
