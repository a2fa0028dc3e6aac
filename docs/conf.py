"""How the documentation is built: `make docs`, without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import tables  # noqa: E402

tables.write(HERE / "_build" / "generated")

project = "headstart"
html_title = "headstart"
html_theme = "furo"
html_static_path = ["_static"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Shape", "Differs from the paper"]
# Names of other projects have no page here, nor have private ones (which carry their file in the path).
nitpick_ignore_regex = [("py:.*", r"(?!headstart\.).*|headstart(\.\w+){3,}")]
