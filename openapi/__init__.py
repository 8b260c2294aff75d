"""The contracts: one OpenAPI document per audience, as data that any room may read.

``load`` is the only way in, so that the documents are found inside an installed wheel as well as in a checkout.
"""

from importlib.resources import files
from typing import Any

import yaml

__all__ = ["load", "text"]


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
    document = yaml.safe_load(text(name))
    if not isinstance(document, dict):
        raise ValueError(f"openapi/{name}.yaml is not a mapping")
    return document
