"""GET /docs: the OpenAPI description as a plain page, without scripts and without a CDN."""

from __future__ import annotations

import json
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h2 { margin-top: 2.5rem; border-top: 1px solid #bbb; padding-top: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border: 1px solid #ccc; }
pre, code { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: #f3f3f3; padding: .8rem; overflow-x: auto; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616; } pre { background: #262626; }
  a { color: #8ab4f8; } th, td { border-color: #444; }
}
"""


def page(schema: dict[str, Any]) -> str:
    """HTML for an OpenAPI 3.1 document."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{escape(schema['info']['title'])}: API</title>",
        "<link rel=stylesheet href=docs.css>",
        f"<h1>{escape(schema['info']['title'])} {escape(schema['info']['version'])}</h1>",
        _text(schema["info"].get("description", "")),
        "<p>For programs: <a href=openapi.json>openapi.json</a></p>",
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts += _operation(schema, path, method, operation)
    return "\n".join(parts) + "\n"


def _operation(schema: dict[str, Any], path: str, method: str, told: dict[str, Any]) -> list[str]:
    parts = [f"<h2><code>{method.upper()} {escape(path)}</code></h2>"]
    parts.append(_text(told.get("description") or told.get("summary", "")))
    rows = [
        (one["name"], one["in"], one["schema"], one.get("required", False), one)
        for one in told.get("parameters", [])
    ]
    for media_type, body in told.get("requestBody", {}).get("content", {}).items():
        form = _resolve(schema, body["schema"])
        required = form.get("required", [])
        rows += [
            (name, media_type, field, name in required, field)
            for name, field in form.get("properties", {}).items()
        ]
    if rows:
        parts.append("<table><tr><th>field<th>in<th>type<th>meaning")
        for name, where, kind, required, described in rows:
            must = " (required)" if required else ""
            parts.append(
                f"<tr><td><code>{escape(name)}</code>{must}<td>{escape(where)}"
                f"<td>{escape(_type(kind))}<td>{escape(described.get('description', ''))}"
            )
        parts.append("</table>")
    parts.append("<table><tr><th>status<th>answer<th>example")
    for status, answer in told["responses"].items():
        contents = answer.get("content", {})
        examples = [one["example"] for one in contents.values() if "example" in one]
        shown = escape(json.dumps(examples[0], indent=1)) if examples else ""
        parts.append(
            f"<tr><td>{status}<td>{escape(answer.get('description', ''))}<br>"
            f"{escape(', '.join(contents))}<td>{f'<pre>{shown}</pre>' if shown else ''}"
        )
    parts.append("</table>")
    return parts


def _text(text: str) -> str:
    return "".join(f"<p>{escape(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        for key in part["$ref"].removeprefix("#/").split("/"):
            schema = schema[key]
        return schema
    return part


def _type(kind: dict[str, Any]) -> str:
    if "anyOf" in kind:
        return " or ".join(_type(one) for one in kind["anyOf"] if one.get("type") != "null")
    if "enum" in kind:
        return ", ".join(map(str, kind["enum"]))
    name = str(kind.get("type", ""))
    if kind.get("contentMediaType") or kind.get("format") == "binary":
        name = "file"
    if name == "array":
        name = f"{_type(kind['items'])}, repeated"
    default = kind.get("default")
    return name if default in (None, []) else f"{name}, default {json.dumps(default)}"
