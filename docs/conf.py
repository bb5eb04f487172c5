"""Sphinx: Markdown pages, a reference from docstrings."""

import sys
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "credchain"
author = "the credchain authors"
copyright = "2026, the credchain authors"
release = version = version_of("credchain")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "credchain_reference"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "code"
exclude_patterns = ["_build", "_ext"]

autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_mock_imports = [] if find_spec("pytest") else ["pytest"]  # what is for tests is described without it
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
suppress_warnings = ["ref.python"]  # some names are found in two modules, as the shop window shows what others own

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_title = "credchain"
