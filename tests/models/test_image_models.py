"""Image models of transformers, from a folder as `save_pretrained` writes it."""

import json

import pytest
import torch

import headstart as hs
from headstart.models import backbone, cuts
from headstart.models.backbones.hf import import_transformers
from headstart.tasks import Labelled

TOKENS = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "patch_size": 8}
MODELS = {
    "vit": {"hidden_size": 8, "image_size": 32, **TOKENS},
    "dinov2": {"hidden_size": 8, "image_size": 32, **{k: TOKENS[k] for k in TOKENS if k[0] != "i"}},
    "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "image_size": 32, "window_size": 4},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "image_size": 32},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "clip_vision_model": {"hidden_size": 8, "image_size": 32, **TOKENS},
}  # fmt: skip
PROCESSORS = {
    "ViTImageProcessor": {"size": {"height": 32, "width": 32}},
    "ConvNextImageProcessor": {"size": {"shortest_edge": 32}},
    "BitImageProcessor": {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "DeiTImageProcessor": {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}},
}


@pytest.fixture(scope="module")
def transformers():
    try:
        return import_transformers()
    except ModuleNotFoundError:
        pytest.skip("transformers is not installed")


def written(transformers, folder, name, processor="ViTImageProcessor"):
    torch.manual_seed(0)
    made = transformers.AutoConfig.for_model(name, **MODELS[name])
    transformers.AutoModel.from_config(made).save_pretrained(folder)
    getattr(transformers, processor)(**PROCESSORS[processor]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_features_are_those_of_transformers(name, transformers, tmp_path):
    folder = written(transformers, tmp_path / name, name)
    built = backbone(f"hf:{folder}", inputs=(1, 32, 32)).eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        out = model(pixel_values=x)
        expected = out.last_hidden_state[:, 0] if name == "vit" else out.pooler_output.flatten(1)
        assert torch.allclose(built(x), expected, atol=1e-6)
    assert built.width == expected.shape[1]
    assert len(cuts(built)) >= 2
    assert not [n for n, _ in built.named_parameters() if "pooler" in n]


@pytest.mark.parametrize("processor", PROCESSORS)
def test_pixels_are_prepared_as_transformers_does(processor, transformers, tmp_path):
    folder = written(transformers, tmp_path, "resnet", processor)
    x = torch.randint(256, (2, 3, 37, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    known = transformers.AutoImageProcessor.from_pretrained(folder)
    expected = known(images=x.float() / 255, do_rescale=False, return_tensors="pt")["pixel_values"]
    found = backbone(f"hf:{folder}").preprocess(x)
    low, high = (torch.tensor([[0.0], [1.0]]) - torch.tensor(known.image_mean)) / torch.tensor(
        known.image_std
    )
    expected = expected.clamp(low[:, None, None], high[:, None, None])  # bicubic leaves [0, 1], 8 bits do not
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_size_of_ones_own_and_images_as_they_are_read(transformers, tmp_path):
    folder = written(transformers, tmp_path, "vit")
    built = backbone(f"hf:{folder}", settings={"size": 16, "raw": True}).eval()
    x = torch.rand(2, 1, 20, 28, generator=torch.Generator().manual_seed(0))
    assert built.preprocess(x).shape == (2, 3, 16, 16)
    plain = backbone(f"hf:{folder}", settings={"size": 16}).eval()
    with torch.no_grad():
        assert torch.equal(built(x), plain(plain.preprocess(x)))
        assert built.places(x).shape[:3] == (2, 2, 2)  # four patches, and no first token


def test_it_is_tuned_saved_and_loaded_without_its_folder(transformers, tmp_path):
    folder = written(transformers, tmp_path / "resnet", "resnet")
    built = backbone(f"hf:{folder}", settings={"raw": True})
    net = hs.Net(built, {"kind": torch.nn.Linear(built.width, 2)})
    x = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    task = hs.Task("kind", hs.tasks.Multiclass(2), Labelled(x, torch.arange(8) % 2))
    hs.fit(
        net,
        hs.batches([task], 4, generator=torch.Generator().manual_seed(0)),
        hs.Supervised(task),
        steps=2,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.01),
        progress=False,
    )
    hs.models.save(net.eval(), tmp_path / "saved", kinds={"kind": task.kind})
    folder.rename(tmp_path / "elsewhere")
    again = hs.models.load(tmp_path / "saved").net.eval()
    with torch.no_grad():
        assert torch.equal(again(x, "kind"), net(x, "kind"))


def test_what_is_wrong_is_told(transformers, tmp_path):
    folder = written(transformers, tmp_path / "vit", "vit")
    with pytest.raises(ValueError, match=r"setting of backbone .* known"):
        backbone(f"hf:{folder}", settings={"pooling": "mean"})
    with pytest.raises(ValueError, match="at least 1 pixel"):
        backbone(f"hf:{folder}", settings={"size": 0})
    file = folder / "preprocessor_config.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"rescale_factor": 1 / 127.5}))
    with pytest.raises(ValueError, match="divided by 255"):
        backbone(f"hf:{folder}")
    file.unlink()
    with pytest.raises(FileNotFoundError, match="how pixels are prepared"):
        backbone(f"hf:{folder}")
    clip = transformers.CLIPConfig(
        text_config={**TOKENS, "hidden_size": 8, "vocab_size": 9},
        vision_config={**TOKENS, "hidden_size": 8, "image_size": 32},
        projection_dim=4,
    )
    transformers.CLIPModel(clip).save_pretrained(tmp_path / "clip")
    with pytest.raises(ValueError, match=r"part for images by itself"):
        backbone(f"hf:{tmp_path / 'clip'}")
    mae = transformers.AutoConfig.for_model("vit_mae", **MODELS["vit"])
    transformers.AutoModel.from_config(mae).save_pretrained(tmp_path / "mae")
    file.parent.joinpath("config.json").rename(tmp_path / "unused.json")
    (tmp_path / "mae" / "preprocessor_config.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="one that masks"):
        backbone(f"hf:{tmp_path / 'mae'}")


def test_a_comparison_starts_from_it(transformers, tmp_path):
    folder = written(transformers, tmp_path / "vit", "vit")
    (digits,) = hs.datasets.read("digits")
    problem = hs.Problem(digits, backbone=f"hf:{folder}", shots=(2,))
    result = hs.compare(problem, ["features+logreg", "raw+logreg"], seeds=2, progress=False)
    found = {row["strategy"]: row["mean"] for row in result.rows}
    assert found["features+logreg"] > found["constant"]
