"""Vectors of ids: what number 0 means, the products by hand, saving without code, and sizes that are none."""

import pytest
import torch

import headstart as hs
from headstart.models import Net, backbone, load, save


def made(**changes):
    torch.manual_seed(0)
    return backbone(
        "factors", settings={"features": 3, "ids": {"0": 5, "2": 7}, "width": 4, "hidden": []} | changes
    )


def test_without_layers_it_is_vectors_numbers_and_their_products():
    net = made()
    x = torch.tensor([[5.0, 0.3, 1.0], [2.0, -1.0, 7.0]])
    user, item = net.vectors[0].weight[[5, 2]], net.vectors[1].weight[[1, 7]]
    rest = net.rest(x[:, 1:2])
    expected = torch.cat([user, item, rest, user * item, user * rest, item * rest], 1)
    torch.testing.assert_close(net(x), expected)
    assert net.width == expected.shape[1] == 24


def test_the_vector_of_what_is_not_known_is_zero_and_stays_so():
    net = made(hidden=[6])
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    x = torch.tensor([[0.0, 0.3, 1.0], [2.0, -1.0, 0.0]])
    net(x).square().sum().backward()
    optimizer.step()
    assert not any(table.weight[0].any() for table in net.vectors)
    assert net.vectors[0].weight.grad[2].any()


def test_it_is_saved_and_loaded_without_code(tmp_path):
    net = Net(made(hidden=[6]).eval(), {"stars": torch.nn.Linear(6, 1)}).eval()
    save(net, tmp_path / "model", kinds={"stars": hs.tasks.Regression()})
    x = torch.tensor([[1.0, 0.3, 1.0], [2.0, -1.0, 7.0]])
    torch.testing.assert_close(load(tmp_path / "model").net.eval()(x, "stars"), net(x, "stars"))


@pytest.mark.parametrize(
    "wrong", [{"ids": {}}, {"ids": {"3": 5}}, {"ids": {"0": 0}}, {"width": 0}, {"hidden": [0]}]
)
def test_sizes_that_are_none_are_refused(wrong):
    with pytest.raises(
        ValueError, match=r"sizes of `factors`.*try: name them when the table is read|factors"
    ):
        made(**wrong)
