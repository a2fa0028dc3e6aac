"""Folders of images and of maps of numbers."""

import numpy as np
import pytest
import torch

from headstart.datasets import SplitSpec, read
from headstart.tasks import DenseRegression

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ALL = SplitSpec(test=0)


@pytest.fixture
def write(tmp_path):
    """Write grey images and maps, by their names with the ending of the map's file."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "depths").mkdir()

    def files(**maps):
        for number, (name, depth) in enumerate(maps.items()):
            stem, _, ending = name.partition("__")
            depth = np.array(depth)
            shown = np.full(depth.shape, 10 + number, np.uint8)
            Image.fromarray(shown).save(tmp_path / "photos" / f"{stem}.png")
            if ending == "npy":
                np.save(tmp_path / "depths" / f"{stem}.npy", depth)
            else:
                Image.fromarray(depth).save(tmp_path / "depths" / f"{stem}.{ending}")
        return f"maps:{tmp_path / 'photos'}#{tmp_path / 'depths'}"

    return files


def test_numbers_are_read_as_they_are_from_arrays_and_images(write):
    floats = np.array([[0.0, 2.5], [np.nan, np.inf]], np.float32)
    whole = np.array([[0, 2], [40_000, 9]], np.uint16)
    (task,) = read(write(a__npy=floats, b__png=whole, c__tif=floats + 1), split=ALL)
    nan = torch.nan
    want = [[[0, 2.5], [nan, nan]], [[nan, 2], [40_000, 9]], [[1, 3.5], [nan, nan]]]
    assert torch.equal(task.train.y.nan_to_num(-1), torch.tensor(want).nan_to_num(-1))
    assert (task.name, task.kind) == ("depths", DenseRegression((2, 2)))
    assert task.train.x.shape == (3, 1, 2, 2)


def test_maps_are_resized_without_mixing(write):
    blocks = np.kron([[1.0, 4.0], [7.0, np.nan]], np.ones((4, 4))).astype(np.float32)
    reference = write(a__npy=blocks, b__npy=blocks[:4, :4])
    (task,) = read(reference, split=ALL, resize=2)
    assert task.train.y[0, :, 0].tolist() == [1, 7]
    assert task.train.y[0, 0, 1] == 4
    assert task.train.y[0, 1, 1].isnan()
    assert task.train.y[1].tolist() == [[1, 1], [1, 1]]


def test_what_is_wrong_with_maps(write, tmp_path):
    reference = write(one__npy=np.ones((1, 2)), two__npy=np.ones((1, 2)))
    depths = tmp_path / "depths"
    with pytest.raises(ValueError, match=r'"maps:IMAGES#MAPS"; found "maps:.*"; name both'):
        read(f"maps:{tmp_path / 'photos'}")
    np.save(depths / "two.npy", np.ones((4, 2, 3)))
    with pytest.raises(ValueError, match=r"one number per pixel; found float64 \(4, 2, 3\)"):
        read(reference)
    np.save(depths / "two.npy", np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"1 x 2 pixels, as `.*two.png`; found 1 x 3"):
        read(reference)
    (depths / "two.npy").rename(depths / "tow.npy")
    with pytest.raises(ValueError, match=r'map of `.*two.png` should be in .*; did you mean "tow"'):
        read(reference)
    Image.new("RGB", (2, 1)).save(depths / "two.png")
    with pytest.raises(ValueError, match="one number per pixel; found mode RGB; save one number"):
        read(reference)
    for name in ("one.npy", "two.npy"):
        np.save(depths / name, np.full((1, 2), np.nan))
    (depths / "two.png").unlink()
    with pytest.raises(ValueError, match="at least one number; found none"):
        read(reference)
