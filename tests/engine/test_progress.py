"""How far a loop is: on a terminal, in a file, in a notebook."""

import sys
import threading
import types

import pytest

from headstart.progress import Bar


class Clock:
    """Seconds that a test sets."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("headstart.progress.time", types.SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_says_how_long_it_will_take_once_steps_have_ended(capsys, clock):
    with Bar("fit", 101, True, start=1) as bar:
        for wait, step in ((50, 1), (50, 2), (30, 3), (30, 4), (30, 5)):
            clock.now += wait
            bar.show(step, {"digits": 2.34567})
    assert lines(capsys) == [
        "fit: step 1/101  digits 2.346",
        "fit: step 2/101  digits 2.346",  # the first one takes what is done once
        "fit: step 3/101, 106 min left  digits 2.346",
        "fit: step 4/101, 86 min left  digits 2.346",
        "fit: step 5/101, 76 min left  digits 2.346",
    ]


def test_while_no_step_ends_the_time_that_is_left_shrinks_and_is_not_said_once_it_is_over(capsys, clock):
    with Bar("compare", 4, True, unit="trial") as bar:
        for step in (0, 1, 2):
            bar.show(step)
            clock.now += 31
        for _ in range(2):
            bar.show(2)
            clock.now += 31
    assert lines(capsys) == [
        "compare: trial 0/4",
        "compare: trial 1/4",
        "compare: trial 2/4, 62 s left",
        "compare: trial 2/4, 31 s left",
        "compare: trial 2/4, 0 s left",
    ]
    with Bar("compare", 4, True, unit="trial") as bar:
        for step in (0, 1, 2):
            bar.show(step)
            clock.now += 31
        clock.now += 60
        bar.show(2)
    assert lines(capsys)[-1] == "compare: trial 2/4"


def test_the_last_steps_count_most(clock):
    with Bar("fit", 100, False) as bar:
        for step in range(1, 41):
            clock.now += 1.0
            bar.show(step)
        for step in range(41, 81):
            clock.now += 10.0
            bar.show(step)
    assert 9.5 < bar.pace < 10


def test_without_a_terminal_there_is_a_line_for_every_tenth_and_half_minute(capsys, clock):
    with Bar("compare", 600, True, unit="trial") as bar:
        for step in range(601):  # 60 s in all
            bar.show(step)
            clock.now += 0.1
    said = [int(line.split()[2].partition("/")[0]) for line in lines(capsys)]
    assert said == [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600]
    with Bar("compare", 600, True, unit="trial") as bar:
        for step in range(11):
            bar.show(step)
            clock.now += 10
    assert [line.split()[2].rstrip(",") for line in lines(capsys)] == ["0/600", "3/600", "6/600", "9/600"]
    with Bar("compare", 600, True, unit="trial") as bar:
        for step in range(601):  # all at once: no line for each tenth
            bar.show(step)
    assert len(lines(capsys)) == 1


def test_steps_that_are_added_are_said_with_their_reason(capsys, clock):
    with Bar("compare", 4, True, unit="trial") as bar:
        bar.extend(3, "fewer")
        bar.show(3)
        clock.now += 31
        bar.extend(5, "seeds, until it is decided")
        bar.show(4)
    assert lines(capsys) == [
        "compare: trial 3/3",
        "compare: trial 4/5, 16 s left  2 more: seeds, until it is decided",
    ]


def test_a_bar_that_watches_tells_though_no_step_ends(capsys, monkeypatch):
    monkeypatch.setattr("headstart.progress.TICK", 0.01)
    told = threading.Event()
    monkeypatch.setattr(Bar, "_tell", lambda bar, now: told.set())
    with Bar("compare", 4, True) as bar:
        bar.watch()
        assert told.wait(30)
    told.clear()
    with Bar("compare", 4, False) as bar:
        bar.watch()
        assert not told.wait(0.05)


def test_in_a_notebook_it_shows_itself_in_one_place(monkeypatch, capsys):
    shown = []
    handle = types.SimpleNamespace(update=lambda bar: shown.append(bar._repr_html_()))

    def display(bar, display_id):
        shown.append(bar._repr_html_())
        return handle

    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    pretended = types.ModuleType("IPython.display")
    pretended.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", pretended)
    monkeypatch.setattr("headstart.progress.REDRAW", 0.0)
    with Bar("a < b", 3, True) as bar:
        bar.show(1)
        bar.show(2, {"digits": 0.5})
    assert ['value="1" max="3"' in shown[0], 'value="2" max="3"' in shown[1]] == [True, True]
    assert "a &lt; b: step 2/3" in shown[1]
    assert "digits 0.5" in shown[1]
    assert capsys.readouterr().err == ""
