import pytest
import torch
from torch import nn

from headstart.models import Net, freeze
from headstart.multitask import backward, mgda, pcgrad, upgrad
from headstart.transfer import L2SP, Plus, Supervised

from .problems import F64, flat, losses_of, make, two_tasks


@pytest.mark.parametrize("weighing", [pcgrad, mgda, lambda g: torch.linspace(-1, 2, len(g), dtype=g.dtype)])
def test_backward_equals_the_flat_jacobian(weighing):
    net, x = make()
    losses = losses_of(net, x)
    shared, own = list(net.backbone.parameters()), list(net.heads.parameters())
    rows = torch.stack([flat(torch.autograd.grad(v, shared, retain_graph=True)) for v in losses.values()])
    heads = torch.autograd.grad(sum(losses.values()), own, retain_graph=True)
    backward(weighing)(losses, net)
    torch.testing.assert_close(flat(p.grad for p in shared), weighing(rows @ rows.T) @ rows)
    torch.testing.assert_close(flat(p.grad for p in own), flat(heads))


def test_backward_with_equal_weights_is_the_sum():
    net, x = make()
    sum(losses_of(net, x).values()).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    backward(lambda g: torch.ones(len(g)))(losses_of(net, x), net)
    torch.testing.assert_close([p.grad for p in net.parameters()], expected)


def test_backward_adds_to_gradients_that_are_there():
    net, x = make()
    combine = backward(pcgrad)
    combine(losses_of(net, x), net)
    once = [p.grad.clone() for p in net.parameters()]
    combine(losses_of(net, x), net)
    torch.testing.assert_close([p.grad for p in net.parameters()], [2 * g for g in once])


@pytest.mark.parametrize("weighing", [pcgrad, mgda])
def test_one_task_is_plain_backward(weighing):
    net, x = make()
    losses_of(net, x)["b"].backward()
    expected = [p.grad for p in net.parameters()]
    net.zero_grad()
    backward(weighing)({"b": losses_of(net, x)["b"]}, net)
    for got, want in zip([p.grad for p in net.parameters()], expected, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_absent_tasks_and_constants_add_no_row():
    net, x = make()
    seen = []

    def spy(gramian):
        seen.append(gramian.shape)
        return pcgrad(gramian)

    backward(spy)({k: v for k, v in losses_of(net, x).items() if k != "b"} | {"flat": torch.zeros(())}, net)
    assert seen == [(2, 2)]
    assert net.heads["b"].weight.grad is None
    backward(spy)({}, net)
    backward(spy)({"flat": torch.zeros(())}, net)
    assert seen == [(2, 2)]


def test_layers_that_a_task_does_not_reach_count_as_zero():
    net, x = make()
    losses = {
        "a": net(x, "a").mean(),
        "l2": net.backbone[0].weight.square().sum(),
        "head": net.heads["c"].bias.sum(),
    }
    shared = list(net.backbone.parameters())
    rows = torch.stack(
        [
            flat(torch.autograd.grad(v, shared, retain_graph=True, allow_unused=True, materialize_grads=True))
            for v in losses.values()
        ]
    )
    backward(mgda)(losses, net)
    gramian = rows @ rows.T
    torch.testing.assert_close(flat(p.grad for p in shared), mgda(gramian) @ rows)
    net.zero_grad()
    backward(pcgrad)(losses_of(net, x) | {"head": net.heads["c"].bias.sum()}, net)
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_frozen_parts_get_no_gradient():
    net, x = make()
    freeze(net.backbone[0])
    backward(pcgrad)(losses_of(net, x), net)
    assert net.backbone[0].weight.grad is None
    assert net.backbone[2].weight.grad is not None
    freeze(net.backbone)
    backward(pcgrad)(losses_of(net, x), net)
    assert all(p.grad is None for p in net.backbone.parameters())
    assert all(p.grad is not None for p in net.heads.parameters())


def test_objectives_own_weights_get_their_gradient():
    net, x = make()
    own = nn.Parameter(torch.ones((), dtype=F64))
    losses = losses_of(net, x)
    backward(pcgrad)({"a": losses["a"] * own, "b": losses["b"]}, net)
    torch.testing.assert_close(own.grad, losses["a"].detach())


def test_the_graph_is_freed_with_the_last_task():
    net, x = make()
    losses = losses_of(net, x)
    z = net.features(x)
    losses = {"a": net.heads["a"](z).square().mean(), "b": net.heads["b"](z).square().mean()}
    backward(pcgrad)(losses, net)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        losses["b"].backward()


def test_a_weighing_of_the_wrong_shape_is_refused():
    net, x = make()
    with pytest.raises(ValueError, match=r"weights of the tasks should be \(3,\); found \(\)"):
        backward(lambda g: g.sum())(losses_of(net, x), net)


def test_a_weighing_with_weights_is_held_by_its_combine():
    class Learned(nn.Linear):
        def forward(self, gramian):
            return gramian.new_ones(len(gramian))

    assert len(list(backward(Learned(2, 2)).parameters())) == 2
    assert list(backward(pcgrad).parameters()) == []


def test_a_pull_to_the_start_is_one_more_task():
    a, b, c = two_tasks()
    net = Net(nn.Linear(3, 4), {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1), "c": nn.Linear(4, 1)})
    objective = Plus(Supervised(a, b, c), L2SP(net, weight=1.0))
    backward(pcgrad)(objective(net, {"a": a.train, "b": b.train}, 0.0), net)  # its gradient is zero here
    assert all(p.grad.isfinite().all() for p in net.backbone.parameters())


def bags(sparse):
    """A net of word vectors, and losses of two tasks that read other words."""
    torch.manual_seed(0)
    net = Net(nn.EmbeddingBag(50, 3, sparse=sparse, mode="sum"), {n: nn.Linear(3, 1) for n in "ab"}).double()
    return net, bags_of(net)


@pytest.mark.parametrize("weighing", [pcgrad, upgrad])
def test_the_gradients_of_sparse_embeddings_are_weighed_as_dense_ones_and_stay_sparse(weighing):
    found = []
    for sparse in (False, True):
        net, losses = bags(sparse)
        backward(weighing)(losses, net)
        found.append(net.backbone.weight.grad)
    torch.testing.assert_close(found[1].to_dense(), found[0], rtol=1e-12, atol=1e-14)
    assert found[1].coalesce().indices().tolist() == [[1, 2, 4, 7]]


def test_a_sparse_step_is_that_of_a_dense_one_and_moves_no_other_vector():
    moved = []
    for sparse in (False, True):
        net, losses = bags(sparse)
        start = net.backbone.weight.detach().clone()
        backward(upgrad)(losses, net)
        torch.optim.SGD([net.backbone.weight], lr=0.1).step()
        moved.append(net.backbone.weight.detach() - start)
    torch.testing.assert_close(*moved, rtol=1e-12, atol=1e-14)
    torch.optim.SparseAdam([net.backbone.weight]).step()  # which refuses dense gradients
    assert (moved[1].abs().sum(1) > 0).nonzero().flatten().tolist() == [1, 2, 4, 7]


def test_sparse_gradients_add_up_over_steps_and_with_a_dense_one():
    for first, then in ((True, True), (True, False), (False, True)):
        net, losses = bags(first)
        backward(pcgrad)(losses, net)
        once = net.backbone.weight.grad.clone()
        net.backbone.sparse = then
        backward(pcgrad)(bags_of(net), net)
        twice = net.backbone.weight.grad
        torch.testing.assert_close(twice.to_dense(), 2 * once.to_dense(), rtol=1e-12, atol=1e-14)
        assert twice.is_sparse == (first and then)


def bags_of(net):
    ids = {"a": torch.tensor([[1, 2], [2, 4]]), "b": torch.tensor([[2, 7], [7, 7]])}
    return {name: net(ids[name], name).square().mean() for name in "ab"}
