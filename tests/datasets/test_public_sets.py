import csv
import gzip
import hashlib
import io
import json
import lzma
import os

import numpy as np
import pytest
import torch

from headstart.datasets import SplitSpec, encode, read
from headstart.datasets.sets import (
    amazon_reviews,
    assays,
    clinc150,
    fdu_mtl,
    home,
    school,
    snips,
    text_cls,
    wnut17,
)
from headstart.datasets.sets.recipe import digest
from headstart.tasks import Binary, Multiclass, Regression, Tokens, episodes

pytestmark = pytest.mark.skipif(
    not os.environ.get("HEADSTART_DATA"), reason="set HEADSTART_DATA to the folder of the real sets"
)


@pytest.mark.parametrize(
    ("reference", "kind", "classes", "shape", "sizes"),
    [
        ("usps", Multiclass, 10, (1, 16, 16), (7291, None, 2007)),
        ("usps:28", Multiclass, 10, (1, 28, 28), (7291, None, 2007)),
        ("mnist", Multiclass, 10, (1, 28, 28), (60000, None, 10000)),
        ("omniglot:train", Multiclass, 1028, (1, 28, 28), (20560, None, None)),
        ("omniglot:valid", Multiclass, 172, (1, 28, 28), (3440, None, None)),
        ("omniglot:test", Multiclass, 423, (1, 28, 28), (8460, None, None)),
        ("amazon_reviews:kitchen", Multiclass, 2, (5000,), (2000, None, 5945)),
        ("medmnist:pneumonia", Binary, 1, (1, 28, 28), (4708, 524, 624)),
        ("clinc150", Multiclass, 150, (28,), (15000, 3000, 4500)),
        ("clinc150:small", Multiclass, 150, (28,), (7500, 3000, 4500)),
        ("clinc150:banking", Multiclass, 15, (22,), (1500, 300, 450)),
        ("wnut17", Tokens, 13, (105,), (3394, 1009, 1287)),
        ("ud_ewt", Tokens, 17, (159,), (12544, 2001, 2077)),
        ("text_cls:TREC", Multiclass, 6, (37,), (5452, None, 500)),
        ("text_cls:SST-1", Multiclass, 5, (52,), (8544, 1101, 2210)),
    ],
)
def test_sizes_are_those_of_the_publishers(reference, kind, classes, shape, sizes):
    (task,) = read(reference)
    assert isinstance(task.kind, kind)
    assert task.kind.outputs == classes
    assert tuple(task.train.x.shape[1:]) == shape
    assert tuple(p and len(p) for p in (task.train, task.valid, task.test)) == sizes
    if task.train.x.is_floating_point() and len(shape) == 3:
        assert (float(task.train.x.min()), float(task.train.x.max())) == (0, 1)
        assert task.encoding.shape == shape


def test_mnist_in_colour_and_its_relative():
    assert read("usps:3x8x8")[0].train.x.shape == (7291, 3, 8, 8)
    assert read("usps", resize=(8, 4))[0].test.x.shape == (2007, 1, 8, 4)


@pytest.mark.slow
def test_mnistm():
    (task,) = read("mnistm")
    assert task.train.x.shape == (20000, 3, 32, 32)
    assert len(task.test) == 9001


def test_episodes_of_omniglot():
    (task,) = read("omniglot:test+rotations")
    assert task.kind.outputs == 4 * 423
    stream = episodes(task, ways=5, shots=1, queries=5, per_step=2, generator=torch.Generator())
    assert next(stream).support.x.shape == (2, 5, 1, 28, 28)


def test_school_is_139_regressions():
    tasks = read("school", split=SplitSpec(test=0.25))
    assert len(tasks) == 139
    assert all(isinstance(t.kind, Regression) for t in tasks)
    assert sum(len(t.train) + len(t.test) for t in tasks) == 15362
    assert sum(len(t.test) for t in tasks) == round(0.25 * 15362)
    assert [t.name for t in read("school:1,139")] == ["school_1", "school_139"]


def test_adult_is_two_tasks_on_one_tensor():
    income, single = read("adult")
    assert income.train.x is single.train.x
    assert (len(income.train), len(income.test)) == (32561, 16281)
    assert float(income.train.y.mean()) == pytest.approx(0.2408, abs=1e-4)
    assert not {"income", "marital-status"} & set(income.encoding.features)


def test_adult_is_two_sites_with_other_columns_and_rows():
    (here,), (there,) = (read(f"adult:{site}#income") for site in ("here", "there"))
    assert (len(here.train), len(here.unlabelled), len(here.test), len(there.train)) == (
        2000,
        2000,
        4000,
        4000,
    )
    both = set(here.encoding.features) & set(there.encoding.features)
    assert (len(both), len(here.encoding.features), len(there.encoding.features)) == (7, 10, 10)
    assert here.train.x.shape[1] == len(here.encoding.feature_names())
    (whole,) = read("adult#income")
    at = here.encoding.division["train"]
    assert not set(at.tolist()) & set(there.encoding.division["train"].tolist())
    age = whole.encoding.feature_names().index("age")
    assert torch.equal(here.train.x[:, 0], whole.train.x[at, age])
    assert torch.equal(here.train.y, whole.train.y[at])


@pytest.mark.parametrize(
    ("reference", "count"), [("tox21", 12), ("sider", 27), ("clintox", 2), ("tox21:random", 12)]
)
def test_assays_share_their_fingerprints(reference, count):
    tasks = read(reference)
    assert len(tasks) == count
    assert all(t.train.x is tasks[0].train.x for t in tasks)
    assert tasks[0].train.x.shape[1] == 1024
    assert tasks[0].train.x.unique().tolist() == [0, 1]
    assert any(t.train.y.isnan().any() for t in tasks) == reference.startswith("tox21")


def test_snips_has_intents_and_slots():
    intent, slots = read("snips")
    assert intent.train.x is slots.train.x
    assert (intent.kind.outputs, slots.kind.outputs) == (7, 72)
    assert ((slots.train.x == 0) == (slots.train.y == -100)).all()


def test_fdu_domains_share_a_vocabulary():
    books, dvd = read("fdu_mtl:books,dvd")
    assert (len(books.train), len(books.test), len(books.unlabelled)) == (1600, 400, 2000)
    assert books.encoding.vocabulary == dvd.encoding.vocabulary
    assert books.kind == Multiclass(["negative", "positive"])


def test_new_text_is_cut_as_the_corpus_was(tmp_path):
    (task,) = read("text_cls:MR")
    (tmp_path / "new.txt").write_text("simplistic , silly and tedious .\n")
    x = encode("new.txt", task.encoding, base=tmp_path)
    assert (x[0, :6] > 1).all()
    assert x.shape == (1, task.train.x.shape[1])
    assert len(task.test) == round(0.2 * 10662)


def public_form(file, text):
    """Undo what a folder of the user's did to a published file: the indentation of CLINC150."""
    if not file.startswith("clinc150"):
        return text
    return json.dumps(json.loads(text), indent=4, separators=(", ", ": ")).encode()


def test_the_domains_of_clinc150_hold_each_intent_once():
    (task,) = read("clinc150:small")
    assert sorted(intent for intents in clinc150.DOMAINS.values() for intent in intents) == list(
        task.kind.classes
    )
    with pytest.raises(ValueError, match='did you mean "banking"'):
        read("clinc150:bankng")


def test_text_is_what_is_published():
    recipes = [*clinc150.RECIPES, *wnut17.RECIPES, *text_cls.RECIPES]
    assert len(recipes) == 19
    for recipe in recipes:
        text = lzma.decompress(home.locate(recipe.files[0], [recipe]).read_bytes())
        found = hashlib.sha256(public_form(recipe.files[0], text)).hexdigest()
        assert recipe.sources[0].checksum == f"sha256:{found}", recipe.files[0]


def test_amazon_reviews_are_what_is_published():
    (recipe,) = amazon_reviews.RECIPES
    with np.load(home.locate(recipe.files[0], [recipe])) as z:
        names = [f"{domain}_{part}" for domain in amazon_reviews.DOMAINS for part in ("train", "test")]
        for name, source in zip(names, recipe.sources, strict=True):
            data, indices, indptr, y = (z[f"{name}_{key}"] for key in ("data", "indices", "indptr", "y"))
            cells = [f"{i}:{v}" for i, v in zip(indices, data, strict=True)]
            rows = [" ".join([str(y[k]), *cells[indptr[k] : indptr[k + 1]]]) + "\n" for k in range(len(y))]
            found = hashlib.sha256("".join(rows).encode()).hexdigest()
            assert source.checksum == f"sha256:{found}", name


def test_rows_without_a_published_checksum_are_the_known_ones():
    (recipe,) = school.RECIPES
    assert digest([home.arrays(recipe.files[0], [recipe])]) == recipe.content
    for recipe in (*snips.RECIPES, *fdu_mtl.RECIPES):
        texts = [lzma.decompress(home.locate(file, [recipe]).read_bytes()).decode() for file in recipe.files]
        contents = [
            "\n".join(
                "\t".join(" ".join(cell.split()) for cell in row.split("\t")) for row in text.split("\n")
            ).encode()
            for text in texts
        ]
        assert digest(contents) == recipe.content, recipe.files


@pytest.mark.parametrize("name", ["tox21", "sider", "clintox"])
def test_molecules_become_the_known_fingerprints_and_scaffolds(name, tmp_path):
    pytest.importorskip("rdkit")
    known = home.arrays(f"tox21/{name}_ecfp4_1024.npz", assays.RECIPES)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow([*known["tasks"], "smiles"])
    writer.writerows(
        [*("" if v == 255 else v for v in y), s] for y, s in zip(known["y"], known["smiles"], strict=True)
    )
    (tmp_path / "raw.csv.gz").write_bytes(gzip.compress(table.getvalue().encode()))
    (made,) = assays.make([tmp_path / "raw.csv.gz"])
    assert set(made) == set(known)
    for key, array in known.items():
        assert np.array_equal(made[key], array), key
