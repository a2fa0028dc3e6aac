"""Put benchmarks that were measured again, or are new, among those of ``result.json``.

``python benchmarks/merge.py NEW.json ...``, each written by ``pytest benchmarks/test_NAME.py
--benchmark-only --benchmark-json=NEW.json``. An entry takes the place of the one of the same name; others
stay. Files of another machine or another Python are refused: ratios of one table are of one machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FILE = Path(__file__).with_name("result.json")


def main(*paths: str) -> None:
    """Merge, keeping the order that the files' tests are written in."""
    known = json.loads(FILE.read_text())
    entries = {entry["fullname"]: entry for entry in known["benchmarks"]}
    for path in paths:
        new = json.loads(Path(path).read_text())
        if new["machine_info"] != known["machine_info"]:
            sys.exit(f"{path}: of {new['machine_info']}, not of {known['machine_info']}: run `make bench`")
        entries |= {entry["fullname"]: entry for entry in new["benchmarks"]}
    known["benchmarks"] = sorted(entries.values(), key=lambda entry: entry["fullname"].partition("::")[0])
    FILE.write_text(json.dumps(known, indent=4) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
