"""Read an OpenAPI document as if every response and example stood in its own route."""

from typing import Any

_SHARED = ("#/components/responses/", "#/components/examples/")


def inline_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the references to shared responses and examples resolved."""
    paths: dict[str, Any] = _resolve(schema, schema["paths"])
    return {**schema, "paths": paths}


def _resolve(schema: dict[str, Any], node: Any) -> Any:
    if isinstance(node, list):
        return [_resolve(schema, each) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith(_SHARED):
        section, name = reference.removeprefix("#/components/").split("/")
        return _resolve(schema, schema["components"][section][name])
    return {key: _resolve(schema, value) for key, value in node.items()}
