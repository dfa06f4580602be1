"""For the documentation's site: the docstrings' few marks of reStructuredText, written in Markdown (see mkdocs.yml)."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")
_CODE_FOLLOWS = re.compile(r"::$", re.MULTILINE)


class DocstringRoles(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Write ``:class:`X``` as code, and the two colons before a block as one."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = _CODE_FOLLOWS.sub(":", text)
