"""Folders of images, and boxes in COCO's JSON."""

import json

import numpy as np
import pytest

from headstart.datasets import SplitSpec, read
from headstart.tasks import Detection

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ALL = SplitSpec(test=0)
ABOUT = {
    "images": [
        {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
        {"id": 9, "file_name": "b.png"},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "eel"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [5, 0, 5, 10]},
        {"image_id": 7, "category_id": 3, "bbox": [-2, 5, 12, 20], "iscrowd": 0},
    ],
}


@pytest.fixture
def write(tmp_path):
    """Write two images of 20 x 10 pixels and what is told about them."""
    (tmp_path / "photos").mkdir()
    for name, level in (("a", 10), ("b", 90)):
        Image.fromarray(np.full((10, 20), level, dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.png")

    def file(about):
        (tmp_path / "boxes.json").write_text(about if isinstance(about, str) else json.dumps(about))
        return f"coco:{tmp_path / 'photos'}#{tmp_path / 'boxes.json'}"

    return file


def test_boxes_are_shares_of_their_image_in_the_order_of_the_categories(write):
    (task,) = read(write(ABOUT), split=ALL)
    assert (task.name, task.kind) == ("boxes", Detection(["cat", "dog"]))  # no box is of the third
    assert task.train.y.tolist() == [
        [[1, 0.25, 0.0, 0.5, 1.0], [0, 0.0, 0.5, 0.5, 1.0]],  # the second is cut at the edges
        [[-1, 0, 0, 0, 0]] * 2,
    ]
    assert task.train.x.shape == (2, 1, 10, 20)


def test_boxes_fit_resized_images_and_new_ones_are_numbered_as_the_old(write):
    (task,) = read(write(ABOUT), split=ALL, resize=8)
    assert task.train.x.shape == (2, 1, 8, 8)
    assert task.train.y[0, 0].tolist() == [1, 0.25, 0.0, 0.5, 1.0]
    few = ABOUT | {"annotations": ABOUT["annotations"][:1]}
    (again,) = read(write(few), split=ALL, encoding=task.encoding.to_json())
    assert again.kind == task.kind
    assert again.train.y[0, 0, 0] == 1


def test_a_crowd_is_left_out(write):
    crowd = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1}
    with pytest.warns(UserWarning, match="1 boxes of crowds in `boxes.json` were left out"):
        (task,) = read(write(ABOUT | {"annotations": [*ABOUT["annotations"], crowd]}), split=ALL)
    assert (task.train.y[1, :, 0] == -1).all()


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("{", "boxes.json` should be JSON"),
        ([1], "lists images, annotations, categories; found list"),
        ({"images": []}, r"found \['images'\]"),
        (ABOUT | {"images": []}, "at least one; found none"),
        (ABOUT | {"images": [{"id": 1}]}, "each with id and file_name; found"),
        (ABOUT | {"images": ABOUT["images"][:1] * 2}, "an id of its own for each; found 7 twice"),
        (ABOUT | {"annotations": []}, "annotations of `boxes.json` should be at least one box; found none"),
        (ABOUT | {"annotations": [{"image_id": 8}]}, "a known image_id; found"),
        (ABOUT | {"annotations": [{"image_id": 7, "category_id": 8}]}, "a known category_id"),
        (ABOUT | {"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2]}]},
         r"in pixels; found \[1, 2\]"),
        (ABOUT | {"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 0, 4]}]},
         "above 0, in an image of 20 x 10 pixels"),
        (ABOUT | {"annotations": [{"image_id": 7, "category_id": 1, "bbox": [30, 2, 4, 4]}]}, "20 x 10"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_boxes(write, about, message):
    with pytest.raises(ValueError, match=message):
        read(write(about), split=ALL)


def test_what_is_not_there(write, tmp_path):
    with pytest.raises(ValueError, match=r'name both, as in "coco:photos#boxes\.json"'):
        read("coco:photos")
    with pytest.raises(FileNotFoundError, match=r"none\.json` should be a file of COCO's JSON"):
        read(f"coco:{tmp_path / 'photos'}#{tmp_path / 'none.json'}")
    missing = ABOUT | {"images": [{"id": 7, "file_name": "c.png"}]}
    with pytest.raises(FileNotFoundError, match=r"c\.png` should be an image; found nothing there"):
        read(write(missing))
    with pytest.raises(ValueError, match="`group` should be a column of a table"):
        read(write(ABOUT), split=SplitSpec(group="patient"))
