"""The configuration of the documentation site.

python -m sphinx -W --keep-going -b html docs OUT
"""

import importlib.metadata
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

project = "adamx"
copyright = "the adamx authors"
author = "the adamx authors"
release = importlib.metadata.version("adamx")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs._ext.site",
]
exclude_patterns = ["_ext", "_static", "README.md", "generated/optimizers_by_kind.md"]
templates_path: list[str] = []
default_role = "py:obj"
nitpicky = False
suppress_warnings = ["mystnb.unknown_mime_type"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_excludepatterns = ["generated/notebooks/*"]
nb_merge_streams = True
nb_render_markdown_format = "myst"

autodoc_typehints = "none"  # docs/_ext/annotations.py writes them with the arguments
autodoc_member_order = "bysource"
maximum_signature_line_length = 72
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "adamx"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_js_files = ["search_text.js"]
html_css_files = ["site.css"]
html_copy_source = False
html_search_scorer = str(DOCS / "_static" / "search_scorer.js")
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options = {"navigation_with_keys": True}
mathjax_path = "mathjax/tex-chtml.js"  # docs/_ext/assets.py puts it there
mathjax3_config = {"options": {"enableMenu": False}}
mathjax4_config = None
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
