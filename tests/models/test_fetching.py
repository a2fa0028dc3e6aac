"""What is not on this machine is fetched where that may be, and else said to be missing."""

import urllib.error
from importlib.util import find_spec

import pytest
import torch

import headstart as hs
from headstart.models import load, save
from headstart.models.backbones import hub
from headstart.models.backbones.hub import fetching, why_not
from headstart.problems import load_problem
from headstart.strategies import Candidate
from headstart.tasks import Labelled, Multiclass, Task


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """List the hosts that are asked, none of which answers, with empty caches."""
    hosts = []

    def unreached(request, *_, **__):
        hosts.append(request.host)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(hub, "answers", lambda host: hosts.append(host))
    monkeypatch.setattr(torch.hub, "urlopen", unreached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return hosts


def test_the_policy_holds_within_and_not_behind(asked):
    with fetching("never"):
        assert why_not("a.org") == 'fetch = "never"'
        with fetching("yes"):
            assert why_not("b.org") == "no network"
        assert why_not("c.org") == 'fetch = "never"'
    assert why_not("d.org") == "no network"
    assert asked == ["b.org", "d.org"]


@pytest.mark.parametrize("library", ["torchvision", "timm", "hf"])
def test_no_host_is_asked_where_nothing_may_be_fetched(asked, library):
    if find_spec({"hf": "transformers"}.get(library, library)) is None:
        pytest.skip(f"{library} is not installed")
    use = f"{library}:{'someone/none-of-that-name' if library == 'hf' else 'resnet18'}"
    with pytest.raises(ConnectionError, match='fetch = "never"'):
        hs.backbone(use, fetch="never")
    assert not asked
    with pytest.raises(ConnectionError, match="no network"):
        hs.backbone(use)
    assert len(asked) == 1


def test_weights_that_are_here_are_taken_all_the_same(asked, tmp_path):
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    made = hs.backbone("torchvision:shufflenet_v2_x0_5", weights=None)
    state = dict(made.model.state_dict()) | {"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    file = tmp_path / "hub" / "checkpoints" / made.entry.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    found = hs.backbone("torchvision:shufflenet_v2_x0_5", fetch="never")
    assert all(torch.equal(v, state[n]) for n, v in found.model.state_dict().items())
    assert not asked


def test_a_problem_and_each_of_its_backbones_may_say_so(asked, tmp_path):
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    rows = Labelled(torch.rand(4, 3, 32, 32), torch.arange(4) % 2)
    task = Task("new", Multiclass(2), rows, test=rows)
    problem = hs.Problem(task, backbone="torchvision:resnet18", fetch="never")
    with pytest.raises(ConnectionError, match='fetch = "never"'):
        problem.build(pretrained=True)
    several = {"a": Candidate("torchvision:resnet18", fetch="never"), "b": Candidate("torchvision:resnet18")}
    posed = hs.Problem(task, backbones=several)
    for name, reason in (("a", 'fetch = "never"'), ("b", "no network")):
        with pytest.raises(ConnectionError, match=reason):
            posed.using(name).build(pretrained=True)
    (tmp_path / "p.toml").write_text(
        '[target]\ndata = "digits:5-9"\n[backbone]\nuse = "torchvision:resnet18"\nfetch = "never"\n'
    )
    with pytest.raises(ConnectionError, match='fetch = "never"'):
        load_problem(tmp_path / "p.toml").problem()


def test_a_saved_model_never_fetches(asked, tmp_path):
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    net = hs.Net(hs.backbone("timm:resnet10t", weights=None), {"a": torch.nn.Linear(512, 2)})
    load(save(net, tmp_path / "model", kinds={"a": Multiclass(2)}))
    assert not asked


def test_another_word_is_refused():
    with pytest.raises(
        ValueError, match='`fetch` should be a known name; found "nevr"; did you mean "never"'
    ):
        hs.backbone("conv4", fetch="nevr")
