"""Make an environment of what headstart needs without extras: ``python .ci/bare.py .venv/bare pytest``.

It links to the packages of the environment that runs this, so that nothing is downloaded.
"""

import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def needed(name: str, found: dict[str, Distribution]) -> None:
    """Add a package and all that it needs, without extras."""
    requirement = Requirement(name)
    if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        return
    found[requirement.name] = distribution(requirement.name)
    for other in found[requirement.name].requires or []:
        needed(other, found)


def main(where: str, *names: str) -> None:
    """Make it in a folder, with other packages by name."""
    venv.create(where, clear=True, symlinks=True)
    home = next(Path(where).glob("lib/python*/site-packages"))
    found: dict[str, Distribution] = {}
    for name in ("headstart", *names):
        needed(name, found)
    for package in found.values():
        for top in {file.parts[0] for file in package.files or [] if file.parts[0] != ".."}:
            if not (home / top).exists():
                (home / top).symlink_to(Path(str(package.locate_file(top))).resolve())
    print(f"{where}: {len(found)} packages")


main(*sys.argv[1:])
