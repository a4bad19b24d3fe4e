"""Types that jsonargparse has to be told, else it writes configs that it cannot read back."""

from numbers import Number

from jsonargparse.typing import register_type


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, got {value!r}")
    return value


# in signatures of torchvision's transforms, as `degrees` of RandomAffine
register_type(Number, serializer=_number, deserializer=_number)
