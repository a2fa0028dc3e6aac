"""Whatever form rows come in, a model gives the same answers, and leaves them as they were."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import headstart as hs
from headstart.datasets import SplitSpec, encode, read
from headstart.models import Net, conv4, save
from headstart.tasks import Multiclass, Regression

from .conftest import listed, net_for, same, saved


class Listed(Dataset):
    """A map-style dataset of anything; of pairs, where labels are given."""

    def __init__(self, items, labels=None):
        self.items, self.labels = items, labels

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i] if self.labels is None else (self.items[i], self.labels[i])


def all_same(model: hs.inference.Model, forms: dict[str, object]) -> torch.Tensor:
    """Check that all forms give what the first gives; return that."""
    first = next(iter(forms.values()))
    known, said = model.predict_proba(first), model.predict(first)
    assert len(known.unique(dim=0)) > 3, "answers differ, so that forms can be told apart"
    for name, form in forms.items():
        assert same(model.predict_proba(form), known), name
        assert model.predict(form) == said, name
    return known


def test_a_table(table: Path, parts: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    model = hs.load(table)
    frame = pandas.read_csv(parts)
    before = frame.copy(deep=True)
    x = encode(parts, model.encoding)
    all_same(
        model,
        {
            "reference": f"csv:{parts}",
            "with its label": f"csv:{parts}#part",
            "path": parts,
            "text of a path": str(parts),
            "pandas": frame,
            "without the label, in another order": frame[["metal", "length", "mass"]],
            "with another index": frame.set_index(frame.index[::-1]),
            "polars": polars.read_csv(parts),
            "features": x,
            "in float64": x.double(),
            "one by one": Listed(x, frame["part"]),
            "without labels": TensorDataset(x),
        },
    )
    pandas.testing.assert_frame_equal(frame, before)
    assert model.predict(frame.iloc[:1]) == model.predict(x[0]) == model.predict(x)[:1]


def test_text(text: Path, reviews: Path, tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    model = hs.load(text)
    frame = pandas.read_csv(reviews)
    texts = frame["text"].tolist()
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    ids = encode(f"text:{reviews}", model.encoding)
    all_same(
        model,
        {
            "list": texts,
            "tuple": tuple(texts),
            "column": frame["text"],
            "array": np.array(texts, dtype=object),
            "pandas": frame,
            "polars": polars.read_csv(reviews),
            "reference": f"text:{reviews}",
            "lines": tmp_path / "texts.txt",
            "ids": ids,
            "dataset": Listed(texts, frame["label"]),
            "dataset of ids": Listed(ids),
        },
    )
    assert model.predict(texts[:1]) == model.predict(ids[0])
    with pytest.raises(FileNotFoundError, match=r"pass texts as a list, as in \['a good film'\]"):
        model.predict("a good film")
    with pytest.raises(TypeError, match="a list of strings"):
        model.predict(["good", 3])


def test_images(images: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    model = hs.load(images)
    files = listed(photos)
    opened = [Image.open(file) for file in files]
    pixels = np.stack([np.asarray(image) for image in opened])
    pixels.flags.writeable = False
    known = all_same(
        model,
        {
            "reference": f"images:{photos}",
            "folder": photos,
            "paths": files,
            "words": list(map(str, files)),
            "opened": opened,
            "dataset": Listed(opened, [0] * 8),
            "dataset without labels": Listed(files),
            "grey without channels": pixels,
            "channels last": pixels[..., None],
            "channels first": pixels[:, None],
            "list of arrays": list(pixels),
            "8-bit tensor": torch.tensor(pixels),
            "list of tensors": list(torch.tensor(pixels)[:, None].float() / 255),
            "float64": pixels[:, None] / np.float32(255),
            "dataset of tensors": TensorDataset(torch.tensor(pixels)[:, None].float() / 255),
        },
    )
    one = {"path": files[3], "opened": opened[3], "grey": pixels[3], "last": pixels[3][..., None]}
    for name, form in one.items():
        torch.testing.assert_close(model.predict_proba(form), known[3:4], msg=name)
    said = model.answer(photos)
    assert list(said.files) == list(map(str, files))
    for form, shape in ((pixels[:, :4], r"\[4, 5\]"), (pixels[..., None].repeat(3, -1), r"\[6, 5, 3\]")):
        with pytest.raises(ValueError, match=rf"should be rows of \[1, 6, 5\]; found {shape}"):
            model.predict(form)
    with pytest.raises(ValueError, match=r"should be of one shape; found \[\(4, 5\), \(6, 5\)\]"):
        model.predict([pixels[0], pixels[1][:4]])
    monkeypatch.chdir(photos)
    with pytest.raises(FileNotFoundError, match=r'did you mean "0\.png"'):
        model.predict(["dark/00.png"])


def test_images_of_another_size_are_told(images: Path, photos: Path) -> None:
    from PIL import Image

    Image.new("L", (9, 9)).save(photos / "dark" / "0.png")
    with pytest.warns(UserWarning, match="1 of 8 images are resized to 6 x 5 pixels"):
        said = hs.load(images).predict(photos)
    assert len(said) == 8


def test_arrays_of_an_archive(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), np.arange(20) % 2
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    (task,) = read(f"npz:{tmp_path}/rows.npz#x,y", split=SplitSpec(test=0))
    model = hs.load(saved(tmp_path / "model", task))
    before = x.copy()
    forms = {
        "reference": f"npz:{tmp_path}/rows.npz#x,y",
        "array": x,
        "lists": x.tolist(),
        "tensor": task.train.x,
    }
    all_same(model, {**forms, "integers": x} | {"columns first": np.asfortranarray(x)})
    assert np.array_equal(x, before)
    with pytest.raises(ValueError, match=r"rows should be rows of \[3\]; found \[2\]"):
        model.predict(x[:, :2])
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.predict(np.full((2, 3), np.nan))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model that does not say how its rows are made: three numbers each."""
    task = hs.Task(
        "coins", Multiclass(["head", "tail"]), hs.tasks.Labelled(torch.zeros(2, 3), torch.arange(2))
    )
    return saved(tmp_path / "plain", task)


def test_rows_of_the_callers_own(plain: Path) -> None:
    model = hs.load(plain)
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    fixed = x.detach().numpy().copy()
    fixed.flags.writeable = False
    forms = {"tensor": x, "array": fixed, "lists": x.tolist(), "float64": fixed.astype(np.float64)}
    all_same(model, forms | {"dataset": TensorDataset(x.detach()), "rows": list(fixed), "double": x.double()})
    assert model.predict(x[4]) == model.predict(x)[4:5]
    counts = np.array([[1, 0, 9], [7, 3, 0], [0, 9, 1]])
    assert same(model.predict_proba(counts), model.predict_proba(counts.astype(np.float32)))
    assert model.predict(x[:0]) == []


def test_what_rows_of_the_callers_own_cannot_be(plain: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    model = hs.load(plain)
    numbers = {"a": [1.0], "b": [2.0], "c": [3.0]}
    for wrong in (pandas.DataFrame(numbers), polars.DataFrame(numbers), ["some text"], None, {"a"}):
        with pytest.raises(
            TypeError, match=r"should be a tensor, or an array of numbers.*; save it with `enc"
        ):
            model.predict(wrong)
    with pytest.raises(
        ValueError, match=r"such as the model was trained on; found torch.float32 of shape \[4, 5\]"
    ):
        model.predict(torch.zeros(4, 5))
    with pytest.raises(ValueError, match="`x` should be finite numbers; found NaN or infinity in row 1"):
        model.predict([[0.0, 0.0, 0.0], [0.0, float("nan"), 0.0]])
    with pytest.raises(
        ValueError, match=f"model {plain} should be told how rows are made; found no encoding"
    ):
        model.predict("csv:new.csv")


def test_images_of_the_callers_own(tmp_path: Path) -> None:
    kind = Multiclass(["a", "b"])
    rows = hs.tasks.Labelled(torch.zeros(2, 3, 8, 8), torch.arange(2))
    trunk = conv4(channels=3, size=(8, 8), width=4, halvings=2)
    net = net_for(hs.Task("images", kind, rows), trunk=trunk, width=trunk.width)
    model = hs.load(save(net, tmp_path / "model", kinds={"images": kind}))
    x = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    last = x.permute(0, 2, 3, 1).numpy()
    known = model.predict_proba(x)
    for name, form in {"last": last, "list": list(last), "float64": last.astype(np.float64)}.items():
        assert same(model.predict_proba(form), known), name
    assert same(model.predict_proba(last[2]), model.predict_proba(x[2]))
    torch.testing.assert_close(model.predict_proba(x[2]), known[2:3])
    with pytest.raises(
        ValueError, match=r"found torch.uint8 of shape .*; scale pixels as they were for training"
    ):
        model.predict((last * 255).astype(np.uint8))


def test_a_model_of_a_module_of_the_callers_own(tmp_path: Path) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 4)

        def forward(self, x):
            return (self.table(x["ids"]) * x["mask"][..., None]).sum(1)

    kind = Regression()
    save(Net(Tokens(), {"score": nn.Linear(4, 1)}), tmp_path / "model", kinds={"score": kind})
    with pytest.raises(ValueError, match="backbone"):
        hs.load(tmp_path / "model")
    model = hs.load(tmp_path / "model", backbone=Tokens())
    x = {"ids": torch.tensor([[1, 2], [3, 0]]), "mask": torch.tensor([[1.0, 1.0], [1.0, 0.0]])}
    assert [type(v) for v in model.predict(x)] == [float, float]


def test_the_net_and_the_global_random_state_stay(table: Path, parts: Path) -> None:
    model = hs.load(table)
    before, state = copy.deepcopy(model.net.state_dict()), torch.get_rng_state()
    model.predict(parts)
    model.evaluate(f"csv:{parts}#part")
    model.adapt(f"csv:{parts}#metal".replace("metal", "part"), name="new")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[name]) for name, v in model.net.state_dict().items())
    assert os.listdir(table) == sorted(os.listdir(table), key=os.listdir(table).index)


def test_an_encoding_that_is_not_the_nets(tmp_path: Path) -> None:
    rows = hs.tasks.Labelled(torch.zeros(2, 3), torch.arange(2))
    about = {"reader": "npz", "keys": ["x"], "shape": [4]}
    model = hs.load(saved(tmp_path, hs.Task("t", Multiclass(2), rows), encoding=about))
    other = hs.Task("t", Multiclass(2), hs.tasks.Labelled(torch.zeros(2, 4), torch.arange(2)))
    for use in (model.evaluate, model.adapt):
        with pytest.raises(
            ValueError, match=r"such as the model was trained on; found torch.float32 of shape \[2, 4\]"
        ):
            use(other)
