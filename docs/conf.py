"""The configuration of Sphinx."""

from __future__ import annotations

import sys
from enum import Enum
from inspect import Parameter, signature
from subprocess import Popen
from typing import TYPE_CHECKING, Any, get_type_hints

from sphinx.pycode import ModuleAnalyzer

import proctree_kill
from proctree_kill._spawn import options
from proctree_kill._spawn.run import Running

if TYPE_CHECKING:
    from sphinx.application import Sphinx

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
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
html_static_path = ["_static"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

copybutton_prompt_text = r">>> |\.\.\. |\$ "  # not copied, nor is the output below
copybutton_prompt_is_regexp = True

python_use_unqualified_type_names = True  # the public name, wherever it was defined
autodoc_default_options = {"exclude-members": "model_config, lines"}
autodoc_member_order = "bysource"
autodoc_type_aliases = {"Target": "Target"}  # the text describes it
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autoclass_content = "class"
napoleon_use_rtype = False

public = [getattr(proctree_kill, name) for name in proctree_kill.__all__]
for model in public:  # a model gets its signature when it is built
    if hasattr(model, "model_rebuild"):
        model.model_rebuild(force=True)

# A type that a module imports for type checkers only is shown and linked all the same.
types = {name: found for name, found in vars(options).items() if name[0].isupper()}
for name in {getattr(found, "__module__", "") for found in public}:
    if name.startswith("proctree_kill."):
        vars(sys.modules[name]).update(types | vars(sys.modules[name]))
        analyzer = ModuleAnalyzer.for_module(name)
        analyzer.analyze()
        analyzer.overloads.clear()  # they are for type checkers; a reader wants one signature

classes: list[Any] = [proctree_kill.TreePopen, proctree_kill.SessionManager]
for made in classes:
    made.__init__.__annotations__ = get_type_hints(made.__init__)
# The attribute; the parameter of that name has another type.
del proctree_kill.TreePopen.__annotations__["containment"]

hints = get_type_hints(proctree_kill.TreePopen.__init__) | get_type_hints(Running.__init__, types)
functions: list[Any] = [proctree_kill.run, proctree_kill.arun]
for function in functions:  # without what Popen documents
    whole = signature(function)
    others = {*signature(Popen).parameters} - {"args"}
    own = [option for option in whole.parameters.values() if option.name not in others]
    own = [option.replace(annotation=hints[option.name]) for option in own]
    rest = Parameter("options", Parameter.VAR_KEYWORD)
    function.__signature__ = whole.replace(parameters=[*own, rest])


def hide_constructor(
    _: Sphinx, _kind: str, _name: str, found: object, *_more: object
) -> tuple[str, None] | None:
    """Leave out the parameters of a class that no user calls."""
    hidden = (proctree_kill.Containment, proctree_kill.Session)
    is_enum = isinstance(found, type) and issubclass(found, Enum)
    return ("", None) if found in hidden or is_enum else None


def setup(app: Sphinx) -> None:
    """Connect what changes the signatures."""
    app.connect("autodoc-process-signature", hide_constructor)


# The build works offline, so what other projects document gets no link.
nitpick_ignore = [
    ("py:class", "proctree_kill._engine.pids.HasPid"),  # a protocol for type checkers
    ("py:class", "proctree_kill._sessions.session.ProcessT_co"),  # the type of Session.process
    ("py:class", "proctree_kill._records.report.RecordFate"),  # a string
]
nitpick_ignore_regex = [
    (r"py:.*", r"(?!proctree_kill).*"),
]
