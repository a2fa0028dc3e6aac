"""Tox21, SIDER and ClinTox: assays of molecules."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...errors import unknown
from ...progress import Bar
from ...tasks import Binary, Task
from ..options import Options, Reader
from ..readers.arrays import ArrayEncoding
from ..splits import build, divide
from .home import arrays
from .recipe import Content, Recipe, Source


def read(argument: str, options: Options, *, name: str) -> list[Task]:
    """Read ``tox21``, ``sider`` or ``clintox``: a yes-or-no task per assay on one tensor, with gaps.

    Rows are 1024-bit ECFP4 fingerprints. The parts are those of the scaffold split;
    ``tox21:random`` lets ``split`` divide the rows. What is downloaded of Tox21 are 7,831
    molecules; older copies, which a folder of the user's may hold, have some 170 more.

    References:
        Wu et al. (Chemical Science 2018), https://arxiv.org/abs/1703.00564
    """
    if argument not in ("", "scaffold", "random"):
        raise unknown(f"split of `{name}`", argument, ["scaffold", "random"])
    z = arrays(f"tox21/{name}_ecfp4_1024.npz", RECIPES)
    x = torch.from_numpy(np.unpackbits(z["ecfp"], axis=1)).float()
    y = torch.from_numpy(z["y"].astype(np.float32))
    y[y == 255] = torch.nan
    if argument == "random":
        division = divide(options.split, len(x))
    else:
        parts = enumerate(("train", "valid", "test"))
        division = {part: torch.from_numpy(np.flatnonzero(z["scaffold_split"] == k)) for k, part in parts}
    targets = [(str(assay), Binary(("inactive", "active")), y[:, k]) for k, assay in enumerate(z["tasks"])]
    return build(targets, x, division, ArrayEncoding(reader="npz", keys=("x",), shape=(x.shape[1],)))


def make(raw: Sequence[Path]) -> list[Content]:
    """Make ECFP4 fingerprints of 1024 bits and the scaffold split; unreadable molecules are left out.

    Scaffolds go whole into train, valid or test, the larger first, until 80, 90 and 100 per cent of
    the molecules are reached.

    References:
        Rogers & Hahn (JCIM 2010), https://doi.org/10.1021/ci100050t;
        Wu et al. (Chemical Science 2018), section 3.2, https://arxiv.org/abs/1703.00564
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    rows = list(csv.DictReader(io.StringIO(gzip.decompress(raw[0].read_bytes()).decode())))
    tasks = [name for name in rows[0] if name not in ("smiles", "mol_id")]
    generator = GetMorganGenerator(radius=2, fpSize=1024)
    kept: list[dict[str, str]] = []
    bits: list[np.ndarray] = []
    scaffolds: dict[str, list[int]] = defaultdict(list)
    with rdBase.BlockLogs(), Bar(raw[0].name, len(rows), unit="molecule") as bar:
        for done, row in enumerate(rows, 1):
            if (molecule := Chem.MolFromSmiles(row["smiles"])) is not None:
                scaffolds[MurckoScaffoldSmiles(mol=molecule)].append(len(kept))
                bits.append(generator.GetFingerprintAsNumPy(molecule))
                kept.append(row)
            bar.show(done)
    y = [[255 if row[task] == "" else int(float(row[task])) for task in tasks] for row in kept]
    return [
        {
            "ecfp": np.packbits(np.stack(bits).astype(bool), axis=1),
            "y": np.array(y, np.uint8),
            "tasks": np.array(tasks),
            "smiles": np.array([row["smiles"] for row in kept]),
            "scaffold_split": _scaffold_split(list(scaffolds.values()), len(kept)),
        }
    ]


def _scaffold_split(scaffolds: list[list[int]], count: int) -> np.ndarray:
    """Fill train (0), then valid (1), then test (2) with whole scaffolds, the larger and later first."""
    split = np.zeros(count, np.uint8)
    train = valid = 0
    for rows in sorted(scaffolds, key=lambda rows: (len(rows), rows[0]), reverse=True):
        if train + len(rows) <= 0.8 * count:
            train += len(rows)
        elif train + valid + len(rows) <= 0.9 * count:
            valid += len(rows)
            split[rows] = 1
        else:
            split[rows] = 2
    return split


_HOME = "http://deepchem.io.s3-website-us-west-1.amazonaws.com/datasets/"
RECIPES = tuple(
    Recipe(
        (f"tox21/{name}_ecfp4_1024.npz",),
        (Source(f"{_HOME}{name}.csv.gz", f"md5:{checksum}"),),
        make,
        needs=(("rdkit", "molecules"),),
    )
    for name, checksum in (
        ("tox21", "2882d69e70bba0fec14995f26787cc25"),
        ("sider", "77c0ef421f7cc8ce963c5836c8761fd2"),
        ("clintox", "db4f2df08be8ae92814e9d6a2d015284"),
    )
)

TOX21 = Reader(partial(read, name="tox21"), '12 toxicity assays with gaps: "tox21#NR-AR"')
SIDER = Reader(partial(read, name="sider"), '27 kinds of side effects: "sider"')
CLINTOX = Reader(partial(read, name="clintox"), 'approval and toxicity of drugs: "clintox"')
