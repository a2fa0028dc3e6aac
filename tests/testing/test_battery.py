"""Every public method goes through the checks; one without an entry here fails."""

import copy
import functools
import importlib
from importlib.util import find_spec

import pytest
import torch
from torch import nn

import headstart as hs
from headstart import domains, measure, meta, multitask, transfer
from headstart.models import Net, conv4, maps, mlp
from headstart.tasks import (
    Episodes,
    Inputs,
    Labelled,
    Multiclass,
    Regression,
    Shift,
    Task,
    Tokens,
    draw_episodes,
)
from headstart.testing import (
    check_adaptation,
    check_combine,
    check_objective,
    check_score,
    check_transduction,
    check_weighing,
)

ROOMS = ("transfer", "domains", "multitask", "meta", "measure")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))
        return Net(backbone, {"a": nn.Linear(4, 2), "b": nn.Linear(4, 1)})


def rows(count=8, seed=0):
    return Labelled(normal(count, 3, seed=seed), torch.arange(count) % 2)


A = Task("a", Multiclass(2), rows())
B = Task("b", Regression(), Labelled(normal(8, 3, seed=1), torch.cat([normal(7), torch.tensor([torch.nan])])))
TABLES = {"a": A.train, "b": B.train}
SHIFT = Shift(rows(), Inputs(normal(6, 3, seed=2) + 1))


def episodes():
    support = Labelled(normal(3, 4, 3), torch.tensor([0, 1, 0, 1]).expand(3, -1))
    query = Labelled(normal(3, 6, 3, seed=1), torch.tensor([0, 1, 0, 1, 1, 0]).expand(3, -1))
    return Episodes(support, query, 2)


def objective(make, batch):
    def check():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            value, own = make(), net()
        check_objective(value, own, batch)

    return check


def numbers():
    rows = Labelled(normal(3, 4, 3, seed=2), normal(3, 4, 1, seed=3))
    return Episodes(rows, rows, 0)


def joint():
    return meta.Joint({"a": nn.functional.cross_entropy, "b": nn.functional.mse_loss}, lr=0.1, steps=2)


def jointly():
    own, x = net(), normal(5, 3)
    before = [p.clone() for p in own.parameters()]
    support = {"a": rows(6), "b": Labelled(normal(4, 3), normal(4, 1))}
    adapted = joint()(own, support)
    assert adapted["a"](x).shape == (5, 2)
    assert adapted["b"](x).shape == (5, 1)
    assert adapted["a"].weights.keys() == {name for name, _ in own.named_parameters()}
    assert all(map(torch.equal, before, own.parameters()))


def losses(net):
    x = normal(5, 3).to(next(net.parameters()))
    return {name: net(x, name).square().mean() for name in net.heads}


class Last(multitask.PerTask):
    def forward(self, losses):
        return losses.nan_to_num() @ torch.arange(1, len(losses) + 1).to(losses)


def pcgrad():
    check_weighing(multitask.pcgrad, tasks=5)
    check_weighing(functools.partial(multitask.pcgrad, generator=torch.Generator()), tasks=5)


def fewshot():
    classifier = meta.FewShot(net(), meta.ProtoNet("a")).fit(rows().x, ["left", "right"] * 4)
    assert set(classifier.predict(normal(5, 3))) <= {"left", "right"}


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def adaptation(make):
    return lambda: check_adaptation(make(), net(), rows(6), rows(5, seed=1))


def together(make):
    return lambda: check_transduction(make(), net(), rows(6), rows(9, seed=1).inputs())


def mixed(mix):
    one, other = net(), net()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    before = [p.clone() for n in (one, other) for p in n.parameters()]
    for a, p in zip(one.parameters(), mix(one, other).parameters(), strict=True):
        torch.testing.assert_close(p, a + 0.5)
    assert all(map(torch.equal, before, [p for n in (one, other) for p in n.parameters()]))


def gradients():
    own = net()
    before, batches = [p.clone() for p in own.parameters()], [TABLES, TABLES]
    told = transfer.relative_gradients(own, transfer.Supervised(A, B), batches)
    assert told == transfer.relative_gradients(own, transfer.Supervised(A, B), batches)
    assert min(told.values()) > 0
    assert all(map(torch.equal, before, own.parameters()))
    assert all(p.grad is None and p.requires_grad for p in own.parameters())


def updates():
    if find_spec("peft") is None:
        pytest.skip("needs peft")
    own, x = net(), normal(5, 3)
    before, outputs = copy.deepcopy(own.state_dict()), own(x, "a").detach()
    state = torch.get_rng_state()
    with transfer.lora(own, 2):
        torch.testing.assert_close(own(x, "a").detach(), outputs)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


def sharing(make):
    """Check a pattern as what it is trained by: tasks on rows of their own, its losses among theirs."""

    def check():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            shared = make()
            own = Net(shared, {t.name: t.kind.head(shared.width_for(t.name)) for t in (A, B)})
        check_objective(transfer.Supervised(A, B), own, TABLES)

    return check


def transported():
    pytest.importorskip("ot", reason="needs POT")
    objective(lambda: domains.DeepJDOT(A), SHIFT)()


def several_sources():
    of_two = Labelled(SHIFT.source.x, SHIFT.source.y, group=torch.arange(len(SHIFT.source)) % 2)
    objective(lambda: domains.MultiDANN(A, features=4, sources=2), Shift(of_two, SHIFT.target))()


def attending():
    pixels = Labelled(normal(8, 1, 8, 8), torch.arange(8) % 2)
    task, encoder = Task("a", Multiclass(2), pixels), conv4(1, width=4, size=8)
    shared = multitask.MTAN(encoder, ["a"], maps(encoder, pixels.x))
    check_objective(transfer.Supervised(task), Net(shared, {"a": nn.Linear(4, 2)}), {"a": pixels})


def opposed():
    own = net()
    found = multitask.cosines(own, transfer.Supervised(A, B), [TABLES], NAMES)
    assert found.shape == (2, 2)
    assert found.isfinite().all()
    assert all(p.grad is None for p in own.parameters())


def shown():
    x, no = normal(8, 3), torch.tensor([1.0, 0.0] * 4)
    own = Net(nn.Linear(3, 4), {name: nn.Linear(4, 1) for name in NAMES})
    check_objective(multitask.EntireSpace(*NAMES), own, {name: Labelled(x, no) for name in NAMES})


def ahead():
    own = net()
    found = multitask.affinity(own, transfer.Supervised(A, B), [TABLES], NAMES, lr=0.1)
    assert found.shape == (2, 2)
    assert found.isfinite().all()
    assert all(p.grad is None for p in own.parameters())


NAMES = ("a", "b")
SURE = normal(20, 2).softmax(1)


def twice(function, *given):
    """Hold that a function gives the same twice, and leaves its inputs and the global random state alone."""
    kept, state = [t.clone() for t in given], torch.get_rng_state()
    first, again = (torch.as_tensor(function(*given)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.isfinite().all()
    assert all(map(torch.equal, kept, given))
    assert torch.equal(state, torch.get_rng_state())


def weighted():
    twice(measure.weighted_risk, SURE, torch.arange(20) % 2, normal(20, 3), normal(15, 3, seed=1))


def diagnosed():
    twice(
        lambda *given: measure.kind_of_shift(*given).mmd, normal(20, 3), torch.arange(20) % 2, normal(15, 3)
    )


class Table(nn.Module):
    """Read tokens, and the one before each."""

    width = 4

    def __init__(self):
        super().__init__()
        self.table, self.mix = nn.Embedding(9, 4), nn.Linear(4, 4)

    def places(self, x):
        z = self.table(x)
        return z + self.mix(z.roll(1, 1))

    def forward(self, x):
        return self.places(x).mean(1)


class Known(hs.datasets.Encoding):
    words = staticmethod(lambda: (*"abcdefg", "[MASK]"))
    row_shape = encode = _made = _own = from_json = None


def of_tokens():
    x = torch.randint(1, 8, (6, 5), generator=torch.Generator().manual_seed(0))
    task = Task("words", Tokens(9), Labelled(x, x), encoding=Known(reader="text"))
    return task, seeded(lambda: Net(trunk := Table(), {"words": transfer.word_head(trunk)}))


def hidden():
    task, own = of_tokens()
    check_objective(transfer.MaskedWords(task, share=0.5), own, {"words": task.train})


def tied():
    task, own = of_tokens()
    assert own(task.train.x, "words").shape == (6, 5, 9)
    assert own.heads["words"].head[-1].weight is own.backbone.table.weight


def on_episodes():
    task = Task("a", Multiclass(2), rows(20))
    drawn = draw_episodes(task, 3, ways=2, shots=2, queries=3, seed=0)
    scores = meta.evaluate_episodes({"means": (net(), meta.ProtoNet("a"))}, task, drawn, progress=False)
    assert 0 <= scores.mean("means") <= 1


def counted():
    own = net()
    before = copy.deepcopy(own.state_dict())
    found = multitask.cost(own, [A, B], rows=8)
    assert found.losses < found.features < found.weights
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


BATTERY = {
    "transfer.Supervised": objective(lambda: transfer.Supervised(A, B), TABLES),
    "transfer.Plus": objective(
        lambda: transfer.Plus(transfer.Supervised(A, B), transfer.L2SP(net(), weight=0.1)), TABLES
    ),
    "transfer.L2SP": objective(lambda: transfer.L2SP(net(), weight=0.1, head_weight=0.01), TABLES),
    "transfer.LogitAdjusted": objective(lambda: transfer.LogitAdjusted(A), TABLES),
    "transfer.CoTuning": objective(lambda: transfer.CoTuning(A, "b", torch.eye(2)), TABLES),
    "transfer.relation": lambda: twice(lambda p: transfer.relation(p, A.train.y, 2), SURE[:8]),
    "transfer.BSS": objective(lambda: transfer.BSS(0.1, 2), TABLES),
    "transfer.DELTA": objective(lambda: transfer.DELTA(net(), weight=0.1), TABLES),
    "transfer.SupCon": objective(lambda: transfer.SupCon(A), TABLES),
    "transfer.Distil": objective(lambda: transfer.Distil(A, net()), TABLES),
    "transfer.MaskedWords": hidden,
    "transfer.word_head": tied,
    "transfer.contextual_calibration": lambda: twice(
        lambda z: transfer.contextual_calibration(z).bias.detach(), normal(3, 4)
    ),
    "transfer.lora": updates,
    "transfer.relative_gradients": gradients,
    "transfer.wise_ft": lambda: mixed(transfer.wise_ft),
    "transfer.soup": lambda: mixed(lambda one, other: transfer.soup([one, other])),
    "transfer.task_arithmetic": lambda: mixed(
        lambda one, other: Net(
            transfer.task_arithmetic(one, [other], 0.5).backbone, transfer.soup([one, other]).heads
        )
    ),
    "domains.DANN": objective(lambda: domains.DANN(A, features=4, hidden=5), SHIFT),
    "domains.JointSpace": objective(
        lambda: domains.JointSpace(A, source=nn.Linear(5, 4), labelled=rows(4)),
        Shift(Labelled(normal(8, 5, seed=3), torch.arange(8) % 2), SHIFT.target),
    ),
    "domains.MMD": objective(lambda: domains.MMD(A), SHIFT),
    "domains.OnePass": objective(lambda: domains.OnePass(domains.CMD(A)), SHIFT),
    "domains.CDAN": objective(lambda: domains.CDAN(A, features=4, hidden=5), SHIFT),
    "domains.MDD": objective(lambda: domains.MDD(A, features=4, hidden=5), SHIFT),
    "domains.MCD": objective(lambda: domains.MCD(A, features=4), SHIFT),
    "domains.DeepJDOT": transported,
    "domains.PADA": objective(lambda: domains.PADA(A, features=4, hidden=5), SHIFT),
    "domains.ADDA": objective(lambda: domains.ADDA(A, net(), features=4, hidden=5), SHIFT),
    "domains.SHOT": objective(lambda: domains.SHOT(A, torch.eye(2, 4)), SHIFT),
    "domains.MultiDANN": several_sources,
    "domains.centres": lambda: twice(domains.centres, SURE, normal(20, 3)),
    "multitask.pcgrad": pcgrad,
    "multitask.GradVac": lambda: check_weighing(multitask.GradVac(list("abcde"))),
    "multitask.PerTask": lambda: check_weighing(Last(["a", "b"]), of="losses", tasks=2),
    "multitask.Uncertainty": lambda: check_weighing(
        multitask.Uncertainty(["a", "b", "c"], regression=["b"]), of="losses"
    ),
    "multitask.cost": lambda: counted(),
    "multitask.GradDrop": lambda: check_combine(multitask.GradDrop(seed=1), net(), losses),
    "multitask.GradNorm": lambda: check_combine(
        multitask.GradNorm(["a", "b"], layer="backbone.2"), net(), losses
    ),
    "multitask.backward": lambda: check_combine(multitask.backward(multitask.pcgrad), net(), losses),
    "multitask.weighted": lambda: check_combine(
        multitask.weighted(multitask.Uncertainty(["a", "b"])), net(), losses
    ),
    "multitask.EntireSpace": shown,
    "multitask.affinity": ahead,
    "multitask.groups": lambda: twice(lambda a: torch.tensor(multitask.groups(a)), normal(1, 1)),
    "multitask.cosines": opposed,
    "multitask.beside": lambda: check_combine(
        multitask.beside(multitask.backward(multitask.pcgrad)), net(), losses
    ),
    "multitask.Soft": sharing(lambda: multitask.Soft({n: mlp(3, hidden=[6, 4]) for n in NAMES})),
    "multitask.SharedPrivate": sharing(
        lambda: multitask.SharedPrivate(mlp(3), {n: mlp(3, hidden=[4]) for n in NAMES})
    ),
    "multitask.Hierarchical": sharing(
        lambda: multitask.Hierarchical(mlp(3, hidden=[6, 4]), {"a": "0", "b": ""}, {"0": 6, "": 4})
    ),
    "multitask.CrossStitch": sharing(
        lambda: multitask.CrossStitch({n: mlp(3, hidden=[6, 4]) for n in NAMES})
    ),
    "multitask.MMoE": sharing(lambda: multitask.MMoE([mlp(3), mlp(3)], NAMES)),
    "multitask.PLE": sharing(lambda: multitask.PLE([[mlp(3)]], {n: [[mlp(3)]] for n in NAMES})),
    "multitask.MTAN": attending,
    "multitask.Routed": sharing(lambda: multitask.Routed([mlp(3), mlp(3)], NAMES)),
    "meta.ANIL": adaptation(lambda: meta.ANIL("a", lr=0.1, steps=2)),
    "meta.BOIL": adaptation(lambda: meta.BOIL("a", lr=0.1, steps=2)),
    "meta.BaselinePlusPlus": adaptation(lambda: meta.BaselinePlusPlus("a", steps=3)),
    "meta.CosineProtoNet": adaptation(lambda: meta.CosineProtoNet("a")),
    "meta.LSLR": adaptation(lambda: meta.LSLR(net(), "a", lr=0.1, steps=2)),
    "meta.Joint": jointly,
    "meta.JointEpisodic": objective(lambda: meta.JointEpisodic(joint()), {"a": episodes(), "b": numbers()}),
    "meta.LearnedOptimizer": adaptation(lambda: seeded(lambda: meta.LearnedOptimizer("a", steps=3))),
    "meta.MetaLSTM": adaptation(lambda: seeded(lambda: meta.MetaLSTM("a", steps=3))),
    "meta.Unrolled": objective(lambda: meta.Unrolled(meta.LearnedOptimizer("a", steps=3)), episodes()),
    "meta.LaplacianShot": together(lambda: meta.LaplacianShot("a")),
    "meta.TIM": together(lambda: meta.TIM("a")),
    "meta.Logistic": adaptation(lambda: meta.Logistic("a")),
    "meta.Matching": adaptation(lambda: meta.Matching("a")),
    "meta.MetaSGD": adaptation(lambda: meta.MetaSGD(net(), "a", lr=0.1)),
    "meta.Relation": adaptation(lambda: seeded(lambda: meta.Relation("a", 4, hidden=16))),
    "meta.Ridge": adaptation(lambda: meta.Ridge("a")),
    "meta.Siamese": adaptation(lambda: meta.Siamese("a")),
    "meta.SimpleShot": adaptation(lambda: meta.SimpleShot("a", torch.ones(4))),
    "meta.iMAML": adaptation(lambda: meta.iMAML("a", lr=0.1, steps=3)),
    "meta.Contrastive": objective(lambda: meta.Contrastive("a"), episodes()),
    "meta.Triplet": objective(lambda: meta.Triplet("a", margin=2.0), episodes()),
    "meta.Reptile": objective(lambda: meta.Reptile(meta.MAML("a", lr=0.1, steps=2)), episodes()),
    "meta.MultiStep": objective(lambda: meta.MultiStep(meta.MAML("a", lr=0.1, steps=2)), episodes()),
    "meta.MAML": adaptation(lambda: meta.MAML("a", lr=0.1, steps=2)),
    "meta.ProtoNet": adaptation(lambda: meta.ProtoNet("a")),
    "meta.EpisodeScores": on_episodes,
    "meta.evaluate_episodes": on_episodes,
    "meta.Episodic": objective(lambda: meta.Episodic(meta.MAML("a", lr=0.1, steps=1)), episodes()),
    "meta.FewShot": fewshot,
    "measure.leep": lambda: check_score(measure.leep),
    "measure.logme": lambda: check_score(measure.logme),
    "measure.source_risk": lambda: check_score(measure.source_risk),
    "measure.sound": lambda: twice(measure.sound, SURE, SURE, normal(20, 1).flatten().gt(0).long()),
    "measure.outside": lambda: twice(
        measure.outside, normal(20, 2), normal(9, 2, seed=1), normal(15, 2, seed=2)
    ),
    "measure.weighted_risk": weighted,
    "measure.weighted_error": lambda: twice(
        measure.weighted_error, normal(20, 2), normal(20, 2, seed=1), normal(20, 3), normal(15, 3, seed=1)
    ),
    "measure.Diagnosis": diagnosed,
    "measure.kind_of_shift": diagnosed,
}


BATTERY |= {
    f"domains.{name}": objective(functools.partial(getattr(domains, name), A), SHIFT)
    for name in ("AFN", "AdaMatch", "CMD", "CORAL", "JAN", "MCC", "PseudoLabel")
}
ABC = ["a", "b", "c"]
BATTERY |= {
    f"measure.{name}": functools.partial(twice, getattr(measure, name), normal(20, 3), normal(15, 3, seed=1))
    for name in ("a_distance", "mmd", "density_ratio", "kliep")
}
BATTERY |= {
    f"measure.{name}": functools.partial(twice, getattr(measure, name), SURE, torch.arange(20) % 2, SURE[:9])
    for name in ("bbse", "em_priors")
}
BATTERY["measure.mixture"] = functools.partial(
    twice, measure.mixture, normal(20, 3), torch.arange(20) % 2, normal(15, 3, seed=1)
)
BATTERY |= {
    f"measure.{name}": functools.partial(twice, getattr(measure, name), SURE)
    for name in ("bnm", "certainty", "corr_c", "information", "snd")
}
WEIGHINGS_OF_LOSSES = {
    "DWA": lambda: multitask.DWA(ABC, every=2),
    "FAMO": lambda: multitask.FAMO(ABC),
    "IMTL_L": lambda: multitask.IMTL_L(ABC),
    "RLW": lambda: multitask.RLW(seed=1),
    "STCH": lambda: multitask.STCH(),
    "Weights": lambda: multitask.Weights({"a": 1.0, "b": 2.0, "c": 0.5}),
    "gls": lambda: multitask.gls,
}
BATTERY |= {
    f"multitask.{name}": lambda make=make: check_weighing(make(), of="losses")
    for name, make in WEIGHINGS_OF_LOSSES.items()
}
BATTERY |= {
    f"multitask.{name}": functools.partial(check_weighing, getattr(multitask, name), tasks=5)
    for name in ("aligned", "cagrad", "config", "dualproj", "fairgrad", "imtl_g", "mgda", "nash", "upgrad")
}


def public():
    return [f"{r}.{name}" for r in ROOMS for name in importlib.import_module(f"headstart.{r}").__all__]


@pytest.mark.parametrize("name", public())
def test_every_public_method_passes_the_checks(name):
    assert name in BATTERY, f"add an entry for {name} to the battery in {__file__}"
    BATTERY[name]()


TOOLS = (
    "meta.FewShot",
    "meta.EpisodeScores",
    "meta.evaluate_episodes",
    "measure.Diagnosis",
)  # around methods, from no paper


def sections(doc):
    return [line.strip() for line in doc.splitlines() if line.strip().endswith(":")]


@pytest.mark.parametrize("name", public())
def test_every_public_method_says_how_to_call_it_and_where_it_is_from(name):
    room, _, leaf = name.partition(".")
    doc = getattr(importlib.import_module(f"headstart.{room}"), leaf).__doc__ or ""
    paper = name not in TOOLS
    for section in ("Shape:", "Example:", "References:") if paper else ("Example:",):
        assert section in sections(doc), f"{name} has no {section[:-1]} section"
    assert ">>>" in doc
    assert "http" in doc or not paper, f"{name} has no link"


def test_maths_says_how_to_call_it():
    from headstart import maths, testing

    for room in (maths, testing):
        for name in room.__all__:
            assert "Example:" in sections(getattr(room, name).__doc__), name
