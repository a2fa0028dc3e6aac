"""Models of Keras 3, computed by PyTorch: those of ``keras.applications``, and files of the user's own.

A Keras model keeps its weights in variables of its own, which ``functional_call``, ``deepcopy`` and
``train`` do not reach. Here it is a graph alone: the weights are parameters and buffers of the backbone,
layer by layer, and are handed to the graph at each call.

Shapes: ``B`` rows, ``C`` channels, ``H``, ``W`` pixels.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
from torch import Tensor, nn

from ...errors import explain, unknown, wrong
from ..net import Backbone
from .hub import why_not
from .provider import Provider, Shape, check_settings
from .torchvision import as_colour

HOST = "storage.googleapis.com"  # of the weights of keras.applications
APPLICATIONS = "applications."
SETTINGS = ("layer", "size", "raw", "config")


def import_keras() -> ModuleType:
    """Import Keras on PyTorch.

    Raises:
        ModuleNotFoundError: if it is not installed.
        RuntimeError: if it was imported before with another backend.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "torch"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keras = importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if error.name != "keras":
            raise
        hint = 'pip install "headstart[keras]"'
        message = explain("keras", expected="installed", found="no such package", hint=hint)
        raise ModuleNotFoundError(message, name="keras") from None
    if (found := keras.config.backend()) != "torch":
        raise wrong(
            "backend of Keras",
            expected='"torch"',
            found=f'"{found}", with which Keras was imported before',
            hint='set KERAS_BACKEND="torch" before the first import of Keras',
            error=ImportError,
        )
    return keras


@final
class _Graph:
    """A Keras model as a function of its weights: copies of a backbone share it."""

    def __init__(self, config: str, layer: str) -> None:
        self.config, self.layer, self.keras = config, layer, import_keras()
        whole = _made("its config", partial(self.keras.models.model_from_json, config))
        self.model = _cut(self.keras, whole, layer)
        self.model.trainable = True

    def __deepcopy__(self, memo: dict[int, Any]) -> _Graph:
        return self

    def __reduce__(self) -> tuple[type[_Graph], tuple[str, str]]:
        return _Graph, (self.config, self.layer)

    def variables(self) -> Iterator[tuple[Any, Any]]:
        """List each layer that has variables with each of them, shared ones once."""
        seen: set[int] = set()
        for layer in self.model.layers:
            for variable in layer.variables:
                if id(variable) not in seen:
                    seen.add(id(variable))
                    yield layer, variable


@final
class _Keras(Backbone):
    def __init__(self, name: str, graph: _Graph, size: int | None, raw: bool) -> None:
        super().__init__()
        self.use, self.graph, self.size, self.raw = f"keras:{name}", graph, size, raw
        self.settings = {"layer": graph.layer, "size": size, "raw": raw, "config": graph.config}
        shape = graph.model.output_shape
        if not isinstance(shape, tuple) or not isinstance(shape[-1], int):
            hint = "name a layer of one output: `layer=...`"
            expected = "one output with a known number of features"
            raise wrong(f"output of {self.use!r}", expected=expected, found=shape, hint=hint)
        self.width = shape[-1]
        self.prepare = _preparation(graph.keras, name)
        self.layers = nn.Module()
        self.places: list[tuple[str, str]] = []
        for layer, variable in graph.variables():
            part = (
                f"{layer.name.replace('.', '_')}_"
                if hasattr(nn.Module, layer.name)
                else layer.name.replace(".", "_")
            )
            if part not in self.layers._modules:
                self.layers.add_module(part, nn.Module())
            holder, value = self.layers._modules[part], variable.value.detach().clone()
            assert holder is not None
            leaf = variable.name.replace(".", "_")
            leaf = (
                f"{leaf}_{len(holder._parameters) + len(holder._buffers)}" if hasattr(holder, leaf) else leaf
            )
            if variable.trainable:
                holder.register_parameter(leaf, nn.Parameter(value))
            else:  # moving statistics: neither trained nor decayed
                holder.register_buffer(leaf, value)
            self.places.append((part, leaf))

    def forward(self, x: Tensor) -> Tensor:
        graph, variables = self.graph, list(self.graph.variables())
        tensors = [getattr(self.layers.get_submodule(part), leaf) for part, leaf in self.places]
        moves = [self.training and self.layers.get_submodule(part).training for part, _ in self.places]
        for (layer, _), moving in zip(variables, moves, strict=True):
            if layer.trainable != (moving or not self.training):
                layer.trainable = moving or not self.training
        x = self.preprocess(x) if self.raw else self.arranged(x)
        state = [(variable, value) for (_, variable), value in zip(variables, tensors, strict=True)]
        with graph.keras.device(str(x.device)), graph.keras.StatelessScope(state_mapping=state) as scope:
            y = graph.model(x, training=self.training)
        for (variable, value), moving in zip(state, moves, strict=True):
            if moving and not variable.trainable:
                value.copy_(scope.get_current_value(variable).detach())
        return y.mean(tuple(range(1, y.ndim - 1))) if y.ndim > 2 else y

    def arranged(self, x: Tensor) -> Tensor:
        """Put channels last, as many as the model takes, at the size that is asked for."""
        if x.ndim != 4:
            return x
        x = as_colour(x) if self.graph.model.input_shape[-1] == 3 else x
        if self.size is not None:
            x = nn.functional.interpolate(x.float(), (self.size, self.size), mode="bilinear", antialias=True)
        return x.movedim(1, -1)

    def preprocess(self, x: Tensor) -> Tensor:
        x = self.arranged(x * 255 if x.is_floating_point() else x).float()
        return self.prepare(x, data_format="channels_last") if self.prepare is not None else x / 255


def _cut(keras: ModuleType, model: Any, layer: str) -> Any:
    """End a model behind one of its layers."""
    if not layer:
        return model
    names = [each.name for each in model.layers]
    if layer not in names:
        raise unknown("layer of the Keras model", layer, names)
    return keras.Model(model.inputs, model.get_layer(layer).output)


def _made(what: str, make: Any) -> Any:
    """Read a model, without any code that comes with it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)  # between Keras and NumPy
            return make()
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise wrong(
            f"Keras model of {what}",
            expected="one of layers that Keras has itself, without code of its own",
            found=(str(error).splitlines() or [type(error).__name__])[0],
            hint="build the model in Python and pass it as a module",
        ) from error


def _preparation(keras: ModuleType, name: str) -> Any:
    """Find what a model of ``keras.applications`` expects of pixels in [0, 255]; ``None`` for a file."""
    if not name.startswith(APPLICATIONS):
        return None
    own = name.removeprefix(APPLICATIONS)
    homes = (home for home in vars(keras.applications).values() if hasattr(home, "preprocess_input"))
    return next((home.preprocess_input for home in homes if hasattr(home, own)), None)


@contextmanager
def _drawing() -> Iterator[None]:
    """Let what Keras draws follow the global random state of PyTorch, and leave Python's as it was."""
    before = random.getstate()
    random.seed(int(torch.randint(2**31, ())))
    try:
        yield
    finally:
        random.setstate(before)


def _application(keras: ModuleType, name: str, weights: str | None) -> Any:
    own = name.removeprefix(APPLICATIONS)
    known = [n for n, value in vars(keras.applications).items() if callable(value)]
    if own not in known:
        raise unknown("model of keras.applications", own, known)
    make = getattr(keras.applications, own)
    if weights == "default":
        kept = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
        there = any(f.name.replace("_", "").lower().startswith(own.lower()) for f in kept.glob("*"))
        if not there and (offline := why_not(HOST)):
            raise wrong(
                f"weights of keras:{name}",
                expected=f"in {kept}, or a network to fetch them",
                found=offline,
                hint="pass `weights=PATH` for a file that you have, or `weights=None` for random weights",
                error=ConnectionError,
            )
        weights = "imagenet"
    elif weights is not None and not Path(weights).is_file():
        what = f"`weights` of keras:{name}"
        raise wrong(what, expected="a file", found=f'nothing at "{weights}"', error=FileNotFoundError)
    return _made(name, partial(make, include_top=False, pooling="avg", weights=weights))


def _read(keras: ModuleType, name: str, weights: str | None) -> Any:
    if weights not in (None, "default"):
        what = f'`weights` of "keras:{name}"'
        raise wrong(what, expected='"default" or None', found=f'"{weights}"')
    if not Path(name).is_file() or Path(name).suffix != ".keras":
        found = f'"{name}"' if Path(name).is_file() else f'nothing at "{name}"'
        hint = f'or "keras:{APPLICATIONS}NAME"'
        raise wrong(
            "Keras model", expected='a file "FILE.keras"', found=found, hint=hint, error=FileNotFoundError
        )
    return _made(f'"{name}"', partial(keras.saving.load_model, name, compile=False, safe_mode=True))


def _build(name: str, inputs: Shape | None, weights: str | None, settings: dict[str, Any]) -> Backbone:
    check_settings(f"keras:{name}", settings, SETTINGS)
    keras, layer = import_keras(), settings.get("layer") or ""
    with _drawing():
        if config := settings.get("config"):
            graph, source = _Graph(config, layer), None
        else:
            read = _application if name.startswith(APPLICATIONS) else _read
            source = read(keras, name, weights)
            graph = _Graph(source.to_json(), layer)
    if source is not None and weights is not None:
        values = [v.value.detach() for v in _cut(keras, source, layer).variables]
        for variable, value in zip(graph.model.variables, values, strict=True):
            variable.assign(value)
    return _Keras(name, graph, settings.get("size"), settings.get("raw", False))


def _told(name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take images as readers give them; what a file of the user's own expects of them is its own."""
    return {"raw": True} if name.startswith(APPLICATIONS) else {}


KERAS = Provider(
    names={
        "keras:FILE.keras": "a model of Keras 3, read without its code; `layer` names where it ends",
        "keras:applications.NAME": "a model of keras.applications, e.g. keras:applications.MobileNetV2",
    },
    build=_build,
    told=_told,
)
