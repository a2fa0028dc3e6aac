"""Problems written in TOML: what a file says, and how what is wrong with it is told."""

from .problem_file import ProblemFile, load_problem, load_run

__all__ = ["ProblemFile", "load_problem", "load_run"]
