"""Images whose parts have classes of their own, in both layouts that miniImageNet goes round in."""

import shutil

import numpy as np
import pytest
import torch

from headstart.datasets import encode, read
from headstart.tasks import draw_episodes

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
CLASSES = {"train": ("n01", "n02", "n03"), "val": ("n04", "n05"), "test": ("n06", "n07")}


def picture(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.full((20, 30, 3), level, np.uint8)
    shade[:, :, 1] = 0
    Image.fromarray(shade).save(path)


@pytest.fixture
def folders(tmp_path):
    for part, names in CLASSES.items():
        for name in names:
            for k in range(4):
                picture(tmp_path / "mini" / part / name / f"{name}_{k}.png", 30 * int(name[1:]) - k)
    return tmp_path / "mini"


@pytest.fixture
def lists(tmp_path):
    root = tmp_path / "listed"
    for part, names in CLASSES.items():
        lines = ["filename,label"]
        for name in names:
            for k in range(4):
                picture(root / "images" / f"{name}{k:08d}.png", 30 * int(name[1:]) - k)
                lines.append(f"{name}{k:08d}.png,{name}")
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("layout", ["folders", "lists"])
def test_each_part_has_classes_of_its_own(layout, request):
    root = request.getfixturevalue(layout)
    for part, of in (("", "train"), ("#train", "train"), ("#valid", "val"), ("#test", "test")):
        (task,) = read(f"miniimagenet:{root}{part}")
        assert task.kind.classes == CLASSES[of]
        assert task.train.x.shape == (4 * len(CLASSES[of]), 3, 84, 84)
        assert (task.valid, task.test) == (None, None)
        levels = torch.stack([task.train.x[task.train.y == k].mean() for k in range(len(CLASSES[of]))])
        assert (levels.diff() > 0).all()  # labels are those of the images


def test_a_size_can_be_asked_for_and_turns_become_classes(folders):
    (task,) = read(f"miniimagenet:{folders}#test+rotations", resize=32)
    assert task.train.x.shape == (32, 3, 32, 32)
    assert len(task.kind.classes) == 8


def test_lists_may_lie_in_a_folder_of_their_own(lists):
    (lists / "split").mkdir()
    for file in lists.glob("*.csv"):
        shutil.move(file, lists / "split" / file.name)
    assert len(read(f"miniimagenet:{lists}#test")[0].train) == 8


def test_episodes_are_drawn_and_new_images_are_made_alike(folders):
    (task,) = read(f"miniimagenet:{folders}#test", resize=16)
    (episode,) = draw_episodes(task, 1, ways=2, shots=1, queries=3, seed=0)
    assert sorted(episode.classes) == ["n06", "n07"]
    new = encode(folders / "test" / "n06", task.encoding)
    assert new.shape == (4, 3, 16, 16)
    assert torch.equal(new, task.train.x[:4])


def test_a_broken_image_can_be_left_out(folders):
    (folders / "test" / "n06" / "n06_0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="does not decode"):
        read(f"miniimagenet:{folders}#test")
    with pytest.warns(UserWarning, match="1 of 8 images do not decode"):
        (task,) = read(f"miniimagenet:{folders}#test", skip_broken=True)
    assert task.train.y.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_what_is_not_there_is_told(folders, lists, tmp_path):
    with pytest.raises(ValueError, match='found "tset"'):
        read(f"miniimagenet:{folders}#tset")
    with pytest.raises(FileNotFoundError, match=r"`train/` or `train.csv`; found neither"):
        read(f"miniimagenet:{tmp_path / 'nothing'}")
    (tmp_path / "cached").mkdir()
    (tmp_path / "cached" / "mini-imagenet-cache-test.pkl").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"mini-imagenet-cache-test.pkl.*, which may run code"):
        read(f"miniimagenet:{tmp_path / 'cached'}#test")
    (lists / "images" / "n0600000000.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"found 1 of them not there, the first is n0600000000.png"):
        read(f"miniimagenet:{lists}#test")
    (lists / "val.csv").write_text("file,class\n")
    with pytest.raises(ValueError, match=r"found \['file', 'class'\]"):
        read(f"miniimagenet:{lists}#valid")
    shutil.rmtree(folders / "val" / "n05")
    with pytest.raises(ValueError, match="at least two classes"):
        read(f"miniimagenet:{folders}#valid")
    shutil.rmtree(folders / "val" / "n04")
    with pytest.raises(ValueError, match="a folder of images for each class; found no image"):
        read(f"miniimagenet:{folders}#valid")
