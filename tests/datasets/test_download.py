"""What is published of each set becomes its tasks, once, whole, and checked; nothing here is online."""

import bz2
import dataclasses
import gzip
import hashlib
import importlib
import io
import json
import pkgutil
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.datasets import read, sets
from headstart.datasets.sets import omniglot
from headstart.datasets.sets.download import Source
from headstart.datasets.sets.recipe import digest

FILES = [importlib.import_module(f"{sets.__name__}.{m.name}") for m in pkgutil.iter_modules(sets.__path__)]
SETS = [module for module in FILES if "RECIPES" in vars(module)]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path


def recipe_of(file):
    """Find the set that a file is of, and its recipe."""
    return next((module, r) for module in SETS for r in module.RECIPES if file in r.files)


def swap(monkeypatch, file, **changes):
    module, recipe = recipe_of(file)
    changed = [dataclasses.replace(r, **changes) if r is recipe else r for r in module.RECIPES]
    monkeypatch.setattr(module, "RECIPES", changed)


def publish(folder, monkeypatch, file, contents):
    """Stand in for the public files of the set that ``file`` belongs to."""
    (_, recipe), sources = recipe_of(file), []
    assert len(contents) == len(recipe.sources)
    for number, (source, content) in enumerate(zip(recipe.sources, contents, strict=True)):
        path = folder / "public" / str(number) / source.url.rpartition("/")[2].partition("?")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        sources.append(Source(path.as_uri(), checksum if source.checksum else ""))
    content = recipe.content
    if content:
        raw = [folder / "public" / str(n) / s.url.rpartition("/")[2] for n, s in enumerate(sources)]
        content = digest(recipe.make(raw))
    swap(monkeypatch, file, sources=tuple(sources), content=content)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def idx(array):
    return gzip.compress(
        struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    )


def test_mnist_is_downloaded_once_and_read_from_the_cache(bare, monkeypatch):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for n in (30, 10)]
    labels = [(np.arange(len(pixels)) % 10).astype(np.uint8) for pixels in images]
    publish(
        bare,
        monkeypatch,
        "mnist/mnist.npz",
        [idx(a) for pair in zip(images, labels, strict=True) for a in pair],
    )
    (task,) = read("mnist")
    assert task.train.x.shape == (30, 1, 28, 28)
    assert np.allclose(task.test.x[:, 0].numpy() * 255, images[1])
    assert task.train.y.tolist() == labels[0].tolist()
    assert files(bare / "cache") == [bare / "cache/mnist/mnist.npz"]
    for path in files(bare / "public"):
        path.unlink()
    assert len(read("mnist")[0].train) == 30


def test_usps(bare, monkeypatch):
    row = "7 " + " ".join(f"{k}:{-1 if k < 256 else 0.999}" for k in range(1, 257)) + "\n"
    publish(bare, monkeypatch, "usps/usps.npz", [bz2.compress((row * n).encode()) for n in (3, 2)])
    (task,) = read("usps")
    assert (task.train.y.tolist(), len(task.test)) == ([6, 6, 6], 2)
    assert float(task.train.x[0, 0, 0, 0]) == 0
    assert float(task.train.x[0, 0, 15, 15]) == pytest.approx((0.999 + 1) / 2)


def test_omniglot(bare, monkeypatch):
    def drawing(stroke):
        paper = np.full((105, 105), True)
        paper[stroke : stroke + 6] = False
        return png(paper)

    background = {
        f"images_background/{alphabet}/character0{c}/00{c}_{drawer:02}.png": drawing(10 * c + drawer)
        for alphabet in ("Zeta", "Bengali")
        for c in (1, 2)
        for drawer in (2, 1)
    }
    evaluation = {f"images_evaluation/Ulog/character0{c}/01_01.png": drawing(50) for c in (1, 2, 3)}
    monkeypatch.setattr(omniglot, "TEST", 2)
    publish(bare, monkeypatch, "omniglot/omniglot28.npz", [zipped(background), zipped(evaluation)])
    train, valid, test = (read(f"omniglot:{part}")[0] for part in ("train", "valid", "test"))
    assert train.kind.classes == ("Zeta/character01", "Zeta/character02", "Ulog/character01")
    assert valid.kind.classes == ("Bengali/character01", "Bengali/character02")
    assert test.kind.classes == ("Ulog/character02", "Ulog/character03")
    assert train.train.x.shape == (5, 1, 28, 28)
    rows = train.train.x[:, 0].mean(2)
    height = (rows * torch.arange(28)).sum(1) / rows.sum(1)  # of each drawing's one stroke
    assert height.argsort().tolist() == [0, 1, 2, 3, 4]
    assert height[0] == pytest.approx((11 + 2.5) * 28 / 105 - 0.5, abs=0.3)
    assert float(train.train.x.min()) == 0  # paper; ink is near 1
    assert float(train.train.x.max()) > 0.9


def test_mnistm(bare, monkeypatch):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    members = {
        "mnist_m/mnist_m_train/00000001.png": png(pixels[1]),
        "mnist_m/mnist_m_test/00000000.png": png(pixels[2]),
        "mnist_m/mnist_m_train_labels.txt": b"00000000.png 5\n00000001.png 0\n",
        "mnist_m/mnist_m_train/00000000.png": png(pixels[0]),
        "mnist_m/mnist_m_test_labels.txt": b"00000000.png 7\n",
    }
    publish(bare, monkeypatch, "mnistm/mnistm_train.npz", [tarred(members)])
    (task,) = read("mnistm")
    assert (task.train.y.tolist(), task.test.y.tolist()) == ([5, 0], [7])
    assert np.allclose(task.train.x.permute(0, 2, 3, 1).numpy() * 255, pixels[:2], atol=1e-4)


def test_amazon_reviews(bare, monkeypatch):
    contents = [f"1 0:{n} 4999:2\n-1 7:1\n".encode() for n in range(1, 9)]
    publish(bare, monkeypatch, "amazon_reviews/amazon4_5000.npz", contents)
    (task,) = read("amazon_reviews:kitchen")
    assert task.train.y.tolist() == [1, 0]
    assert task.train.x[0, [0, 4999]].expm1().tolist() == pytest.approx([7, 2])
    assert task.test.x[0, 0].expm1().item() == pytest.approx(8)


def test_school(bare, monkeypatch):
    from scipy.io import savemat

    rng = np.random.default_rng(2)
    x, y = np.empty((1, 3), object), np.empty((1, 3), object)
    for k, count in enumerate((8, 12, 4)):
        x[0, k], y[0, k] = rng.integers(0, 90, (count, 28)).astype(float), np.arange(count)[:, None] + 1.0
    buffer = io.BytesIO()
    savemat(buffer, {"X": x, "Y": y})
    publish(bare, monkeypatch, "school/school.npz", [buffer.getvalue()])
    tasks = read("school")
    assert [sum(map(len, filter(None, (t.train, t.valid, t.test)))) for t in tasks] == [8, 12, 4]
    assert tasks[1].train.x.shape[1] == 28


def test_assays(bare, monkeypatch):
    pytest.importorskip("rdkit")
    rings = ["c1ccccc1", "Cc1ccccc1", "CCc1ccccc1", "Oc1ccccc1", "Nc1ccccc1", "Clc1ccccc1", "Brc1ccccc1"]
    smiles = [*rings, "C1CCNCC1", "not a molecule", "C1CCOC1", "CCO"]
    lines = ["NR-AR,SR-p53,mol_id,smiles", *(f"{k % 2}.0,,T{k},{s}" for k, s in enumerate(smiles))]
    publish(bare, monkeypatch, "tox21/tox21_ecfp4_1024.npz", [gzip.compress("\n".join(lines).encode())])
    first, empty = read("tox21:random")
    assert (first.name, empty.name) == ("NR-AR", "SR-p53")
    rows = read("tox21")[0]
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (8, 1, 1)  # the seven rings go together
    assert rows.train.x.shape == (8, 1024)
    assert empty.train.y.isnan().all()


def test_adult(bare, monkeypatch):
    row = (
        "39, {}, 77516, Bachelors, 13, {}, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, Cuba, {}\n"
    )
    train = row.format("Private", "Never-married", "<=50K") + row.format("?", "Divorced", ">50K") + "\n"
    test = "|1x3 Cross validator\n" + row.format("Private", "Divorced", ">50K.")
    publish(bare, monkeypatch, "adult/adult.train.csv.xz", [train.encode(), test.encode()])
    with pytest.warns(UserWarning, match="left out: one value in all training rows"):
        income, single = read("adult")
    assert (income.train.y.tolist(), income.test.y.tolist()) == ([0, 1], [1])
    assert (single.train.y.tolist(), single.test.y.tolist()) == ([1, 0], [0])
    assert income.train.x is single.train.x


def test_snips(bare, monkeypatch):
    part = [b"PlayMusic\r\nGetWeather\n", b"play  it \r\nrain in oslo\n", b"O O \nO O B-city\n"]
    publish(bare, monkeypatch, "snips/snips_train.tsv.xz", part * 3)
    intent, slots = read("snips")
    assert intent.kind.classes == ("GetWeather", "PlayMusic")
    assert (intent.train.y.tolist(), slots.train.y[1].tolist()) == ([1, 0], [1, 1, 0])


def test_fdu_mtl(bare, monkeypatch):
    members = {"mtl-dataset/._books.task.train": b"junk", "mtl-dataset/readme.txt": b"junk"}
    for domain in ("books", "MR"):
        members[f"mtl-dataset/{domain}.task.train"] = b"\xef\xbb\xbf1\tgood  one\n0\tbad clich\xe9d\n\n"
        members[f"mtl-dataset/{domain}.task.test"] = b"0\tbad\n"
        members[f"mtl-dataset/{domain}.task.unlabel"] = b"who knows\nnobody\n"
    publish(bare, monkeypatch, "fdu_mtl/fdu_mtl_labelled.tsv.xz", [tarred(members)])
    first, books = read("fdu_mtl")
    assert (first.name, books.name) == ("fdu_mtl_MR", "fdu_mtl_books")
    assert (books.train.y.tolist(), books.test.y.tolist(), len(books.unlabelled)) == ([1, 0], [0], 2)


def test_ud_ewt(bare, monkeypatch):
    sentence = (
        "# newdoc id = weblog-a\n# sent_id = weblog-a-0001\n# text = Don't go\n"
        "1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_\n2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n"
        "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n3.1\tx\tx\tNOUN\tNN\t_\t_\t_\t_\t_\n\n"
    )
    email = sentence.replace("weblog", "email")
    publish(bare, monkeypatch, "ud_ewt/dev.tsv.xz", [(sentence + email).encode()] * 3)
    (task,) = read("ud_ewt:email")
    assert (len(task.train), len(task.valid), len(task.test)) == (1, 1, 1)
    assert [task.kind.classes[k] for k in task.train.y[0]] == ["AUX", "PART", "VERB"]


def test_verbatim_text(bare, monkeypatch):
    rows = [["turn it up", "volume"], ["where am i", "location"]]
    data = {"train": rows, "val": rows, "test": rows[:1], "oos_train": []}
    publish(bare, monkeypatch, "clinc150/data_small.json.xz", [json.dumps(data, indent=4).encode()])
    (task,) = read("clinc150:small")
    assert (task.train.y.tolist(), len(task.test)) == ([1, 0], 1)


def test_another_checksum_is_refused_and_nothing_is_kept(bare, monkeypatch):
    (bare / "file.npz").write_bytes(b"other")
    source = Source((bare / "file.npz").as_uri(), "md5:" + "0" * 32)
    swap(monkeypatch, "medmnist/pneumoniamnist.npz", sources=(source,))
    with pytest.raises(ValueError, match=r"md5 of file:.* should be 0{32}; found [0-9a-f]{32}; try again"):
        read("medmnist:pneumonia")
    assert not files(bare / "cache")


def test_where_no_checksum_is_published_the_rows_are_checked(bare, monkeypatch):
    publish(bare, monkeypatch, "snips/snips_train.tsv.xz", [b"PlayMusic\n", b"play it\n", b"O O\n"] * 3)
    next(path for path in files(bare / "public") if path.name == "seq.in").write_bytes(b"play that\n")
    with pytest.raises(ValueError, match=r"sha256 of the rows of .*; found [0-9a-f]{64}; try again"):
        read("snips")
    assert not files(bare / "cache")


def test_what_cannot_be_read_says_what_was_found(bare, monkeypatch):
    publish(bare, monkeypatch, "fdu_mtl/fdu_mtl_labelled.tsv.xz", [tarred({})])
    (archive,) = files(bare / "public")
    archive.write_bytes(b"<html>moved</html>")
    with pytest.raises(ValueError, match=r"files of the published form; found ReadError"):
        read("fdu_mtl")


@pytest.mark.parametrize(
    "reference",
    [
        "mnist", "usps", "omniglot:train", "mnistm", "medmnist:pneumonia", "amazon_reviews:dvd", "school",
        "tox21", "sider", "clintox", "adult", "snips", "fdu_mtl", "clinc150", "ud_ewt", "wnut17",
        "text_cls:MR", "text_cls:SUBJ", "text_cls:CR", "text_cls:MPQA", "text_cls:SST-1", "text_cls:SST-2",
        "text_cls:TREC",
    ],
)  # fmt: skip
def test_offline_names_both_ways(bare, monkeypatch, reference):
    gone = Source((bare / "gone").as_uri(), "md5:0")
    for module in SETS:
        closed = [dataclasses.replace(r, sources=(gone,) * len(r.sources), needs=()) for r in module.RECIPES]
        monkeypatch.setattr(module, "RECIPES", closed)
    with pytest.raises(FileNotFoundError, match=r"set HEADSTART_DATA to a folder with .*, or be online once"):
        read(reference)
    assert not files(bare / "cache")


def test_what_reads_the_files_is_asked_for_before_they_are_fetched(bare, monkeypatch):
    _, recipe = recipe_of("tox21/sider_ecfp4_1024.npz")
    assert recipe.needs == (("rdkit", "molecules"),)
    swap(monkeypatch, "tox21/sider_ecfp4_1024.npz", needs=(("no_such_module", "molecules"),), sources=())
    with pytest.raises(ImportError, match=r"no_such_module.*headstart\[molecules\]"):
        read("sider")


def test_published_checksums_are_well_formed():
    for recipe in (r for module in SETS for r in module.RECIPES):
        assert len(recipe.content) in (0, 64)
        for source in recipe.sources:
            assert source.url.startswith(("https://", "http://deepchem.io"))
            assert bool(source.checksum) != bool(recipe.content)  # one of the two, always
            if source.checksum:
                method, _, digest = source.checksum.partition(":")
                assert len(digest) == 2 * hashlib.new(method, usedforsecurity=False).digest_size
