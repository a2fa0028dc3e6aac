import pytest
import torch
from torch import nn

from headstart.meta import ProtoNet
from headstart.models import Net
from headstart.tasks import Labelled


def test_is_the_softmax_of_negative_squared_distances_to_the_means():
    torch.manual_seed(0)
    net = Net(nn.Linear(4, 3), {"a": nn.Linear(3, 11)}).double()
    support = Labelled(torch.randn(7, 4, dtype=torch.float64), torch.tensor([0, 2, 1, 0, 2, 0, 1]))
    queries = torch.randn(5, 4, dtype=torch.float64)
    found = ProtoNet("a")(net, support)(queries).softmax(1)
    z, means = net.features(support.x), []
    for k in range(3):
        means.append(z[support.y == k].mean(0))
    distances = torch.cdist(net.features(queries), torch.stack(means)).square()
    torch.testing.assert_close(found, (-distances).softmax(1), rtol=1e-12, atol=1e-14)


def test_a_class_without_rows_is_never_predicted():
    net = Net(nn.Identity(), {"a": nn.Linear(2, 3)})
    support = Labelled(torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True), torch.tensor([0, 2]))
    out = ProtoNet("a")(net, support)(torch.zeros(1, 2))
    assert out.softmax(1)[0, 1] == 0
    out.softmax(1)[0, 0].backward()
    assert support.x.grad.isfinite().all()


def test_export_has_as_many_outputs_as_classes():
    net = Net(nn.Identity(), {"a": nn.Linear(2, 7)})
    adapted = ProtoNet("a")(net, Labelled(torch.eye(2), torch.tensor([0, 1])))
    assert adapted.export().heads["a"].out_features == 2


def test_missing_labels_are_refused():
    net = Net(nn.Identity(), {"a": nn.Linear(2, 2)})
    with pytest.raises(RuntimeError, match="non-negative"):
        ProtoNet("a")(net, Labelled(torch.eye(2), torch.tensor([0, -100])))
