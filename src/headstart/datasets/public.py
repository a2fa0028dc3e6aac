"""The benchmark sets of images and tables.

Every set keeps the test part that its publishers gave it. Pixels are float32 in [0, 1]. An image set
takes a size after its name: ``usps:28`` (or ``resize=28``), and ``mnist:3x32x32`` with channels.

Shapes: ``N`` rows, ``C`` channels, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import io
import itertools
import lzma
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import unknown, wrong
from ..tasks import Binary, Labelled, Multiclass, Regression, Task
from .home import find, locate
from .options import Options, need
from .published import AMAZON
from .splits import build, described, divide
from .tables import Table, features, fit_features, parse_csv

DIGITS = tuple(range(10))


def _load(file: str) -> dict[str, np.ndarray]:
    with np.load(locate(file), allow_pickle=False) as archive:
        return dict(archive)


def resized(x: Tensor, size: str) -> Tensor:
    """Bring pixels ``(N, C, H, W)`` to ``"28"`` (square), ``"28x20"`` or ``"3x32x32"``.

    Bilinear with antialiasing; grey is repeated as RGB, RGB becomes luminance.

    Raises:
        ValueError: if the size is not understood.
    """
    if not size:
        return x
    numbers = [int(n) if n.isdigit() else 0 for n in size.split("x")]
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    channels, high, wide = (x.shape[1], *numbers) if len(numbers) == 2 else (*numbers, 0)[:3]
    if len(numbers) > 3 or min(high, wide) < 1 or channels not in (1, 3):
        raise wrong("size of images", expected='as in "28" or "3x32x32"', found=f'"{size}"')
    if x.shape[1] == 3 and channels == 1:
        x = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    if x.shape[2:] != (high, wide):
        blocks = x.split(4096)
        x = torch.cat(
            [F.interpolate(b, (high, wide), mode="bilinear", antialias=True).clamp(0, 1) for b in blocks]
        )
    return x.repeat(1, 3, 1, 1) if channels > x.shape[1] else x


def _size(argument: str, options: Options) -> str:
    if options.resize is None or argument:
        return argument
    return str(options.resize) if isinstance(options.resize, int) else "x".join(map(str, options.resize))


def _pictures(name: str, size: str, parts: Mapping[str, tuple[Tensor, np.ndarray]]) -> list[Task]:
    labelled = {}
    for part, (pixels, labels) in parts.items():
        x = resized(pixels[:, None] if pixels.ndim == 3 else pixels, size)
        labelled[part] = Labelled(x, torch.from_numpy(labels.astype(np.int64)))
    shape = list(labelled["train"].x.shape[1:])  # type: ignore[union-attr]
    encoding = {"reader": "images", "shape": shape} | described(name, Multiclass(DIGITS))
    return [Task(name, Multiclass(DIGITS), **labelled, encoding=encoding)]  # type: ignore[arg-type]


def _unit(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).float().div_(255)


def read_mnist(argument: str, options: Options) -> list[Task]:
    """Read ``mnist``: 60,000 and 10,000 digits of 28 x 28.

    References:
        LeCun et al. (Proc. IEEE 1998), https://doi.org/10.1109/5.726791
    """
    z = _load("mnist/mnist.npz")
    parts = {part: (_unit(z[f"x_{part}"]), z[f"y_{part}"]) for part in ("train", "test")}
    return _pictures("mnist", _size(argument, options), parts)


def read_usps(argument: str, options: Options) -> list[Task]:
    """Read ``usps``: 7,291 and 2,007 digits of 16 x 16 from another scanner.

    References:
        Hull (PAMI 1994), https://doi.org/10.1109/34.291440
    """
    z = _load("usps/usps.npz")
    parts = {
        part: (torch.from_numpy(z[f"x_{part}"].astype(np.float32) / z["scale"]), z[f"y_{part}"])
        for part in ("train", "test")
    }
    return _pictures("usps", _size(argument, options), parts)


OMNIGLOT = ("train", "valid", "test")


def read_omniglot(argument: str, options: Options) -> list[Task]:
    """Read ``omniglot:train``, ``:valid`` or ``:test``: 1028, 172 or 423 characters by 20 drawers.

    The split is Vinyals et al.'s. All rows of that part are the task's train rows (28 x 28, ink is
    1), for episodes to draw from; ``+rotations`` adds the turns by 90 degrees as classes.

    References:
        Lake et al. (Science 2015), https://doi.org/10.1126/science.aab3050;
        Vinyals et al. (NeurIPS 2016), https://arxiv.org/abs/1606.04080
    """
    part, _, size = (argument or "train").partition(":")
    if part not in OMNIGLOT:
        raise unknown("part of `omniglot`", part, OMNIGLOT)
    z = _load("omniglot/omniglot28.npz")
    chosen = z["vinyals_split"] == OMNIGLOT.index(part)
    at = chosen[z["labels"]]
    y = torch.from_numpy((np.cumsum(chosen) - 1)[z["labels"][at]])
    x = resized(_unit(z["images"][at])[:, None], _size(size, options))
    classes = [str(c) for c in z["classes"][chosen]]
    name = f"omniglot_{part}"
    encoding = {"reader": "images", "shape": list(x.shape[1:])} | described(name, Multiclass(classes))
    return [Task(name, Multiclass(classes), Labelled(x, y), encoding=encoding)]


def read_amazon_reviews(argument: str, options: Options) -> list[Task]:
    """Read ``amazon_reviews:books``, ``dvd``, ``electronics`` or ``kitchen``: sentiment of reviews.

    Rows are ``log(1 + count)`` of the 5,000 commonest words and word pairs, the same columns for all
    four domains, dense: 2,000 train rows and 3,586 to 5,945 test rows.

    References:
        Blitzer et al. (ACL 2007), https://aclanthology.org/P07-1056/;
        Chen et al. (ICML 2012), whose features these are, https://arxiv.org/abs/1206.4683
    """
    from scipy.sparse import csr_matrix

    if argument not in AMAZON:
        raise unknown("domain of `amazon_reviews`", argument, AMAZON)
    parts = {}
    with np.load(locate("amazon_reviews/amazon4_5000.npz"), allow_pickle=False) as z:
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
    encoding = {"reader": "npz", "keys": ["x"], "shape": [5000]} | described(name, kind)
    return [Task(name, kind, **parts, encoding=encoding)]  # type: ignore[arg-type]


def _strips(webp: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Decode lossless strips of images, one below the other."""
    from PIL import Image

    strips = [webp[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
    return np.concatenate(
        [np.asarray(Image.open(io.BytesIO(s)).convert("RGB")).reshape(-1, 32, 32, 3) for s in strips]
    )


def read_mnistm(argument: str, options: Options) -> list[Task]:
    """Read ``mnistm``: MNIST over photographs, 59,001 and 9,001 of 32 x 32, RGB.

    A folder of the user's may hold the first 20,000 of the train rows alone.

    References:
        Ganin et al. (JMLR 2016), section 5.2.4, https://arxiv.org/abs/1505.07818
    """
    need("PIL", "images")
    few = find("mnistm/mnistm_train20k.npz") and not find("mnistm/mnistm_train.npz")
    parts = {}
    for part, file in (("train", "mnistm_train20k" if few else "mnistm_train"), ("test", "mnistm_test")):
        z = _load(f"mnistm/{file}.npz")
        pixels = z["images"] if "images" in z else _strips(z["webp"], z["offsets"])
        parts[part] = _unit(pixels).permute(0, 3, 1, 2).contiguous(), z["labels"]
    return _pictures("mnistm", _size(argument, options), parts)


def read_medmnist(argument: str, options: Options) -> list[Task]:
    """Read ``medmnist:pneumonia``: chest X-rays, 4,708, 524 and 624 of 28 x 28.

    References:
        Yang et al. (Scientific Data 2023), https://arxiv.org/abs/2110.14795
    """
    part, _, size = argument.partition(":")
    if part != "pneumonia":
        raise unknown("part of `medmnist`", part, ["pneumonia"])
    z = _load("medmnist/pneumoniamnist.npz")
    labelled = {}
    for name, key in (("train", "train"), ("valid", "val"), ("test", "test")):
        x = resized(_unit(z[f"{key}_images"])[:, None], _size(size, options))
        labelled[name] = Labelled(x, torch.from_numpy(z[f"{key}_labels"].reshape(-1).astype(np.float32)))
    kind = Binary(("normal", "pneumonia"))
    encoding = {"reader": "images", "shape": list(labelled["train"].x.shape[1:])}  # type: ignore[union-attr]
    encoding |= described("pneumonia", kind)
    return [Task("pneumonia", kind, **labelled, encoding=encoding)]  # type: ignore[arg-type]


def read_school(argument: str, options: Options) -> list[Task]:
    """Read ``school``: exam scores of pupils of 139 London schools, a regression for each school.

    ``split`` divides the rows, each school alike; published figures use ``SplitSpec(test=0.25)``.
    Features are year, school and pupil attributes as in the file, unscaled but for the two
    percentages, which are divided by 100. ``school:1,2,9`` reads some of them.

    References:
        Argyriou, Evgeniou & Pontil (Machine Learning 2008), section 5.2,
        https://doi.org/10.1007/s10994-007-5040-8
    """
    z = _load("school/school.npz")
    count = int(z["task"].max()) + 1
    asked = [int(s) for s in argument.split(",") if s.isdigit()] if argument else list(range(1, count + 1))
    if not asked or not set(asked) <= set(range(1, count + 1)):
        raise wrong("schools", expected=f"numbers in [1, {count}]", found=f'"{argument}"')
    x = torch.from_numpy(z["x"]) / torch.where(torch.from_numpy(z["x"]).amax(0) > 1, 100.0, 1.0)
    y, school = torch.from_numpy(z["y"]), torch.from_numpy(z["task"].astype(np.int64))
    division = divide(options.split, len(y), school.tolist())
    encoding = {"reader": "npz", "keys": ["x"], "shape": [x.shape[1]]}
    tasks = []
    for number in asked:
        mine = {part: at[school[at] == number - 1] for part, at in division.items()}
        tasks += build([(f"school_{number}", Regression(), y)], x, mine, encoding)
    return tasks


def read_assays(argument: str, options: Options, *, name: str) -> list[Task]:
    """Read ``tox21``, ``sider`` or ``clintox``: a yes-or-no task per assay on one tensor, with gaps.

    Rows are 1024-bit ECFP4 fingerprints. The parts are those of the scaffold split;
    ``tox21:random`` lets ``split`` divide the rows. What is downloaded of Tox21 are 7,831
    molecules; older copies, which a folder of the user's may hold, have some 170 more.

    References:
        Wu et al. (Chemical Science 2018), https://arxiv.org/abs/1703.00564
    """
    if argument not in ("", "scaffold", "random"):
        raise unknown(f"split of `{name}`", argument, ["scaffold", "random"])
    z = _load(f"tox21/{name}_ecfp4_1024.npz")
    x = torch.from_numpy(np.unpackbits(z["ecfp"], axis=1)).float()
    y = torch.from_numpy(z["y"].astype(np.float32))
    y[y == 255] = torch.nan
    if argument == "random":
        division = divide(options.split, len(x))
    else:
        parts = enumerate(("train", "valid", "test"))
        division = {part: torch.from_numpy(np.flatnonzero(z["scaffold_split"] == k)) for k, part in parts}
    targets = [(str(assay), Binary(("inactive", "active")), y[:, k]) for k, assay in enumerate(z["tasks"])]
    return build(targets, x, division, {"reader": "npz", "keys": ["x"], "shape": [x.shape[1]]})


ADULT = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
    "income",
)  # fmt: skip


def _census(part: str) -> Table:
    text = lzma.decompress(locate(f"adult/adult.{part}.csv.xz").read_bytes()).decode()
    return parse_csv(text, f"`adult` ({part})", ADULT)


def read_adult(argument: str, options: Options) -> list[Task]:
    """Read ``adult``: two yes-or-no tasks on one tensor, income over 50K and never married.

    Rows are those of a CSV (numbers standardised by the 32,561 train rows, categories one-hot),
    without the two columns that the tasks ask for.

    References:
        Becker & Kohavi (UCI 1996), https://doi.org/10.24432/C5XW20
    """
    if argument:
        raise wrong("reference to `adult`", expected='"adult" alone', found=f'"adult:{argument}"')
    train, test = _census("train"), _census("test")
    names = [n for n in ADULT if n not in ("income", "marital-status")]
    table = Table({n: [*train.columns[n], *test.columns[n]] for n in ADULT}, "`adult`")
    division = {"train": torch.arange(len(train)), "test": torch.arange(len(train), len(table))}
    encoding = fit_features(table, names, division["train"])
    yes = {"income": ("income", ">50K"), "never-married": ("marital-status", "Never-married")}
    targets = [
        (name, Binary(("no", "yes")), torch.tensor([float(v == value) for v in table.columns[column]]))
        for name, (column, value) in yes.items()
    ]
    return build(targets, features(table, encoding), division, {"reader": "csv"} | encoding)
