import pytest
import torch
from torch import nn

from headstart.engine import cached_features
from headstart.models import Net, freeze


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Sequential(nn.Linear(2, 4), nn.Dropout(), nn.BatchNorm1d(4)), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


def frozen():
    torch.manual_seed(0)
    net = Net(Counted(), {"a": nn.Linear(4, 2)})
    freeze(net.backbone)
    return net.train()


def test_equal_the_features_of_every_step(tmp_path):
    net, x = frozen(), torch.randn(7, 2)
    kept = cached_features(net, x, directory=tmp_path / "cache", batch=3)
    assert not kept.requires_grad
    assert torch.equal(kept, cached_features(net, x, batch=3))
    torch.testing.assert_close(kept, net.features(x).detach())
    calls = net.backbone.calls
    assert torch.equal(kept, cached_features(net, x, directory=tmp_path / "cache"))
    assert net.backbone.calls == calls
    assert net.training
    assert not net.backbone.training


def test_any_change_computes_anew(tmp_path):
    net, x = frozen(), torch.randn(7, 2)

    def files():
        cached_features(net, x, directory=tmp_path)
        return len(list(tmp_path.iterdir()))

    assert files() == 1
    x[0, 0] += 1
    assert files() == 2
    net.backbone.layer[0].weight.data[0, 0] += 1
    assert files() == 3
    net.backbone.layer[2].running_mean[0] += 1
    assert files() == 4
    cached_features(net, x, directory=tmp_path, transform="grey")
    cached_features(net, x.double().float(), directory=tmp_path)
    assert files() == 5


def test_a_damaged_file_is_computed_anew(tmp_path):
    net, x = frozen(), torch.randn(7, 2)
    first = cached_features(net, x, directory=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b"no"):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="should be whole; found damaged; computing anew"):
            assert torch.equal(first, cached_features(net, x, directory=tmp_path))
    assert path.read_bytes() == whole


def test_refused_where_it_would_be_wrong():
    net = Net(nn.Sequential(nn.Linear(2, 4), nn.Dropout()), {"a": nn.Linear(4, 2)})
    with pytest.raises(
        ValueError, match=r"`net.backbone` should be frozen; found 2 trainable parameters \(0.weight\)"
    ):
        cached_features(net, torch.zeros(1, 2))
    net.backbone.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"should be in eval mode; found training mode, where its batch statistics"
    ):
        cached_features(net, torch.zeros(1, 2))
    net.train()  # rests what is frozen
    assert cached_features(net, torch.zeros(1, 2)).shape == (1, 4)
    dropout = Net(nn.Sequential(nn.Flatten(), nn.Dropout()), {"a": nn.Linear(2, 2)})
    with pytest.raises(
        ValueError, match=r"`1` in training mode, where dropout would draw anew; call headstart"
    ):
        cached_features(dropout, torch.zeros(1, 2))
    assert cached_features(Net(nn.Flatten(), {}), torch.zeros(3, 2, 2)).shape == (3, 4)


def test_mappings_and_other_types_of_number(tmp_path):
    class Sum(nn.Module):
        def forward(self, x):
            return x["ids"].float() + x["mask"].to(torch.bfloat16).float()

    x = {"ids": torch.arange(6).view(3, 2), "mask": torch.ones(3, 2, dtype=torch.bool)}
    assert cached_features(Net(Sum(), {}), x, directory=tmp_path).tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
        [5.0, 6.0],
    ]
