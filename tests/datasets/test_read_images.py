import json

import numpy as np
import pytest
import torch

from headstart.datasets import encode, read

Image = pytest.importorskip("PIL.Image")


def save(path, value=0, size=(6, 5), mode="L", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    pixels.flat[0] = value
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(["bolt", "nut"]):
        for i in range(5):
            save(tmp_path / "parts" / name / f"{i}.png", seed=10 * k + i)
    return tmp_path


def test_a_folder_per_class(folder):
    (folder / "parts" / "nut" / ".hidden.png").write_bytes(b"no image")
    (folder / "parts" / "nut" / "notes.txt").write_text("no image")
    (task,) = read("images:parts", base=folder)
    assert task.kind.classes == ("bolt", "nut")
    assert task.name == "parts"
    assert task.train.x.shape == (8, 1, 6, 5)
    assert task.train.x.dtype == torch.float32
    assert 0 <= task.train.x.min() <= task.train.x.max() <= 1
    assert task.test.y.tolist() == [0, 1]


def test_pixels_are_those_of_the_file(folder):
    (task,) = read("images:parts", base=folder)
    first = np.asarray(Image.open(folder / "parts" / "bolt" / "0.png"), dtype=np.float32) / 255
    assert torch.equal(encode("parts", task.encoding, base=folder)[0, 0], torch.from_numpy(first))
    assert torch.equal(encode("parts/bolt/0.png", task.encoding, base=folder)[0, 0], torch.from_numpy(first))


def test_given_parts(tmp_path):
    for k, (part, name) in enumerate([(p, n) for p in ("train", "val", "test") for n in ("a", "b")]):
        save(tmp_path / "set" / part / name / "0.png", seed=k)
    (task,) = read("images:set", base=tmp_path)
    assert [len(p) for p in (task.train, task.valid, task.test)] == [2, 2, 2]


def test_one_image_in_colour_makes_all_rgb_and_the_recipe_keeps_it(folder):
    save(folder / "parts" / "nut" / "colour.png", mode="RGB", seed=99)
    (task,) = read("images:parts", base=folder)
    assert task.encoding.shape == (3, 6, 5)
    x = encode("parts/bolt", json.loads(json.dumps(task.encoding.to_json())), base=folder)
    assert x.shape == (5, 3, 6, 5)
    assert torch.equal(x[:, 0], x[:, 1])


def test_sizes_that_differ_need_resize(folder):
    save(folder / "parts" / "nut" / "large.png", size=(9, 9), seed=99)
    with pytest.raises(
        ValueError, match=r"large.png` should be \(6, 5\) pixels.*found \(9, 9\); pass `resize=`"
    ):
        read("images:parts", base=folder)
    (task,) = read("images:parts", base=folder, resize=8)
    assert task.train.x.shape[1:] == (1, 8, 8)
    (task,) = read("images:parts", base=folder, resize=(4, 8))
    assert encode("parts", task.encoding, base=folder).shape == (11, 1, 4, 8)


@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_an_image_that_does_not_decode_is_named_or_skipped(folder, content):
    path = folder / "parts" / "nut" / "broken.png"
    path.write_bytes((path.parent / "0.png").read_bytes()[:60] if content == "cut" else content)
    with pytest.raises(ValueError, match=r"broken.png` should be an image; .*pass `skip_broken=True`"):
        read("images:parts", base=folder)
    with pytest.warns(
        UserWarning, match=r"1 of 11 images do not decode and were left out, the first is .*broken"
    ):
        (task,) = read("images:parts", base=folder, skip_broken=True)
    assert len(task.train) + len(task.test) == 10


def test_deep_and_transparent_images(tmp_path):
    for name in "ab":
        for i in range(5):
            path = tmp_path / "set" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((2, 2), 65535 - i - 10 * ord(name), np.uint16)).save(path)
    (task,) = read("images:set", base=tmp_path)
    assert task.train.x.shape[1:] == (1, 2, 2)
    assert task.train.x.min() > 0.9
    Image.new("RGBA", (2, 2), (255, 0, 0, 128)).save(tmp_path / "set" / "a" / "red.png")
    assert read("images:set", base=tmp_path)[0].encoding.shape == (3, 2, 2)


def test_wrong_folders(folder):
    with pytest.raises(FileNotFoundError, match="a folder with a sub-folder per class; found nothing there"):
        read("images:nowhere", base=folder)
    with pytest.raises(ValueError, match="at least two sub-folders with images; found no image"):
        read("images:.", base=folder / "parts" / "nut")
    (folder / "parts" / "washer").mkdir()
    with pytest.raises(ValueError, match=r"class folder `washer` of .* should be images; found none"):
        read("images:parts", base=folder)
