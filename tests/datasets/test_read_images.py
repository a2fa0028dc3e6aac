import json
import os
import warnings

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.datasets import SplitSpec, encode, read
from headstart.datasets.readers.images import load_images
from headstart.tasks.arrays import lit

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
    (folder / "parts" / "nut" / "Thumbs.db").write_text("no image")
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


def classes_of(folder, images, end="png"):
    """Save each image into the folder of a class of its own, twice."""
    for k, image in enumerate(images):
        for i in range(2):
            path = folder / "set" / f"class{k}" / f"{i}.{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    (task,) = read("images:set", base=folder, split=SplitSpec(test=0))
    return task.train.x[::2]


@pytest.mark.parametrize("end", ["jfif", "jpe", "tga", "jp2", "pcx"])
def test_every_format_that_pillow_decodes_is_read(folder, end):
    kind = {"jfif": "JPEG", "jpe": "JPEG"}.get(end)
    for name in ("bolt", "nut"):
        Image.new("L", (5, 6), 9).save(folder / "parts" / name / f"more.{end}", kind)
    (task,) = read("images:parts", base=folder, split=SplitSpec(test=0))
    assert len(task.train) == 12


def test_files_that_are_no_images_of_a_class_are_counted(folder):
    (folder / "parts" / "nut" / "a.heic").write_bytes(b"")
    (folder / "parts" / "nut" / "photo").write_bytes(b"")
    save(folder / "parts" / "of-no-class.png")
    with pytest.warns(
        UserWarning, match=r"3 of 13 files under .*parts` were left out.* \.heic \(1\).* no ending"
    ):
        (task,) = read("images:parts", base=folder)
    assert len(task.train) + len(task.test) == 10
    with pytest.warns(UserWarning, match=r"2 of 7 files under .*nut`"):
        assert len(encode("parts/nut", task.encoding, base=folder)) == 5


def test_an_image_beyond_the_limit_of_pixels_is_named_or_skipped(folder, monkeypatch):
    save(folder / "parts" / "nut" / "huge.png", size=(9, 9))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # an error from twice as many on
    with pytest.raises(
        ValueError, match=r"huge.png` should be an image; .*exceeds limit.*`skip_broken=True`"
    ):
        read("images:parts", base=folder)
    with pytest.warns(UserWarning, match="1 of 11 images do not decode and were left out"):
        (task,) = read("images:parts", base=folder, skip_broken=True)
    assert len(task.train) + len(task.test) == 10


def test_floats_between_0_and_1_stay_as_they_are(tmp_path):
    drawn = np.random.default_rng(0).random((2, 4, 4)).astype(np.float32)
    x = classes_of(tmp_path, [Image.fromarray(one) for one in drawn], "tif")
    assert torch.equal(x[:, 0], torch.from_numpy(drawn))


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, 231.0])
def test_floats_on_no_known_scale_are_refused(tmp_path, value):
    image = Image.fromarray(np.full((4, 4), value, np.float32))
    with pytest.raises(ValueError, match=r"0.tif` should be an image; .*floats should be in \[0, 1\]; found"):
        classes_of(tmp_path, [image, image], "tif")


def test_whole_numbers_of_many_bits(tmp_path):
    wide = [Image.fromarray(np.full((4, 4), value, np.int32)) for value in (65535, 13107)]
    x = classes_of(tmp_path / "wide", wide, "tif")
    assert x.amax((1, 2, 3)).tolist() == pytest.approx([1, 0.2])
    swapped = [Image.fromarray(np.full((4, 4), value, ">u2")) for value in (65535, 13107)]
    assert torch.equal(classes_of(tmp_path / "swapped", swapped, "tif"), x)
    with pytest.warns(UserWarning, match="2 of 4 images hold whole numbers of 32 bits up to 255, which were"):
        classes_of(tmp_path / "dark", [wide[0], Image.fromarray(np.full((4, 4), 200, np.int32))], "tif")
    with pytest.raises(ValueError, match=r"should be in \[0, 65535\]; found 70000 to 70000"):
        classes_of(tmp_path / "high", [wide[0], Image.fromarray(np.full((4, 4), 70000, np.int32))], "tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_what_is_transparent_is_white_whatever_colour_it_hides(tmp_path, mode):
    def image(hidden):
        pixels = np.full((6, 6, 4), (*[hidden] * 3, 0), np.uint8)
        pixels[2:4, 2:4] = 80, 80, 80, 255
        made = Image.fromarray(pixels)
        return made.convert("LA" if mode == "L" else mode)

    images = [image(0), image(200)]
    if mode == "L":  # one value stands for what is transparent
        for k, hidden in enumerate((0, 200)):
            images[k] = images[k].getchannel("L")
            images[k].info["transparency"] = hidden
    x = classes_of(tmp_path, images)
    assert torch.equal(x[0], x[1])
    assert x[0, 0, 0, 0] == 1
    assert x[0, 0, 2, 2].item() == pytest.approx(80 / 255, abs=0.01)


def test_palettes_inks_and_turned_photos(tmp_path):
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    palette = classes_of(tmp_path / "a", [red.convert("P"), red])
    assert torch.equal(palette[0], palette[1])
    inks = classes_of(tmp_path / "b", [red.convert("CMYK"), red], "tif")
    assert torch.equal(inks[0], inks[1])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = tmp_path / "turned.jpg"
    Image.new("L", (4, 8)).save(path, exif=exif)
    assert load_images([path], None)[0].shape == (1, 1, 4, 8)


def test_of_an_animation_the_first_picture_is_taken_and_that_is_said(folder):
    frames = [Image.new("L", (5, 6), value) for value in (0, 255)]
    frames[0].save(folder / "parts" / "nut" / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(
        UserWarning, match="1 of 11 images hold several pictures, of which the first was taken"
    ):
        (task,) = read("images:parts", base=folder, split=SplitSpec(test=0))
    assert (task.train.x == 0).flatten(1).all(1).sum() == 1


# Bytes until a batch is used.


def test_parts_are_pieces_of_one_array_and_bytes_where_they_are_many(folder, monkeypatch):
    (task,) = read("images:parts", base=folder)
    monkeypatch.setattr("headstart.tasks.arrays.MANY", 0)
    (small,) = read("images:parts", base=folder)
    assert small.train.x.dtype == torch.uint8
    assert small.train.x.untyped_storage().data_ptr() == small.test.x.untyped_storage().data_ptr()
    for part in ("train", "test"):
        one, other = getattr(task, part), getattr(small, part)
        assert torch.equal(one.x, lit(other.x))
        assert torch.equal(one.y, other.y)
        assert torch.equal(task.encoding.division[part], small.encoding.division[part])


def test_a_broken_image_leaves_the_parts_whole(folder):
    (folder / "parts" / "nut" / "3.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="1 of 10 images do not decode"):
        (task,) = read("images:parts", base=folder, skip_broken=True)
    rows = torch.cat(list(task.encoding.division.values()))
    assert rows.sort().values.tolist() == list(range(9))
    files = [folder / "parts" / name / f"{i}.png" for name in ("bolt", "nut") for i in range(5)]
    files.remove(folder / "parts" / "nut" / "3.png")
    x, kept = load_images(files, None)
    assert len(kept) == 9
    assert torch.equal(x[task.encoding.division["train"]], task.train.x)


@pytest.mark.parametrize("name", [b"b\xff", b"caf\xe9", "cafe\u0301".encode()])
def test_folders_and_files_of_any_bytes(folder, name):
    odd = os.fsencode(folder / "parts") + b"/" + name
    os.mkdir(odd)
    for i in range(3):
        os.rename(folder / "parts" / "nut" / f"{i}.png", odd + b"/%d\xfe.png" % i)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (task,) = read("images:parts", base=folder, split=SplitSpec(test=0))
    json.dumps(task.encoding.to_json(), ensure_ascii=False).encode()
    assert len(task.kind.classes) == 3
    assert any(c.isprintable() and ("\\x" in c or c == "café") for c in task.kind.classes)


@pytest.mark.slow
def test_every_strategy_learns_from_bytes_as_from_floats(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for k, name in enumerate("ab"):
        for i in range(16):
            path = tmp_path / "im" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((rng.integers(0, 120, (8, 8, 3)) + 100 * k).astype("u1")).save(path)

    def scores():
        (task,) = read("images:im", base=tmp_path, split=SplitSpec(test=0.5))
        budget = hs.strategies.Budget(steps=3, options=1)
        problem = hs.Problem(task, budget=budget, settings={"width": 4})
        names = ["scratch", "raw+knn", "raw+svm", "raw+boosting"]
        result = hs.compare(problem, names, seeds=2, progress=False)
        return task, result, {row["strategy"]: row["seeds"] for row in result.rows}

    floats, _, expected = scores()
    monkeypatch.setattr("headstart.tasks.arrays.MANY", 0)
    task, result, found = scores()
    assert (floats.train.x.dtype, task.train.x.dtype) == (torch.float32, torch.uint8)
    assert found == expected
    assert not result.details["budget"]["failed"]


def square(folder, name, array):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(folder / name)


def test_deep_pictures_of_fewer_bits_are_told(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(6):
        square(tmp_path, f"im/{'ab'[k % 2]}/{k}.png", rng.integers(0, 4095, (8, 8)).astype(np.uint16))
    with pytest.warns(UserWarning, match=r"pixels of more than 8 bits reach 0\.06"):
        read("images:im", base=tmp_path)


def test_files_that_are_no_images_are_named_where_none_is(tmp_path):
    for k in range(4):
        (tmp_path / "im" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "im" / "ab"[k % 2] / f"{k}.heic").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"no image that Pillow reads, but files: \.heic \(4\)"):
        read("images:im", base=tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_links_to_nothing_and_to_folders_are_told_and_clutter_is_not(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(6):
        square(tmp_path, f"im/{'ab'[k % 2]}/{k}.png", rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    (tmp_path / "im/__MACOSX/a").mkdir(parents=True)
    (tmp_path / "im/__MACOSX/a/0.png").write_bytes(b"x")
    read("images:im", base=tmp_path)
    (tmp_path / "im/a/gone.png").symlink_to("nowhere")
    (tmp_path / "im/b/more").symlink_to("..")
    with pytest.warns(UserWarning, match="2 of 8 files under .* were left out"):
        read("images:im", base=tmp_path)
