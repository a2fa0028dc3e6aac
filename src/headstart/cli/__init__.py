"""The command line: one function per command, and the library behind them loaded when one runs."""

from .app import app, main

__all__ = ["app", "main"]
