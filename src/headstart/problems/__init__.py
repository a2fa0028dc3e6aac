"""Problems written in TOML: what a file says, and how what is wrong with it is told."""

from .asked import load_asked
from .problem_file import ProblemFile, load_problem, load_run
from .world_file import WorldFile

__all__ = ["ProblemFile", "WorldFile", "load_asked", "load_problem", "load_run"]
