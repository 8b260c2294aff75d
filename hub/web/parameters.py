"""Checks of path and query parameters that say which parameter is wrong, in one line (connexion's say only why)."""

from __future__ import annotations

from typing import Any

from connexion.validators.parameter import ParameterValidator


class NamedParameterValidator(ParameterValidator):  # type: ignore[misc]
    """connexion's validator with the parameter's name at the end of each complaint, as its body validator has it."""

    @staticmethod
    def validate_parameter(
        parameter_type: str, value: Any, param: dict[str, Any], param_name: str | None = None
    ) -> str | None:
        """None when `value` fits, else why not."""
        complaint = ParameterValidator.validate_parameter(parameter_type, value, param, param_name)
        return None if complaint is None else f"{str(complaint).splitlines()[0]} - '{param['name']}'"
