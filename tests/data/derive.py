"""Turns the shared contract into the facts that the tests read, without any of its sentences.

`python tests/data/derive.py` writes `tests/data/`; `--check` only says whether what is written is current.
Law: the output depends on the input alone, keeps every JSON type, and holds no human text (it becomes `<text>`).
Equal values stay equal within a file, so a replay can follow them. JWTs are written once per file, in `tokens`;
`<jwt:3>` stands for the fourth of them.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / ".." / "shared"
TEXT = "<text>"
JWT = re.compile(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+")
RESPONSE_HEADERS = (
    "content-type", "cache-control", "location", "set-cookie", "x-stack-known-error", "x-stack-actual-status",
    "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
    "access-control-expose-headers", "access-control-max-age",
)  # fmt: skip
# Values that are prose, by the name of their field, wherever they stand in a body.
PROSE = {"html", "tsx_source", "error_description", "subject", "text", "restricted_by_admin_private_details"}
BUILT_IN_PERMISSIONS = re.compile(r"\$|team_admin$|team_member$")
MAIL_KINDS = {
    "Verify your email": "email_verification", "Reset your password": "password_reset",
    "Sign in to": "sign_in", "You have been invited": "team_invitation",
}  # fmt: skip
USER_LIST_QUERY = (
    "team_id", "limit", "cursor", "order_by", "desc", "query",
    "include_anonymous", "only_anonymous", "include_restricted",
)  # fmt: skip
# What a run beside the real server corrected: query fields and errors that the contract leaves out, or has too many.
CORRECTIONS: dict[str, dict[str, Any]] = {
    "POST /api/v1/users": {"query": USER_LIST_QUERY},
    "GET /api/v1/users/{user_id}": {"query": USER_LIST_QUERY},
    "PATCH /api/v1/users/{user_id}": {"query": USER_LIST_QUERY},
    "DELETE /api/v1/users/{user_id}": {"query": USER_LIST_QUERY},
    "GET /api/v1/team-member-profiles": {"no_errors": ("USER_NOT_FOUND",)},
    "GET /api/v1/team-member-profiles/{team_id}/{user_id}": {"errors": {"USER_NOT_FOUND": 404}},
    "PATCH /api/v1/team-member-profiles/{team_id}/{user_id}": {
        "errors": {"CANNOT_GET_OWN_USER_WITHOUT_USER": 400, "USER_NOT_FOUND": 404}
    },
}
# What the newest sources add, and the emulator's profile `newest` has.
NEWEST_USER_QUERY = {"query": ["excluded_email_domains"]}
NEWEST: dict[str, dict[str, Any]] = {
    "GET /api/v1/auth/oauth/authorize/{provider_id}": {"query": ["hexclave_response_mode"]},
    "GET /api/v1/projects/current": {
        "response": {
            "is_development_environment": "boolean",
            "pushed_config_error": "object or null",
            "config_warnings": "array",
            "config.allow_localhost": "boolean",
            "config.allow_promo_codes": "boolean",
            "config.allow_stacking_promo_codes": "boolean",
        }
    },
    "GET /api/v1/users": NEWEST_USER_QUERY,
    **{name: NEWEST_USER_QUERY for name in CORRECTIONS if "/users" in name},
}
NEWEST_DETAILS = {"REDIRECT_URL_NOT_WHITELISTED": ["redirect_url"]}
TAKEN_UP = ("cli", "impersonation")
"""The areas of `recordings_next/` that the project has built; each replaces the older recording of its area."""
TYPE_WORDS = {"literal": "literal", "uuid": "string", "ISO-8601": "string", "type": "mixed"}


class Tokens:
    """Collects the JWTs of one file and hands out what stands for them."""

    def __init__(self) -> None:
        self.table: list[str] = []

    def stand_in(self, match: re.Match[str]) -> str:
        """Return `<jwt:N>` for the matched token."""
        if match[0] not in self.table:
            self.table.append(match[0])
        return f"<jwt:{self.table.index(match[0])}>"

    def shorten(self, value: Any) -> Any:
        """Return the value with each JWT in it replaced, keys and order kept."""
        if isinstance(value, dict):
            return {key: self.shorten(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.shorten(item) for item in value]
        return JWT.sub(self.stand_in, value) if isinstance(value, str) else value


def without_prose(value: Any, holder: str = "") -> Any:
    """Return a response body's value with every human text replaced."""
    if isinstance(value, dict):
        texts = PROSE | ({"message"} if holder == "details" else set())
        texts |= {"description"} if BUILT_IN_PERMISSIONS.match(str(value.get("id", ""))) else set()
        return {key: text_or(item, key in texts, key) for key, item in value.items()}
    if isinstance(value, list):
        return [without_prose(item, holder) for item in value]
    return value


def text_or(value: Any, is_text: bool, key: str) -> Any:
    """Return the stand-in where the value is a human text, else the value without prose inside."""
    return TEXT if is_text and isinstance(value, str) else without_prose(value, key)


def response_body(response: dict[str, Any]) -> Any:
    """Return the body of a recorded response without its texts."""
    body = response["body"]
    if isinstance(body, str):
        return TEXT if body else ""
    body = without_prose(body)
    if isinstance(body, dict) and "error" in body and ("code" in body or " " in str(body["error"])):
        body["error"] = TEXT
    return body


def without_query_texts(location: str) -> str:
    """Return a redirect's target with the texts in its query replaced."""
    parts = urlsplit(location)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if not any(key in ("message", "error_description") for key, _ in pairs):
        return location
    query = [
        (key, TEXT if key in ("message", "error_description") else without_details(key, value)) for key, value in pairs
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


def without_details(key: str, value: str) -> str:
    """Return a query value; where it is an error's details in JSON, their message is replaced."""
    return json.dumps(without_prose(json.loads(value), "details")) if key == "details" else value


def exchange(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of one recorded exchange."""
    answer = recorded["response"]
    headers = {name: value for name, value in answer["headers"].items() if name in RESPONSE_HEADERS}
    if "location" in headers:
        headers["location"] = without_query_texts(headers["location"])
    response = {"status": answer["status"], "headers": headers, "body": response_body(answer)}
    kept = {key: recorded[key] for key in ("name", "operation", "at", "request")}
    return {**kept, "response": response}


def exchanges(path: Path) -> str:
    """Return one area's exchanges as JSON, one exchange a line."""
    tokens = Tokens()
    lines = [dump(tokens.shorten(exchange(item))) for item in json.loads(path.read_text())]
    return json_lines("exchanges", lines, tokens=tokens.table)


def dump(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_lines(name: str, lines: list[str], **tables: list[str]) -> str:
    """Return a JSON object whose list `name` has one item a line."""
    body = ",\n".join(lines)
    rest = "".join(f',\n"{key}":[\n' + ",\n".join(map(dump, rows)) + "\n]" for key, rows in tables.items())
    return f'{{"{name}":[\n{body}\n]{rest}}}\n'


def type_word(words: str) -> str:
    """Return the type word that a described type begins with."""
    if words.startswith('"'):
        return "string"
    if words.startswith("literal"):
        return "string" if words.startswith("literal string") else "boolean"
    first = re.split(r"[\s,;:(=/|]", words)[0]
    return TYPE_WORDS.get(first, first if re.fullmatch(r"[a-z]+", first) else "object")


def shape(value: Any) -> Any:
    """Return the keys and types of a described response, without its sentences."""
    if isinstance(value, str):
        match = re.match(r"schemas\.([\w.]+)", value)
        return {"schema": match[1]} if match else {"type": type_word(value)}
    if isinstance(value, list):
        return {"type": "array", "items": shape(value[0])}
    if not isinstance(value, dict):
        return {"type": "boolean"}
    if isinstance(value.get("type"), str) and ("required" in value or "fields" in value):
        return field_shape(value)
    if value and set(value) <= {"client", "server/admin", "server", "admin"}:
        return {"by_access_type": {key: shape(item) for key, item in value.items()}}
    return {"type": "object", "fields": {key: shape(item) for key, item in value.items() if " " not in key}}


def field_shape(value: dict[str, Any]) -> dict[str, Any]:
    """Return one described field: type, whether it may be missing or null, and what is inside."""
    field: dict[str, Any] = {"type": type_word(value["type"]), "required": value.get("required", False) is True}
    if value.get("nullable") or "null" in value["type"]:
        field["nullable"] = True
    if isinstance(value.get("fields"), dict):
        field["fields"] = {key: shape(item) for key, item in value["fields"].items()}
    if "items" in value:
        field["items"] = shape(value["items"])
    return field


def schema(schemas: dict[str, Any], name: str, access: str, part: str) -> Any:
    """Return one named schema's shape; "same as client" is followed."""
    value = schemas[name][access][part]
    if isinstance(value, str):
        return schema(schemas, name, value.rsplit(" ", 1)[1], part) if value.startswith("same as") else shape(value)
    return shape(value)


def read_schemas(schemas: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what each access type reads of each resource, by its dotted name."""
    for name, accesses in schemas.items():
        for access, parts in accesses.items():
            if access in ("client", "server", "admin") and "read" in parts:
                yield f"{name}.{access}.read", schema(schemas, name, access, "read")
            elif access.startswith("create_") and isinstance(parts, dict):
                yield f"{name}.{access}", shape(parts)


def access_types(words: list[str]) -> list[str]:
    """Return the access types alone; `none` where no header is needed."""
    return [word.split()[0] for word in words if word != "forwarded"]


def fields(described_fields: Any) -> dict[str, bool]:
    """Return the names of request fields, and whether each must be there."""
    if not isinstance(described_fields, dict):
        return {}
    return {
        name: isinstance(spec, dict) and spec.get("required") is True
        for name, spec in described_fields.items()
        if re.fullmatch(r"[\w-]+", name)
    }


def operation(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of one operation."""
    success = endpoint["success"]
    errors = [
        {"code": error.get("code"), "status": error["status"]}
        if "code" in error
        else {"text": True, "status": error["status"]}
        for error in endpoint["errors"]
    ]
    name = f"{endpoint['method']} {endpoint['path']}"
    correction = CORRECTIONS.get(name, {})
    errors = [error for error in errors if error.get("code") not in correction.get("no_errors", ())]
    errors += [{"code": code, "status": status} for code, status in correction.get("errors", {}).items()]
    return {
        "method": endpoint["method"],
        "path": endpoint["path"],
        "area": endpoint["area"],
        "access_types": access_types(endpoint["access_types"]),
        "query": {**fields(endpoint["query"]), **dict.fromkeys(correction.get("query", ()), False)},
        "body": fields(endpoint["body"]),
        "success": [int(status) for status in re.findall(r"\b[23]\d\d\b", str(success["status"]))],
        "response": shape(success["response"]),
        "errors": errors,
        **({"newest": NEWEST[name]} if name in NEWEST else {}),
    }


def operations(contract: Path) -> str:
    """Return every operation and every schema that an answer has."""
    source = json.loads((contract / "endpoints.json").read_text())
    lines = [dump(operation(endpoint)) for endpoint in source["endpoints"]]
    schemas = [f"{dump(name)}:{dump(value)}" for name, value in read_schemas(source["schemas"])]
    joined = ",\n".join(schemas)
    return json_lines("operations", lines).removesuffix("}\n") + f',\n"schemas":{{\n{joined}\n}}}}\n'


def known_errors(contract: Path) -> str:
    """Return every error code with its status, parents and the names of its details."""
    source = json.loads((contract / "known_errors.json").read_text())
    lines = [
        dump({
            "code": error["code"],
            "status": error["status"],
            "abstract": error["abstract"],
            "parent_codes": error["parent_codes"],
            "details": sorted(error["details"]) if isinstance(error["details"], dict) else [],
            **({"newest_details": NEWEST_DETAILS[error["code"]]} if error["code"] in NEWEST_DETAILS else {}),
        })
        for error in source["errors"]
    ]  # fmt: skip
    return json_lines("errors", lines)


def mails(contract: Path) -> str:
    """Return each mail's area, recipient, kind and code."""
    lines = []
    for mail in json.loads((contract / "recordings" / "_mails.json").read_text()):
        kind = next((kind for start, kind in MAIL_KINDS.items() if mail["subject"].startswith(start)), "other")
        code = re.search(r"[?&]code=([0-9a-z]{45})", mail["text"])
        lines.append(
            dump(
                {
                    "area": mail["area"],
                    "to": mail["to"],
                    "kind": kind,
                    "code": code and code[1],
                    "at": mail["at"],
                }
            )
        )
    return json_lines("mails", lines)


def projects(contract: Path) -> str:
    """Return the projects that the exchanges talk to."""
    source = [
        project
        for folder in ("recordings", "recordings_next")
        for project in json.loads((contract / folder / "_projects.json").read_text())
        if (project["area"] in TAKEN_UP) == (folder == "recordings_next")
    ]
    return json_lines("projects", [dump(without_rule_texts(project)) for project in source])


def recordings(contract: Path) -> dict[str, Path]:
    """Return the file of each recorded area by the name of the area."""
    files = {path.stem: path for path in (contract / "recordings").glob("[a-z]*.json") if path.stem != "token-vectors"}
    files |= {area: contract / "recordings_next" / f"{area}.json" for area in TAKEN_UP}
    return dict(sorted(files.items()))


def without_rule_texts(project: dict[str, Any]) -> dict[str, Any]:
    """Return a project whose sign-up rules have lost the sentence they show."""
    stripped: dict[str, Any] = json.loads(re.sub(r'"message": "[^"]*"', f'"message": "{TEXT}"', json.dumps(project)))
    return stripped


def token_vectors(contract: Path) -> str:
    """Return the recorded tokens with their key sets, without the remarks."""
    source = json.loads((contract / "recordings" / "token-vectors.json").read_text())
    del source["note"]
    source["tokens"] = [{key: item for key, item in token.items() if key != "why"} for token in source["tokens"]]
    return json.dumps(source, indent=1) + "\n"


def derive(shared: Path) -> dict[str, str]:
    """Return every derived file's text by its path under `tests/data/`."""
    contract = shared / "contract"
    return {
        "token-vectors.json": token_vectors(contract),
        "operations.json": operations(contract),
        "known_errors.json": known_errors(contract),
        "mails.json": mails(contract),
        "projects.json": projects(contract),
        **{f"exchanges/{area}.json": exchanges(path) for area, path in recordings(contract).items()},
    }


def stale(shared: Path) -> list[str]:
    """Return the names of derived files that are missing, old, or derived from nothing."""
    wanted = derive(shared)
    present = {str(path.relative_to(HERE)) for path in HERE.rglob("*.json")}
    old = [name for name, text in wanted.items() if name in present and (HERE / name).read_text() != text]
    return sorted(old + list(present ^ set(wanted)))


def write(files: dict[str, str]) -> None:
    """Write the derived files."""
    for name, text in files.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is written or current, 1 when stale, 2 without the shared folder."""
    parser = argparse.ArgumentParser(description="Derive tests/data from the shared contract.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    parser.add_argument("--shared", type=Path, default=SHARED, help="the shared folder (default: ../shared)")
    options = parser.parse_args(arguments)
    if not (options.shared / "contract" / "endpoints.json").is_file():
        sys.stderr.write(f"There is no contract under {options.shared}: nothing to derive from.\n")
        return 2
    if options.check:
        names = stale(options.shared)
        sys.stdout.write("".join(f"not current: {name}\n" for name in names) or "tests/data is current\n")
        return 1 if names else 0
    write(derive(options.shared))
    return 0


if __name__ == "__main__":
    sys.exit(main())
