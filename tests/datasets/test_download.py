import gzip
import hashlib
import struct

import numpy as np
import pytest

from headstart.datasets import home, read


@pytest.fixture
def bare(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path


def publish(folder, monkeypatch, file, content, checksum=None):
    path = folder / file.replace("/", "_")
    path.write_bytes(content)
    checksum = checksum or "sha256:" + hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(home.SOURCES, file, home.Source(path.as_uri(), checksum))
    return path


def idx(array):
    return gzip.compress(
        struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    )


def test_mnist_is_downloaded_once_and_read_from_the_cache(bare, monkeypatch):
    rng = np.random.default_rng(0)
    images = {
        part: rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for part, n in (("train", 30), ("t10k", 10))
    }
    paths = []
    for part, pixels in images.items():
        labels = (np.arange(len(pixels)) % 10).astype(np.uint8)
        paths.append(publish(bare, monkeypatch, f"mnist/{part}-images-idx3-ubyte.gz", idx(pixels)))
        paths.append(publish(bare, monkeypatch, f"mnist/{part}-labels-idx1-ubyte.gz", idx(labels)))
    (task,) = read("mnist")
    assert task.train.x.shape == (30, 1, 28, 28)
    assert np.allclose(task.test.x[:, 0].numpy() * 255, images["t10k"])
    for path in paths:
        path.unlink()
    assert len(read("mnist")[0].train) == 30


def test_usps_as_published(bare, monkeypatch):
    import bz2

    row = "7 " + " ".join(f"{k}:{-1 if k < 256 else 1}" for k in range(1, 257)) + "\n"
    for file in ("usps.bz2", "usps.t.bz2"):
        publish(bare, monkeypatch, f"usps/{file}", bz2.compress((row * 3).encode()))
    (task,) = read("usps")
    assert task.train.y.tolist() == [6, 6, 6]
    assert (float(task.train.x[0, 0, 0, 0]), float(task.train.x[0, 0, 15, 15])) == (0, 1)


def test_adult_as_published(bare, monkeypatch):
    row = (
        "39, {}, 77516, Bachelors, 13, {}, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, Cuba, {}\n"
    )
    train = row.format("Private", "Never-married", "<=50K") + row.format("?", "Divorced", ">50K") + "\n"
    test = "|1x3 Cross validator\n" + row.format("Private", "Divorced", ">50K.")
    publish(bare, monkeypatch, "adult/adult.data", train.encode())
    publish(bare, monkeypatch, "adult/adult.test", test.encode())
    income, single = read("adult")
    assert (income.train.y.tolist(), income.test.y.tolist()) == ([0, 1], [1])
    assert (single.train.y.tolist(), single.test.y.tolist()) == ([1, 0], [0])
    assert income.train.x is single.train.x


def test_another_checksum_is_refused_and_nothing_is_kept(bare, monkeypatch):
    publish(bare, monkeypatch, "medmnist/pneumoniamnist.npz", b"other", "md5:" + "0" * 32)
    with pytest.raises(ValueError, match=r"md5 of file:.* should be 0{32}; found [0-9a-f]{32}; try again"):
        read("medmnist:pneumonia")
    assert not [p for p in (bare / "cache").rglob("*") if p.is_file()]


def test_offline_names_both_ways(bare, monkeypatch):
    gone = home.Source((bare / "gone").as_uri(), "md5:0")
    monkeypatch.setitem(home.SOURCES, "mnist/train-images-idx3-ubyte.gz", gone)
    with pytest.raises(FileNotFoundError, match=r"set HEADSTART_DATA to a folder with .*, or be online once"):
        read("mnist")
    assert not (bare / "cache").exists()


def test_a_set_without_a_public_file_says_so(bare, monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", str(bare / "elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"omniglot28.npz`; being online does not help"):
        read("omniglot:train")


def test_published_checksums_are_well_formed():
    for source in home.SOURCES.values():
        method, _, digest = source.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(method, usedforsecurity=False).digest_size
        assert source.url.startswith("https://")
