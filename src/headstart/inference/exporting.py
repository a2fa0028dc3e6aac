"""A model as one file that other programs run, checked against the model on rows before it is written.

Shapes: ``n`` rows, ``C`` classes.
"""

from __future__ import annotations

import copy
import importlib
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.dynamic_shapes import _DimHint

from ..errors import explain, wrong
from ..models import Net
from ..models.backbones.cuts import straight
from ..models.net import task_dependent
from ..tasks import Kind, X
from ..tasks.nouns import parts, rows, take

FORMATS = {".onnx": "onnx", ".pt2": "torch"}  # by the suffix of the file
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of the largest number that comes out
INPUT = "input"  # the name of rows that are one tensor
Answer = Callable[[X], dict[str, Tensor]]


@dataclass(frozen=True)
class Checked:
    """Say how far the answers of the file are from the model's.

    Args:
        rows: on which both were asked.
        batches: how many rows at a time.
        difference: the largest, in the unit of the answers, by task.
        relative: the same over the largest answer of the model.
        runtime: what ran the file.
        inputs: the type and the shape of each, words for the axes that may be of any size.
    """

    rows: int
    batches: tuple[int, ...]
    difference: Mapping[str, float]
    relative: Mapping[str, float]
    runtime: str
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def export(net: Net, kinds: Mapping[str, Kind], x: X, file: Path) -> Checked:
    """Write a net to a file, and run the file on rows in batches of several sizes.

    Args:
        net: on the CPU; not changed.
        kinds: of its heads.
        x: rows, one or more.
        file: ends in ``.onnx`` or ``.pt2``.

    Raises:
        ValueError: if the net cannot be written in that format, or the file answers otherwise than the net.
        ModuleNotFoundError: if a library is missing.
    """
    need(file)
    answers = Answers(net, kinds).eval()
    program = _program(_traced(answers, x), x, file)
    inputs = _inputs(program, x)
    if file.suffix == ".onnx":
        _write_onnx(program, list(inputs), list(kinds), file)
    else:
        torch.export.save(program, file)
    run, runtime = _runner(file, list(kinds))
    return check(answers, run, list(_batches(x, inputs)), file.suffix, runtime, inputs)


def need(file: Path) -> None:
    """Raise ``ValueError`` for a suffix of no format, ``ModuleNotFoundError`` for a missing library."""
    if file.suffix not in FORMATS:
        raise wrong("`path`", expected=f"a file that ends in {' or '.join(FORMATS)}", found=f'"{file}"')
    for name in LIBRARIES if file.suffix == ".onnx" else ():
        if find_spec(name) is None:
            hint = 'pip install "headstart[onnx]", or export to ".pt2", which needs no more than PyTorch'
            message = explain(name, expected="installed", found="no such package", hint=hint)
            raise ModuleNotFoundError(message, name=name)


class Answers(nn.Module):
    """Give what a user asks for, by task: the probability of each class; where there are none, numbers."""

    def __init__(self, net: Net, kinds: Mapping[str, Kind]) -> None:
        super().__init__()
        self.net, self.kinds = net, dict(kinds)

    def forward(self, x: X) -> dict[str, Tensor]:
        """Return the answers; a backbone that serves all tasks alike runs once, and once more for places."""
        apart, seen, said = task_dependent(self.net.backbone), {}, {}
        for name, kind in self.kinds.items():
            key = name if apart else (self.net.at_places(name), self.net.at_words(name))
            if key not in seen:
                seen[key] = self.net.features(x, name)
            outputs = self.net.head(name)(seen[key])
            sure = kind.probabilities(outputs)
            said[name] = outputs if sure is None else sure
        return said


def _traced(answers: Answers, x: X) -> Answers:
    backbone = straight(answers.net.backbone, _few(x))
    return (
        answers
        if backbone is answers.net.backbone
        else Answers(Net(backbone, dict(answers.net.heads.items())), answers.kinds)
    )


def _few(x: X) -> X:
    """Take two rows or more, as many as no other axis has: sizes of 1 and equal ones are traced as such."""
    sizes = {size for part in parts(x).values() for size in part.shape[1:]}
    number = next(n for n in range(2, len(sizes) + 3) if n not in sizes)
    return take(x, torch.arange(number) % rows(x))


def _program(answers: Answers, x: X, file: Path) -> ExportedProgram:
    """Trace the net with any number of rows, and of tokens where it takes that."""
    sizes = {name: _free(part) for name, part in parts(x).items()}
    shapes = sizes if isinstance(x, Mapping) else next(iter(sizes.values()))
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(answers, (_few(x),), dynamic_shapes=(shapes,), strict=False)
    except Exception as error:
        raise _refused("a net whose steps do not depend on the rows' values or number", error, "") from error


def _free(part: Tensor) -> dict[int, _DimHint]:
    tokens = part.ndim == 2 and not part.is_floating_point()
    return {0: Dim.DYNAMIC} | ({1: Dim.AUTO} if tokens else {})


def _inputs(program: ExportedProgram, x: X) -> dict[str, dict[str, Any]]:
    """Say what goes in: a word for each axis that may be of any size."""
    users = set(program.graph_signature.user_inputs)
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users]
    said = {}
    for (name, part), node in zip(parts(x).items(), nodes, strict=True):
        sizes = enumerate(map(str, node.meta["val"].shape))  # a number, or the name of any
        shape = [int(size) if size.isdigit() else ("rows", "length")[axis] for axis, size in sizes]
        said[name or INPUT] = {"dtype": str(part.dtype).removeprefix("torch."), "shape": shape}
    return said


def _write_onnx(program: ExportedProgram, inputs: list[str], outputs: list[str], file: Path) -> None:
    try:
        with _quiet():
            torch.onnx.export(
                program.run_decompositions({torch.ops.aten.cdist.default: _distances}),
                f=file,
                dynamo=True,
                external_data=False,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
    except Exception as error:
        raise _refused("a net of operations that ONNX has", error, 'export to ".pt2"') from error


def _distances(a: Tensor, b: Tensor, p: float = 2.0, mode: int | None = None) -> Tensor:
    """Write Euclidean distances ``(n, m)`` as products: ONNX has no operation for them."""
    square = (a * a).sum(-1, keepdim=True) + (b * b).sum(-1)[..., None, :] - 2 * a @ b.mT
    return square.clamp(min=0).sqrt()


def _refused(expected: str, error: Exception, hint: str) -> Exception:
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    found = f"{type(error.__cause__ or error).__name__}: {lines[0] if lines else ''}"
    return wrong("model to export", expected=expected, found=found, hint=hint)


# The file in use.


def _runner(file: Path, names: list[str]) -> tuple[Answer, str]:
    """Open a file: what answers rows, and what runs it."""
    if file.suffix != ".onnx":
        module = torch.export.load(file).module()
        return module, f"torch {torch.__version__}"
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(x: X) -> dict[str, Tensor]:
        given = {name or INPUT: part.numpy() for name, part in parts(x).items()}
        return dict(zip(names, map(torch.from_numpy, session.run(names, given)), strict=True))

    return run, f"onnxruntime {runtime.__version__}"


def _batches(x: X, inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[X]:
    """List what is asked: one row, all of them, and half the tokens where these may be of any number."""
    yield take(x, torch.arange(1))
    yield x
    if all("length" in about["shape"] for about in inputs.values()):
        short = {name: part[:, : max(1, part.shape[1] // 2)] for name, part in parts(x).items()}
        yield short if isinstance(x, Mapping) else next(iter(short.values()))


def check(
    answers: Answer, run: Answer, batches: list[X], suffix: str, runtime: str, inputs: Mapping[str, Any]
) -> Checked:
    """Compare two ways to answer; ``ValueError`` where they differ by more than is due to rounding."""
    difference: dict[str, float] = {}
    relative: dict[str, float] = {}
    for x in batches:
        with torch.no_grad():
            ours = answers(x)
            try:
                theirs = run(x)
            except Exception as error:
                raise _refused(f"one whose file takes {rows(x)} rows", error, "") from error
        for name, own in ours.items():
            apart = _apart(own, theirs[name])
            difference[name] = max(difference.get(name, 0.0), apart)
            relative[name] = max(relative.get(name, 0.0), apart / max(float(own.abs().max()), 1e-12))
    worst = max(relative, key=relative.__getitem__)
    if not relative[worst] <= TOLERANCE:
        other = {".onnx": ".pt2", ".pt2": ".onnx"}[suffix]
        raise wrong(
            f"answers of the {suffix} file for task {worst!r}",
            expected=f"the model's, within {TOLERANCE:g} of the largest",
            found=f"{relative[worst]:.2g} apart, so nothing is written",
            hint=f'export to "{other}", or pass rows of your own as `data=DATA`',
        )
    counts = tuple(rows(x) for x in batches)
    return Checked(max(counts), tuple(dict.fromkeys(counts)), difference, relative, runtime, inputs)


def _apart(own: Tensor, other: Tensor) -> float:
    """Measure the largest difference; infinite where shapes differ or a number is missing in one alone."""
    if own.shape != other.shape or not torch.equal(own.isnan(), other.isnan()):
        return math.inf
    same = own == other  # infinite ones among them
    return float(torch.where(same | own.isnan(), 0.0, own.double() - other.double()).abs().max())


def at_rest(net: Net) -> Net:
    """Copy a net to the CPU, in eval mode."""
    return copy.deepcopy(net).cpu().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' words on their own progress to themselves."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            log.setLevel(level)


def written(net: Net, kinds: Mapping[str, Kind], x: X, path: Path) -> tuple[bytes, Checked]:
    """Export, and give the bytes of the file, which are written nowhere yet."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model{path.suffix}"
        checked = export(at_rest(net), kinds, x, file)
        return file.read_bytes(), checked
