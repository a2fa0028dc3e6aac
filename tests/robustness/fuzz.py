"""Damaged input files, by the hundred, in a process that lives on."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.records import file_hash, seal

from .damage import faults
from .ground import COMPARISON, call, lay, make

SECONDS, MEMORY = 20, 2 * 2**30  # at most, for one file
PICTURES = ("png", "jpg", "bmp", "gif", "tiff", "webp")
FORMATS = ("csv", "image", "npz", "safetensors", "toml", "json")
VALUES: tuple[Any, ...] = (
    None, True, [], {}, "", "x", "exec", "=1+1", "\x1b]0;x\x07", "\u202e", "\udcff", 0, -1, 7, 10**6, 10**12,
    10**400, 1e308, float("nan"), float("-inf"), [[]] * 3, {"a": {}}, list(range(2000)), "long" * 5000,
)  # fmt: skip


@dataclass
class Found:
    """What became of the files of one format."""

    files: int = 0
    refused: int = 0
    slowest: float = 0.0
    wrong: list[str] | None = None

    def to_dict(self, memory: int) -> dict[str, Any]:
        return {
            "files": self.files,
            "refused": self.refused,
            "accepted": self.files - self.refused,
            "slowest_seconds": round(self.slowest, 2),
            "largest_memory_bytes": memory,
            "wrong": self.wrong or [],
        }


def spoiled(data: bytes, rng: random.Random) -> bytes:
    """Damage bytes in one to four places: others, fewer, more, again and again, or an early end."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        end = min(end, at + rng.choice([1, 4, 64, len(data)]))
        noise = bytes(rng.randrange(256) for _ in range(rng.choice([1, 4, 16])))
        marks = [b"\xff" * 8, b"\0" * 8, b'"', b",", b"\n", b"9" * 30, b"[" * 2000]
        before, piece, after = data[:at], data[at:end], data[end:]
        data = rng.choice(
            [
                before + noise + data[at + len(noise) :],
                before + after,
                before + piece * rng.choice([2, 50]) + after,
                before + rng.choice(marks) + piece + after,
                before,
            ]
        )
    return data


def mutated(value: Any, rng: random.Random) -> Any:
    """Put another value in one or two places of JSON."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 2)):
        place = value
        while place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = rng.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
                place = place[key]
            elif rng.random() < 0.2:
                del place[key]
                break
            else:
                place[key] = rng.choice(VALUES)
                break
    return value


def _picture(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))


class Bench:
    """Files to be damaged, and commands that read them.

    Args:
        root: an empty directory, which is the working directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        lay(root)
        self._must("fit", "problem.toml", "--set", "target.shots=2", "--out", "run")
        status, said = make(COMPARISON, root / "compared")
        assert status == 0, said
        rng = np.random.default_rng(0)
        for name in "ab":
            (root / "photos" / name).mkdir(parents=True)
            for i in range(6):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(
                    root / "photos" / name / f"{i}.png"
                )
        for suffix in PICTURES:
            _picture(rng).save(root / f"one.{suffix}")
        x = rng.normal(size=(40, 2)).astype(np.float32)
        np.savez(root / "rows.npz", x=x, y=np.array(["a", "b"] * 20))
        small = ["--set", "budget.steps=2", "--set", "target.shots=2"]
        self._must("fit", "problem.toml", *small, "--set", "target.data=images:photos", "--set", "sources=[]",
                   "--set", "backbone={use='conv4', width=2, halvings=1}", "--out", "seen")  # fmt: skip

    def _must(self, *words: object) -> None:
        status, said = call(*words)
        assert status == 0, said

    def csv(self, rng: random.Random) -> tuple[int, str]:
        """Read a damaged table: as new rows, or to learn from."""
        (self.root / "bad.csv").write_bytes(spoiled((self.root / "new.csv").read_bytes(), rng))
        if rng.random() < 0.7:
            return call("predict", "run/model", "csv:bad.csv", "-o", "out.csv")
        return self._fit("target.data=csv:bad.csv#label")

    def image(self, rng: random.Random) -> tuple[int, str]:
        """Read a damaged picture among others."""
        name = f"one.{rng.choice(PICTURES)}"
        folder = self.root / "bad"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / name).write_bytes(spoiled((self.root / name).read_bytes(), rng))
        shutil.copy(self.root / "one.png", folder / "good.png")
        skip = ["--skip-broken"] * (rng.random() < 0.5)
        return call("predict", "seen/model", "images:bad", "-o", "out.csv", *skip)

    def npz(self, rng: random.Random) -> tuple[int, str]:
        """Read damaged arrays."""
        (self.root / "bad.npz").write_bytes(spoiled((self.root / "rows.npz").read_bytes(), rng))
        return self._fit("target.data=npz:bad.npz#x,y", "sources=[]")

    def safetensors(self, rng: random.Random) -> tuple[int, str]:
        """Read damaged weights: of a model, under their own hash or not, or of a backbone."""
        weights = spoiled((self.root / "run/model/model.safetensors").read_bytes(), rng)
        if rng.random() < 0.4:
            (self.root / "bad.safetensors").write_bytes(weights)
            return self._fit("backbone.weights=bad.safetensors", "backbone.use=mlp", "sources=[]")
        place = self._model()
        (place / "model.safetensors").write_bytes(weights)
        if rng.random() < 0.7:
            about = json.loads((place / "model.json").read_text())
            about["weights"] = file_hash(place / "model.safetensors")
            (place / "model.json").write_text(json.dumps(seal(about)))
        return call("predict", place, "csv:new.csv", "-o", "out.csv")

    def toml(self, rng: random.Random) -> tuple[int, str]:
        """Read a damaged problem."""
        text = (self.root / "problem.toml").read_bytes()
        (self.root / "bad.toml").write_bytes(spoiled(text, rng))
        shutil.rmtree(self.root / "out", ignore_errors=True)
        return call("fit", "bad.toml", "--set", "budget.steps=2", "--set", "target.shots=2", "--out", "out")

    def json(self, rng: random.Random) -> tuple[int, str]:
        """Read damaged JSON: of a model, a result, a run, or any of a comparison that is gone on with."""
        sort = rng.choice(["model", "model", "result", "details", "scores", "status", *["any"] * 4])
        places = {"model": "run/model", "scores": "run", "status": "run"}
        source = Path(places.get(sort, "compared"), f"{sort}.json")
        if sort == "any":
            kept = sorted((self.root / "compared").rglob("*.json"))
            source = rng.choice(kept).relative_to(self.root)
        data = (self.root / source).read_bytes()
        if rng.random() < 0.3:
            written = spoiled(data, rng)
        else:
            changed = mutated(json.loads(data), rng)
            written = json.dumps(seal(changed) if rng.random() < 0.8 else changed).encode()
        if sort == "model":
            place = self._model()
            (place / "model.json").write_bytes(written)
            return call("predict", place, "csv:new.csv", "-o", "out.csv")
        place = self._copy(source.parts[0])
        place.joinpath(*source.parts[1:]).write_bytes(written)
        if sort == "any":
            return make(COMPARISON, place)
        command = ["report", place] if sort in ("result", "details") else ["runs", "show", place]
        return call(*command)

    def _fit(self, *changes: str) -> tuple[int, str]:
        shutil.rmtree(self.root / "out", ignore_errors=True)
        words = [
            word for change in ("target.shots=2", "budget.steps=2", *changes) for word in ("--set", change)
        ]
        return call("fit", "problem.toml", "--out", "out", *words)

    def _model(self) -> Path:
        place = self.root / "bad-model"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.root / "run/model", place)
        return place

    def _copy(self, name: str) -> Path:
        place = self.root / "bad-copy"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.root / name, place)
        return place


def fuzzed(bench: Bench, counts: Mapping[str, int], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Damage so many files of each format, read each by a command, and say what became of them."""
    told = {}
    for name, count in counts.items():
        found = Found(wrong=[])
        read: Callable[[random.Random], tuple[int, str]] = getattr(bench, name)
        for number in range(count):
            rng = random.Random(f"{seed} {name} {number}")
            before = time.monotonic()
            status, said = _in_time(lambda read=read, rng=rng: read(rng))
            took = time.monotonic() - before
            found.files, found.refused = found.files + 1, found.refused + (status == 2)
            found.slowest = max(found.slowest, took)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if status not in (0, 2) or faults(said) or took > SECONDS or memory > MEMORY:
                found.wrong.append(f"{number}: status {status}, {took:.1f} s, {memory} bytes: {said[-400:]}")
            if any(mark in said for mark in ("\x1b", "\x07", "\u202e")):
                found.wrong.append(f"{number}: control characters: {said[-400:]!r}")
        told[name] = found.to_dict(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return told


def _in_time(work: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Stop work that takes far too long."""

    def stop(*_: object) -> None:
        raise TimeoutError("too slow")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(6 * SECONDS)
    try:
        return work()
    except BaseException as error:
        return -1, f"Traceback: {error!r}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
