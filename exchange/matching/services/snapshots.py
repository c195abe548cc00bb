"""The problem of a plan, packed to be kept beside it and read again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from exchange.matching import rules


def packed(problem: rules.Problem) -> bytes:
    """Return the problem in few bytes: compressed JSON."""
    return zlib.compress(json.dumps(_to_json(problem), ensure_ascii=False, separators=(",", ":")).encode())


def unpacked(stored: bytes) -> rules.Problem:
    """Return the problem that was packed; fields added to the rules since then have their defaults."""
    problem = _from_json(rules.Problem, json.loads(zlib.decompress(stored)))
    assert isinstance(problem, rules.Problem)
    return problem


def _to_json(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return [[_to_json(key), _to_json(of)] for key, of in sorted(value.items())]
    if isinstance(value, frozenset):
        return sorted(_to_json(one) for one in value)
    if isinstance(value, tuple):
        return [_to_json(one) for one in value]
    return value


def _from_json(kind: Any, value: Any) -> Any:
    """Read a value of the annotated ``kind`` back."""
    origin = get_origin(kind)
    if value is None:
        return None
    if origin in (Union, UnionType):
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
        return _from_json(kind, value)
    if origin is tuple:
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            return tuple(_from_json(kinds[0], one) for one in value)
        return tuple(_from_json(of, one) for of, one in zip(kinds, value, strict=True))
    if origin is frozenset:
        (of,) = get_args(kind)
        return frozenset(_from_json(of, one) for one in value)
    if origin is Mapping:
        key_kind, of = get_args(kind)
        return {_from_json(key_kind, key): _from_json(of, one) for key, one in value}
    if isinstance(kind, type) and is_dataclass(kind):
        types = _types(kind)
        return kind(**{name: _from_json(types[name], one) for name, one in value.items()})
    if kind is date:
        return date.fromisoformat(value)
    return kind(value)


@lru_cache(maxsize=64)
def _types(kind: type) -> dict[str, Any]:
    """Return the types of a record's fields."""
    return get_type_hints(kind)
