import copy

import pytest

from headstart.transfer import L2SP, Plus, Supervised


def test_plus_gives_all_losses_and_refuses_two_of_one_name(pair):
    a, b, net = pair
    batch = {"a": a.train, "b": b.train}
    both = Plus(Supervised(a), Supervised(b), L2SP(net, weight=1.0))
    assert list(both(net, batch, 0.0)) == ["a", "b", "l2sp"]
    with pytest.raises(ValueError, match=r"found \['a'\] from two objectives"):
        Plus(Supervised(a), Supervised(a))(net, batch, 0.0)
    with pytest.raises(ValueError, match="at least one; found none"):
        Plus()


def test_plus_holds_what_its_parts_learned(pair):
    a, _, net = pair
    plus = Plus(Supervised(a), L2SP(net, weight=1.0))
    assert "learned.0.start0" in plus.state_dict()
    twin = copy.deepcopy(plus)
    twin.load_state_dict({k: v + 1 for k, v in plus.state_dict().items()})
    assert twin(net, {"a": a.train}, 0.0)["l2sp"] > 0  # the copy's part is the copy's own
    assert plus(net, {"a": a.train}, 0.0)["l2sp"] == 0
