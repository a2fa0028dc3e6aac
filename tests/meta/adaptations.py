"""All adaptations of the library, for a net of ``width`` features and the head ``task``."""

import torch

from headstart import meta


def all_of(net, task, width):
    """Give every adaptation by its name; those with random weights are drawn from one seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        relation = meta.Relation(task, width, hidden=16)
        rule, gates = meta.LearnedOptimizer(task, steps=3), meta.MetaLSTM(task, steps=3)
    return {
        "ANIL": meta.ANIL(task, lr=0.5, steps=2),
        "BOIL": meta.BOIL(task, lr=0.1, steps=2),
        "BaselinePlusPlus": meta.BaselinePlusPlus(task, steps=3),
        "CosineProtoNet": meta.CosineProtoNet(task),
        "LSLR": meta.LSLR(net, task, lr=0.1, steps=2),
        "LearnedOptimizer": rule,
        "Logistic": meta.Logistic(task),
        "MAML": meta.MAML(task, lr=0.1, steps=2),
        "Matching": meta.Matching(task),
        "MetaLSTM": gates,
        "MetaSGD": meta.MetaSGD(net, task, lr=0.1),
        "ProtoNet": meta.ProtoNet(task),
        "Relation": relation,
        "Ridge": meta.Ridge(task),
        "Siamese": meta.Siamese(task),
        "SimpleShot": meta.SimpleShot(task),
        "SimpleShot, centred": meta.SimpleShot(task, torch.linspace(-1, 1, width)),
        "iMAML": meta.iMAML(task, lr=0.1, steps=3),
    }


NAMES = [
    "ANIL", "BOIL", "BaselinePlusPlus", "CosineProtoNet", "LSLR", "LearnedOptimizer", "Logistic", "MAML",
    "Matching", "MetaLSTM", "MetaSGD", "ProtoNet", "Relation", "Ridge", "Siamese", "SimpleShot",
    "SimpleShot, centred", "iMAML",
]  # fmt: skip
