"""Amazon reviews: sentiment in four domains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...errors import unknown
from ...tasks import Labelled, Multiclass, Task
from ..options import Options, Reader
from ..readers.arrays import ArrayEncoding
from .home import locate
from .recipe import GITHUB, Content, Recipe, Source

DOMAINS = ("books", "dvd", "electronics", "kitchen")


def read(argument: str, options: Options) -> list[Task]:
    """Read ``amazon_reviews:books``, ``dvd``, ``electronics`` or ``kitchen``: sentiment of reviews.

    Rows are ``log(1 + count)`` of the 5,000 commonest words and word pairs, the same columns for all
    four domains, dense: 2,000 train rows and 3,586 to 5,945 test rows.

    References:
        Blitzer et al. (ACL 2007), https://aclanthology.org/P07-1056/;
        Chen et al. (ICML 2012), whose features these are, https://arxiv.org/abs/1206.4683
    """
    from scipy.sparse import csr_matrix

    if argument not in DOMAINS:
        raise unknown("domain of `amazon_reviews`", argument, DOMAINS)
    parts = {}
    with np.load(locate("amazon_reviews/amazon4_5000.npz", RECIPES), allow_pickle=False) as z:
        for part in ("train", "test"):
            data, indices, indptr, shape, y = (
                z[f"{argument}_{part}_{key}"] for key in ("data", "indices", "indptr", "shape", "y")
            )
            counts = csr_matrix(
                (data.astype(np.float32), indices.astype(np.int32), indptr), shape=tuple(shape)
            )
            parts[part] = Labelled(
                torch.from_numpy(counts.log1p().toarray()), torch.from_numpy((y > 0).astype(np.int64))
            )
    kind = Multiclass(["negative", "positive"])
    name = f"amazon_reviews_{argument}"
    encoding = ArrayEncoding(reader="npz", keys=("x",), shape=(5000,)).asking(name, kind)
    return [Task(name, kind, **parts, encoding=encoding)]  # type: ignore[arg-type]


def make(raw: Sequence[Path]) -> list[Content]:
    """Read the counts of eight svmlight files, train and test of each domain, as the parts of CSR."""
    from sklearn.datasets import load_svmlight_file

    made = {}
    for name, path in zip([f"{d}_{p}" for d in DOMAINS for p in ("train", "test")], raw, strict=True):
        x, y = load_svmlight_file(str(path), n_features=5000, zero_based=True)
        made[f"{name}_data"] = x.data.astype(np.uint16)
        made[f"{name}_indices"] = x.indices.astype(np.uint16)
        made[f"{name}_indptr"] = x.indptr.astype(np.int32)
        made[f"{name}_shape"] = np.array(x.shape)
        made[f"{name}_y"] = y.astype(np.int8)
    return [made]


_CHECKSUMS = {
    "books_train": "317f9a2ec34b81de770b63a84d8c5cc2dc16bd0be6e079d2ff5b5bad5213ea19",
    "books_test": "fe4605c7dcf0e0a9410fd2a32f247caaf9abb352cc6e4c3e0f400853163ad9c4",
    "dvd_train": "95f602aa08bf6b55758f7b0b18df3882fe30acb11987ee60b6b4bb3c44cba733",
    "dvd_test": "4fe1b1a15010f78d8d0c49fe362d35fd4677463a45f1ac02a9f410ae1e638060",
    "electronics_train": "7d0061f03ff3827e4f8036b051b5e5828fddc0cd115aa5b212cd28d624dc14e4",
    "electronics_test": "113cacb69c7ddd083181f0243a72154966313b28efec46ce5bc8c6c9de993359",
    "kitchen_train": "a70b5ebfe1413e0e16280360905f5c3b64389c435cd20c0165dc9d7f293b31b5",
    "kitchen_test": "e1502b97a824eb12314be4447394fa736fecb781c0724e6529cd6733ac7ff6d8",
}
RECIPES = (
    Recipe(
        ("amazon_reviews/amazon4_5000.npz",),
        tuple(
            Source(
                f"{GITHUB}GRAAL-Research/domain_adversarial_neural_network/master/data/{name}.svmlight",
                f"sha256:{checksum}",
            )
            for name, checksum in _CHECKSUMS.items()
        ),
        make,
    ),
)

READER = Reader(read, 'sentiment, 4 domains: "amazon_reviews:books"')
