"""Secrets in declarations: only `{env: NAME}` or `{file: path}`, never in clear (DECISIONS 28).

`SecretValue` is a pydantic field type that resolves such a reference while it validates. The validation context may bring
`environ` (a mapping) and `folder` (where relative paths start). A `SecretStr` made in code passes as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, ValidationInfo

_MAX_FILE_BYTES = 4096
"""Far above any secret of a contract; a wrong path must not load a disk image."""


def _resolved(value: Any, info: ValidationInfo) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError("密钥只能写成 {env: 变量名} 或 {file: 路径} / a secret is {env: NAME} or {file: path}")
    context: Mapping[str, Any] = info.context or {}
    ((kind, name),) = value.items()
    if kind == "env":
        return SecretStr(_from_environment(str(name), context.get("environ", os.environ)))
    if kind == "file":
        return SecretStr(_from_file(Path(context.get("folder", ".")) / str(name)))
    raise ValueError(f"未知的密钥来源 / unknown source of a secret: {kind}")


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise ValueError(f"环境变量 {name} 未设置 / the environment variable {name} is not set")
    return value


def _from_file(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"{path}: 文件过大 / larger than a secret can be")
        value = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: 无法读取 / cannot be read ({type(error).__name__})") from error
    if not value:
        raise ValueError(f"{path}: 空文件 / empty")
    return value


SecretValue = Annotated[SecretStr, BeforeValidator(_resolved)]
"""A secret by reference."""
