"""The contracts: one OpenAPI document per audience, as data that any room may read.

``load`` is the only way in, so that the documents are found inside an installed wheel as well as in a checkout.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import yaml

__all__ = ["load", "text"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one on libyaml is ten times faster, a quarter of a second at every start; wheels of PyYAML have it, some systems do not."""


def text(name: str) -> str:
    """The YAML text of the contract ``name`` (``"tcec102"`` reads ``tcec102.yaml``).

    :raises FileNotFoundError: there is no such contract in this package.
    """
    return files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """The contract ``name`` parsed, a new dictionary on every call (the caller may change it freely).

    :raises FileNotFoundError: there is no such contract in this package.
    :raises ValueError: the document is not a mapping at its top.
    """
    document: dict[str, Any] = orjson.loads(_parsed(name))
    return document


@cache
def _parsed(name: str) -> bytes:
    """The contract as JSON, which is read a hundred times faster than YAML: several rooms ask for the same one."""
    document = yaml.load(text(name), Loader=_LOADER)  # noqa: S506 - a safe loader either way
    if not isinstance(document, dict):
        raise ValueError(f"openapi/{name}.yaml is not a mapping")
    return orjson.dumps(document)
