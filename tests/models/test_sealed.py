import hashlib
import json

import pytest
import torch

from headstart.models import sealed
from headstart.records import seal, sha256, unseal


def test_tensors_come_back_whatever_their_memory():
    shared = torch.arange(6.0)
    tensors = {
        "view": shared[2:], "whole": shared, "turned": torch.randn(2, 3).T, "wide": torch.ones(1).expand(4),
        "number": torch.tensor(3), "flag": torch.tensor([True]), "half": torch.ones(2, dtype=torch.bfloat16),
        "learned": torch.nn.Parameter(torch.ones(2)), "empty": torch.zeros(0, 3),
    }  # fmt: skip
    data = sealed.pack(tensors)
    found = sealed.unpack(data, sha256(data))
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in tensors.items())


@pytest.mark.parametrize("mark", [None, 3, "", "0" * 64])
def test_tensors_under_another_hash_are_not_read(mark):
    assert sealed.unpack(sealed.pack({"a": torch.ones(1)}), mark) is None


def test_facts_may_be_laid_out_in_another_way_but_not_be_others():
    facts = {"b": [1, 2.5, None, "ü"], "a": {"y": 1, "x": float("nan")}}
    written = seal(facts)
    again = json.loads(json.dumps(written, indent=3, sort_keys=True))
    assert unseal(written).keys() == unseal(again).keys() == facts.keys()
    assert seal(written) == written
    for change in ({"b": 1}, {"c": 1}, {"sha256": None}, {"sha256": [1]}):
        assert unseal(written | change) is None
    assert unseal(facts) is None


def test_facts_hashed_in_the_order_of_their_keys_are_read():  # as version 0.1 wrote checkpoints
    facts = {"step": 3, "phase": "target"}
    mark = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    assert unseal(json.loads(json.dumps(facts | {"sha256": mark}))) == facts
