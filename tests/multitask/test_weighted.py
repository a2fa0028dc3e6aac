import pytest
import torch

from headstart.multitask import weighted

from .problems import F64, losses_of, make


def test_weighted_by_a_function_gets_the_tasks_that_are_there():
    net, x = make()
    losses = losses_of(net, x)
    weighted(lambda v: v @ torch.arange(1.0, len(v) + 1, dtype=F64))(
        {"a": losses["a"], "c": losses["c"]}, net
    )
    got = net.backbone[0].weight.grad.clone()
    net.zero_grad()
    losses = losses_of(net, x)
    (losses["a"] + 2 * losses["c"]).backward()
    torch.testing.assert_close(got, net.backbone[0].weight.grad)
    weighted(torch.sum)({}, net)


def test_a_weighing_with_names_gets_all_of_them_in_its_order():
    class Named:
        names = ("c", "b", "a")

        def __call__(self, losses):
            seen.append(losses.isnan().tolist())
            return losses.nansum()

    seen = []
    net, x = make()
    losses = losses_of(net, x)
    weighted(Named())({"a": losses["a"], "b": losses["b"]}, net)
    assert seen == [[True, False, False]]
    with pytest.raises(KeyError, match='found "d"'):
        weighted(Named())({"d": losses["c"]}, net)
