"""The configuration of Sphinx."""

from __future__ import annotations

import proctree_kill

project = "proctree_kill"
author = "The proctree_kill authors"
project_copyright = "2026, The proctree_kill authors"
release = version = proctree_kill.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"proctree_kill {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

python_use_unqualified_type_names = True  # the public name, wherever it was defined
autodoc_default_options = {"exclude-members": "model_config, lines"}
autodoc_member_order = "bysource"
autodoc_type_aliases = {"Target": "Target"}  # the text describes it
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autoclass_content = "class"
napoleon_use_rtype = False

for name in proctree_kill.__all__:  # a model gets its signature when it is built
    if hasattr(model := getattr(proctree_kill, name), "model_rebuild"):
        model.model_rebuild(force=True)

# The build works offline, so what other projects document gets no link.
nitpick_ignore = [
    ("py:class", "proctree_kill._engine.target.HasPid"),  # a protocol for type checkers
    ("py:class", "proctree_kill._sessions.session.ProcessT_co"),  # the type of Session.process
    ("py:class", "proctree_kill._records.report.RecordFate"),  # a string
]
nitpick_ignore_regex = [
    (r"py:.*", r"(?!proctree_kill).*"),
]
