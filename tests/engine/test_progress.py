"""How far a loop is: on a terminal, in a file, in a notebook."""

import sys
import types

from headstart.progress import Bar


def test_a_line_says_how_long_it_will_take(capsys):
    with Bar("fit", 4, True, start=1) as bar:
        bar.show(2, {"digits": 2.34567})
    assert capsys.readouterr().err == "fit: step 2/4, 0 s left  digits 2.346\n"


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
