"""What every switchable part is: a frozen, validated value with a `kind` and behaviour.

A slot's file holds its alternatives, one class each, and their union `Annotated[A | B, SLOT]`, whose first member is the
default kind. Parts are built where the configuration is read, before torch is imported. What a part changes during training
lives in the dict that `state` returns: the agent keeps it, updates it in place and stores it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler

if TYPE_CHECKING:
    from torch import Tensor

PartState = dict[str, "Tensor"]  # what a part changes during training, by name


class Part(BaseModel):
    """Base of all parts. Frozen; unknown keys and non-finite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: str

    def state(self) -> PartState:
        """Tensors that this part changes during training, with their initial values."""
        return {}


class _ByKind:
    """Lets pydantic choose one part of a union by its `kind`; a mapping without a kind means the union's first part."""

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> Any:
        default_kind = get_args(union)[0].model_fields["kind"].default

        def add_kind(value: Any) -> Any:
            return {"kind": default_kind, **value} if isinstance(value, Mapping) else value

        return handler.generate_schema(Annotated[union, Field(discriminator="kind"), BeforeValidator(add_kind)])


SLOT = _ByKind()
