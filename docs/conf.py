"""Sphinx: Markdown pages, a reference from docstrings."""

from importlib.metadata import version as version_of

project = "credchain"
author = "the credchain authors"
copyright = "2026, the credchain authors"
release = version = version_of("credchain")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "code"
exclude_patterns = ["_build"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
suppress_warnings = ["ref.python"]  # some names are found in two modules, as the shop window shows what others own

html_theme = "furo"
html_title = "credchain"
