"""Convert the schemas of `schema.py` to JSON Schema (draft 2020-12), so that editors can check seed files.

Law: pure. Values that the server only tolerates (5 for "5") are left out, because an editor should show correct values.
"""

from typing import Any

from .schema import UUID, Check, Flag, Items, Number, Record, Text
from .seeding import SEED
from .store.projects import SETTINGS

FORMATS: dict[str, dict[str, Any]] = {
    "email": {"format": "email"},
    "strict_email": {"format": "email"},
    "url": {"format": "uri"},
    "domain": {"pattern": "^https?://"},
    "uuid": {"pattern": f"^({UUID.pattern})$"},
    "base64": {"contentEncoding": "base64"},
    "country": {"pattern": "^[A-Z]{2}$"},
    "filled": {"minLength": 1},
    "permission": {"pattern": "^[a-z0-9_:]+$"},
}


def seed_schema() -> dict[str, Any]:
    """Return the JSON Schema of a seed file."""
    schema = to_schema(SEED)
    schema["properties"]["project"]["properties"]["config"] = to_schema(SETTINGS)
    schema["properties"]["$schema"] = {"type": "string", "description": "For editors; passed over."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Seed of the emulator",
        "description": "The initial state of the project: `python -m fastapi_stackauth.emulator --seed FILE`.",
        **schema,
    }


def to_schema(check: Check) -> dict[str, Any]:
    """Return the JSON Schema of a check."""
    schema = _plain(check)
    if check.nullable and schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def _plain(check: Check) -> dict[str, Any]:
    if isinstance(check, Text):
        return _text(check)
    if isinstance(check, Flag):
        return {"type": "boolean"} if check.only is None else {"const": check.only}
    if isinstance(check, Number):
        bounds = {"minimum": check.least, "maximum": check.most}
        kind = "integer" if check.whole else "number"
        return {"type": kind, **{name: bound for name, bound in bounds.items() if bound is not None}}
    if isinstance(check, Items):
        return {"type": "array", "items": to_schema(check.of)}
    if isinstance(check, Record):
        return _record(check)
    return {}


def _text(check: Text) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if check.choices:
        schema["enum"] = list(check.choices)
    if check.longest is not None:
        schema["maxLength"] = check.longest
    return {**schema, **FORMATS.get(check.form or "", {})}


def _record(check: Record) -> dict[str, Any]:
    required = [name for name, inner in check.fields.items() if inner.required]
    return {
        "type": "object",
        "properties": {name: to_schema(inner) for name, inner in check.fields.items()},
        **({"required": required} if required else {}),
        "additionalProperties": check.open,
    }
