"""What every switchable part is: a frozen, validated value with a `kind` and behaviour.

Adding an alternative to a slot is one class in the slot's file, named in that file's `slot(...)`. Parts are built where
the configuration is read, before torch is imported; what moves during training lives in the dict that `state` returns,
which the agent keeps, updates in place and stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Part(BaseModel):
    """Base of all parts. Frozen; unknown keys and non-finite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def state(self) -> dict[str, Any]:
        """Tensors of this part that move during training, at their start."""
        return {}


def slot(*alternatives: type[Part]) -> Any:
    """The type of a slot that holds one of `alternatives`, told apart by `kind`; the first where no kind is given."""
    if len(alternatives) == 1:
        return alternatives[0]
    first = alternatives[0].model_fields["kind"].default

    def named(value: Any) -> Any:
        return {"kind": first, **value} if isinstance(value, Mapping) else value

    return Annotated[Union[alternatives], Field(discriminator="kind"), BeforeValidator(named)]  # noqa: UP007 (a tuple)
