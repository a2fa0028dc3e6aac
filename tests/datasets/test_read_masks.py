"""Folders of images and of masks."""

import numpy as np
import pytest
import torch

from headstart.datasets import SplitSpec, read
from headstart.tasks import Segmentation

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ALL = SplitSpec(test=0)


@pytest.fixture
def write(tmp_path):
    """Write images of grey levels, and masks, by their names."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "leaves").mkdir()

    def files(**masks):
        for name, mask in masks.items():
            mask = np.array(mask, dtype=np.uint8)
            shown = Image.fromarray((10 * (mask + len(name)) % 250).astype(np.uint8))
            shown.save(tmp_path / "photos" / f"{name}.png")
            Image.fromarray(mask).save(tmp_path / "leaves" / f"{name}.png")
        return f"masks:{tmp_path / 'photos'}#{tmp_path / 'leaves'}"

    return files


def test_a_mask_has_the_name_of_its_image(write):
    (task,) = read(write(b=[[2, 2], [5, 255]], aa=[[0, 2], [5, 5]]), split=ALL)
    assert (task.name, task.kind) == ("leaves", Segmentation([0, 2, 5], (2, 2)))
    assert task.train.y.tolist() == [[[0, 1], [2, 2]], [[1, 1], [2, -100]]]
    assert task.train.x.shape == (2, 1, 2, 2)
    assert task.encoding.row_shape() == (1, 2, 2)


def test_black_and_white_masks_tell_two_classes(write, tmp_path):
    (task,) = read(write(a=[[0, 255]], bb=[[255, 255]]), split=ALL)
    assert task.kind.classes == (0, 255)
    assert task.train.y.tolist() == [[[0, 1]], [[1, 1]]]
    for name in ("a", "bb"):
        Image.open(tmp_path / "leaves" / f"{name}.png").convert("1").save(tmp_path / "leaves" / f"{name}.png")
    (again,) = read(f"masks:{tmp_path / 'photos'}#{tmp_path / 'leaves'}", split=ALL)
    assert again.kind.classes == (0, 1)
    assert torch.equal(again.train.y, task.train.y)


def test_colours_of_a_palette_are_the_numbers_behind_them(write, tmp_path):
    reference = write(a=[[0, 1]])
    mask = Image.new("P", (2, 1))
    mask.putpalette([0, 0, 0, 200, 10, 30])
    mask.putdata([0, 1])
    mask.save(tmp_path / "leaves" / "a.png")
    (task,) = read(reference, split=ALL)
    assert task.train.y.tolist() == [[[0, 1]]]


def test_masks_are_resized_without_mixing_and_new_ones_are_numbered_as_the_old(write):
    reference = write(
        a=np.kron([[0, 4], [7, 255]], np.ones((4, 4))), bb=np.kron([[7, 7], [7, 0]], np.ones((2, 2)))
    )
    (task,) = read(reference, split=ALL, resize=2)
    assert task.train.y.tolist() == [[[0, 1], [2, -100]], [[2, 2], [2, 0]]]
    (again,) = read(reference, split=ALL, encoding=task.encoding)
    assert torch.equal(again.train.y, task.train.y)
    assert again.kind == task.kind


def test_what_is_wrong_with_masks(write, tmp_path):
    reference = write(leaf_1=[[0, 1]], leaf_2=[[1, 1]])
    photos, leaves = tmp_path / "photos", tmp_path / "leaves"
    with pytest.raises(ValueError, match=r'"masks:IMAGES#MASKS"; found "masks:.*"; name both'):
        read(f"masks:{photos}")
    with pytest.raises(ValueError, match="`group` should be a column of a table"):
        read(reference, split=SplitSpec(group="leaf"))
    with pytest.raises(FileNotFoundError, match="should be a folder; found nothing there"):
        read(f"masks:{photos}#{tmp_path / 'masks'}")
    (leaves / "leaf_2.png").rename(leaves / "leaf2.png")
    with pytest.raises(ValueError, match='found none of that name; did you mean "leaf2"'):
        read(reference)
    Image.new("RGB", (2, 1)).save(leaves / "leaf_2.png")
    with pytest.raises(ValueError, match="one number per pixel; found mode RGB; save the number"):
        read(reference)
    Image.new("L", (3, 1)).save(leaves / "leaf_2.png")
    with pytest.raises(ValueError, match=r"1 x 2 pixels, as `.*leaf_2.png`; found 1 x 3"):
        read(reference)
    Image.new("L", (2, 1)).save(leaves / "leaf_2.png")
    Image.new("L", (2, 1)).save(leaves / "leaf_1.png")
    with pytest.raises(ValueError, match=r"at least two classes; found \[0\]"):
        read(reference)
    (leaves / "leaf_1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="should be a mask; found an image that does not decode"):
        read(reference)
