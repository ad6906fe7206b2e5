"""How Sphinx builds the pages that `build_site.py` has laid out."""

from __future__ import annotations

project = "Clary"
html_title = "Clary"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"

# A link to a heading is checked like one to a page.
myst_heading_anchors = 4
nitpicky = True

# Notebooks have lines of a shell among their Python.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "none"
# `--option` stays what it is.
smartquotes = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_theme_options = {"top_of_page_buttons": [], "navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
