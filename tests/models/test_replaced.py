"""A model is replaced at one moment: whenever the process is killed, the old one is read, or the new one."""

import os
import signal

import pytest
import torch
from torch import nn

from headstart.atomic import is_new, sweep, write_atomic, write_together
from headstart.meta import FewShot, ProtoNet
from headstart.models import Net, load, mlp, save
from headstart.tasks import Multiclass

CALLS = ("fsync", "replace", "rename")


def net(value):
    made = Net(mlp(2, hidden=(3,)), {"a": nn.Linear(3, 2)})
    for parameter in made.parameters():
        nn.init.constant_(parameter, value)
    return made


def plain(directory, value):
    save(net(value), directory, kinds={"a": Multiclass(2)}, notes={"value": value})


def few(directory, value):
    learner = FewShot(net(0.5), ProtoNet("a"))
    x = torch.tensor([[0.0, value], [value, 0.0]])
    learner.fit(x, ["x", "y"]).save(directory)


def value_of(directory, saver):
    if saver is plain:
        saved = load(directory)
        assert all(bool((p == saved.notes["value"]).all()) for p in saved.net.parameters())
        return saved.notes["value"]
    return float(FewShot.load(directory)._now.support.x.max())


def killed_at(number, work):
    """Do work in a process that is killed at that call to the disk; tell whether it came so far."""
    pid = os.fork()
    if not pid:
        left = [number]

        def counted(function):
            def counting(*words, **more):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*words, **more)

            return counting

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("saver", [plain, few])
def test_killed_at_any_call_a_model_is_the_old_or_the_new(tmp_path, saver):
    number, seen = 0, []
    while True:
        number += 1
        place = tmp_path / f"{number}"
        saver(place, 1.0)
        (place / "notes.txt").write_text("mine")
        if not killed_at(number, lambda place=place: saver(place, 2.0)):
            break
        seen.append(value_of(place, saver))
        saver(place, 3.0)  # which clears what was left
        assert value_of(place, saver) == 3.0
        sweep(tmp_path)
        assert not [p.name for p in place.iterdir() if p.name.startswith(".")]
        assert (place / "notes.txt").read_text() == "mine"
    assert number > 6
    assert seen == sorted(seen), "never back"
    assert set(seen) == {1.0, 2.0}


def test_what_a_first_write_left_counts_as_new(tmp_path):
    assert is_new(tmp_path)
    assert is_new(tmp_path / "none")
    (tmp_path / ".run.toml.0123abcd.tmp").touch()
    (tmp_path / ".lock").touch()
    assert is_new(tmp_path)
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    (tmp_path / ".mine.tmp").touch()
    assert not is_new(tmp_path)
    sweep(tmp_path)
    assert (tmp_path / ".mine.tmp").exists(), "of somebody else"


def test_what_others_are_at_work_on_is_not_swept(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.lock").touch()
    (tmp_path / "features" / ".a.0123abcd.tmp").touch()
    sweep(tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_files_wait_in_a_folder_that_readers_look_into_first(tmp_path):
    write_together(tmp_path / "m", {"a": b"1", "b": b"1"})
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["a", "b"]
    with pytest.raises(FileExistsError):
        write_together(tmp_path / "m" / "a", {"x": b""})


def test_names_that_are_no_text_are_written_and_come_back(tmp_path):
    save(net(1.0), tmp_path / "m", kinds={"a": Multiclass(["\udcff", "b"])})
    assert load(tmp_path / "m").kinds["a"].classes == ("\udcff", "b")
    write_atomic(tmp_path / "a.csv", "\udcff")
    assert (tmp_path / "a.csv").read_text() == "\\udcff"


@pytest.mark.parametrize("names", [["b\udcff", "a"], ["\ud800", "\udfff"], ["é", "e\u0301\udc80"]])
def test_class_names_of_any_bytes_come_back(tmp_path, names):
    save(net(1.0), tmp_path / "m", kinds={"a": Multiclass(names)})
    assert load(tmp_path / "m").kinds["a"].classes == tuple(names)
