import subprocess
import sys
import urllib.error
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from headstart.models import backbone, torchvision
from headstart.models.backbones.torchvision import import_torchvision

FAMILIES = {
    "alexnet": 4096, "convnext_tiny": 768, "densenet121": 1024, "efficientnet_b0": 1280, "googlenet": 1024,
    "inception_v3": 2048, "maxvit_t": 512, "mnasnet0_5": 1280, "mobilenet_v2": 1280,
    "mobilenet_v3_small": 1024, "resnet18": 512, "resnet50": 2048, "shufflenet_v2_x0_5": 1024, "swin_t": 768,
    "swin_v2_t": 768, "vgg11_bn": 4096, "vit_b_32": 768, "wide_resnet50_2": 2048,
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_the_classifier_is_cut_off_every_family(name):
    with torch.device("meta"):
        trunk = torchvision(name, weights=None)
        size = 299 if name == "inception_v3" else 224
        assert trunk.train()(torch.zeros(2, 1, size, size)).shape == (2, FAMILIES[name])
    assert trunk.width == FAMILIES[name]
    assert not any(isinstance(m, nn.Linear) and m.out_features == 1000 for m in trunk.modules())


def test_regnet_is_cut_off_too():
    assert torchvision("regnet_y_400mf", weights=None)(torch.zeros(2, 3, 32, 32)).shape == (2, 440)


def test_grey_images_are_repeated():
    trunk, x = torchvision("resnet18", weights=None).eval(), torch.rand(2, 1, 32, 32)
    assert torch.equal(trunk(x), trunk(x.repeat(1, 3, 1, 1)))


def test_preprocess_resizes_and_normalises_as_the_weights_expect():
    trunk = torchvision("resnet18", weights=None)
    x = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    out = trunk.preprocess(x)
    assert out.shape == (2, 3, 224, 224)
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(out[0, :, 5, 5], white)
    torch.testing.assert_close(trunk.preprocess(torch.ones(2, 3, 28, 28)), out)
    assert torch.equal(x, torch.full_like(x, 255))


def test_the_named_entry_gives_the_size():
    with torch.device("meta"):
        trunk = torchvision("vit_b_16", weights=None, transforms="IMAGENET1K_SWAG_E2E_V1")
    assert trunk.model.image_size == 384
    assert trunk.settings == {"transforms": "IMAGENET1K_SWAG_E2E_V1", "raw": False}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_with_or_without_the_classifier(tmp_path, suffix):
    whole = import_torchvision().models.shufflenet_v2_x0_5(weights=None, num_classes=7).eval()
    path, x = tmp_path / f"w{suffix}", torch.rand(2, 3, 32, 32)
    state = whole.state_dict()
    whole.fc = nn.Identity()
    for kept in (state, whole.state_dict()):
        (save_file if suffix == ".safetensors" else torch.save)(dict(kept), path)
        trunk = backbone("torchvision:shufflenet_v2_x0_5", weights=str(path)).eval()
        assert torch.equal(trunk(x), whole(x))
    with pytest.raises(ValueError, match="tensors of the model"):
        backbone("torchvision:resnet18", weights=str(path))


def test_old_names_in_the_files_of_densenet_are_understood(tmp_path):
    first = torchvision("densenet121", weights=None)
    old = {
        n.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v
        for n, v in first.model.state_dict().items()
    }
    assert old.keys() != first.model.state_dict().keys()
    save_file(old, tmp_path / "w.safetensors")
    second = torchvision("densenet121", weights=str(tmp_path / "w.safetensors"))
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@pytest.mark.parametrize("weights", ["default", "IMAGENET1K_V1"])
def test_no_network_is_explained(tmp_path, monkeypatch, weights):
    def offline(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"IMAGENET1K_V1.*resnet18.*service not known.*weights=None"):
        backbone("torchvision:resnet18", weights=weights)


def test_weights_in_the_cache_need_no_network(tmp_path, monkeypatch):
    name = "shufflenet_v2_x0_5"
    entry = import_torchvision().models.get_model_weights(name).DEFAULT
    model = import_torchvision().models.get_model(name, weights=None)
    (tmp_path / "checkpoints").mkdir()
    torch.save(model.state_dict(), tmp_path / "checkpoints" / entry.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    trunk = backbone(f"torchvision:{name}")
    assert torch.equal(trunk.model.conv1[0].weight, model.conv1[0].weight)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "headstart\[torchvision\]"'):
        backbone("torchvision:resnet18", weights=None)


@pytest.mark.skipif(find_spec("torchvision") is None, reason="needs the extra `torchvision`")
def test_torchvision_is_imported_late_and_also_without_its_operators():
    code = """
import sys, headstart.models, torch
assert "torchvision" not in sys.modules
try:
    import torchvision
    whole = True
except RuntimeError:  # the wheel does not fit the installed torch
    whole = False
for _ in range(2):
    headstart.models.torchvision("shufflenet_v2_x0_5", weights=None)
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    assert whole
except NotImplementedError:
    assert not whole
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_raw_model_preprocesses_within():
    torch.manual_seed(0)
    inner = backbone("torchvision:resnet18", weights=None)
    raw = backbone("torchvision:resnet18", weights=None, settings={"raw": True})
    raw.load_state_dict(inner.state_dict())
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(raw.eval()(x), inner.eval()(inner.preprocess(x)))


def test_images_are_resized_whole_to_a_size_that_is_given():
    size = {"raw": True, "size": 48}
    trunk = backbone("torchvision:mobilenet_v3_small", weights=None, settings=size).eval()
    assert trunk.settings["size"] == 48
    wide = torch.zeros(1, 3, 32, 96)
    wide[..., :4] = 1.0  # at an edge that a crop would take away
    seen = trunk.preprocess(wide)
    assert seen.shape == (1, 3, 48, 48)
    assert seen[0, 0, 24, 0] > seen[0, 0, 24, 24]
    with pytest.raises(ValueError, match="`size` should be at least 1 pixel; found 0"):
        backbone("torchvision:resnet18", weights=None, settings={"size": 0})
