"""Replays recorded exchanges against an emulator, following the values that its answers bring.

Law: what the recording says and the emulator answers must have the same status, headers, cookies, code, keys, JSON
types, booleans and nulls. A value that both bring in the same place (an id, a token, a code) stands for the recorded
one from then on.
"""

import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx

from fastapi_stackauth.emulator import APRIL_2026, Chance, Clock, Emulator, keys

DATA = Path(__file__).parents[1] / "data"
SHARED = DATA.parents[1] / ".." / "shared"
SETTINGS = {
    "onboarding.requireEmailVerification": "require_email_verification",
    "project.requirePublishableClientKey": "require_publishable_client_key",
    "teams.createPersonalTeamOnSignUp": "create_personal_team_on_sign_up",
}
KNOWN_SETTINGS = (
    "credential_enabled", "magic_link_enabled", "passkey_enabled", "sign_up_enabled", "allow_localhost", "domains",
    "client_user_deletion_enabled", "client_team_creation_enabled", "allow_user_api_keys", "allow_team_api_keys",
)  # fmt: skip
JWT = re.compile(r"<jwt:(\d+)>")
RULE = re.compile(r'email\.contains\("(\w+)"\)')
HEADERS = ("content-type", "cache-control", "x-stack-known-error", "x-stack-actual-status")
ORIGIN = "localhost:8102"


def claims(token: str) -> dict[str, Any]:
    """Return a token's claims."""
    return keys.read_json(token.split(".")[1])


class FixedChallenge(Chance):
    """Chance, but passkeys sign the word that the recorded server had them sign."""

    def challenge(self) -> bytes:
        return b"MOCK"


def load() -> dict[str, Any]:
    """Return the recorded facts: from the shared contract where it is, else as they were derived from it."""
    if (SHARED / "contract").is_dir():
        spec = importlib.util.spec_from_file_location("derive", DATA / "derive.py")
        assert spec is not None
        assert spec.loader is not None
        derive = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(derive)
        return {name: json.loads(text) for name, text in derive.derive(SHARED).items()}
    return {str(path.relative_to(DATA)): json.loads(path.read_text()) for path in DATA.rglob("*.json")}


def configuration(project: dict[str, Any]) -> dict[str, Any]:
    """Return the emulator's settings for a recorded project."""
    created = project["create_config"]
    config = {name: created[name] for name in KNOWN_SETTINGS if name in created}
    config["oauth_providers"] = [
        {"id": provider["id"], "type": provider["type"]} for provider in created.get("oauth_providers", [])
    ]
    overrides = {**project["environment_override"], **project["project_override"]}
    config |= {SETTINGS[name]: value for name, value in overrides.items() if name in SETTINGS}
    rules = [value for name, value in overrides.items() if name.startswith("auth.signUpRules.")]
    config["sign_up_rules"] = [
        {"contains": RULE.findall(rule["condition"])[0], "action": rule["action"]["type"]} for rule in rules
    ]
    return {**config, "shared_oauth_access_tokens": True}


@dataclass
class Replay:
    """One area's exchanges, replayed in order."""

    area: str
    data: dict[str, Any]
    now: float = 0.0
    values: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.now)
        projects = [project for project in self.data["projects.json"]["projects"] if project["area"] == self.area]
        first = projects[0] if projects else {"project_id": None}
        self.emulator = Emulator(
            f"https://{ORIGIN}",  # whose cookies are Secure, as the recorded server's are
            project_id=first["project_id"],
            clock=self.clock,
            chance=FixedChallenge(),
            token_lifetime=60,
            profile=APRIL_2026,
            fast_hashes=True,
        )
        with self.emulator.store.transaction():
            self.emulator.store.database.run("delete from projects")
            for project in projects:
                names = ("display_name", "publishable_client_key", "secret_server_key", "super_secret_admin_key")
                keys = {name: project[name] for name in names}
                self.emulator.store.projects.create(configuration(project), id=project["project_id"], **keys)
        self.emails = [mail for mail in self.data["mails.json"]["mails"] if mail["area"] == self.area]
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.emulator.app), base_url=f"http://{ORIGIN}", follow_redirects=False
        )

    @property
    def tokens(self) -> list[str]:
        return list(self.data[f"exchanges/{self.area}.json"]["tokens"])

    @property
    def exchanges(self) -> list[dict[str, Any]]:
        return list(self.data[f"exchanges/{self.area}.json"]["exchanges"])

    def following(self, value: Any) -> Any:
        """Return a part of a recorded request with the emulator's values in it."""
        if isinstance(value, dict):
            return {key: self.following(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.following(item) for item in value]
        if not isinstance(value, str):
            return value
        for recorded in sorted((known for known in self.values if known in value), key=len, reverse=True):
            value = value.replace(recorded, self.values[recorded])
        return value

    def in_answered_order(self, recorded: dict[str, Any], answer: httpx.Response) -> dict[str, Any]:
        """Return a recorded list with its items, each of which the answer must have, in the order of the answer."""
        items = answer.json()["items"]
        ordered = sorted(recorded["body"]["items"], key=lambda item: items.index(self.following(item)))
        return {**recorded, "body": {**recorded["body"], "items": ordered}}

    def learn(self, recorded: Any, answered: Any) -> None:
        """Remember which value stands for which recorded one."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            for key in recorded.keys() & answered.keys():
                self.learn(recorded[key], answered[key])
        elif isinstance(recorded, list) and isinstance(answered, list):
            for one, other in zip(recorded, answered, strict=False):
                self.learn(one, other)
        elif isinstance(recorded, str) and isinstance(answered, str) and recorded != answered and len(recorded) >= 6:
            if token := JWT.fullmatch(recorded):
                self.values[recorded] = answered
                self.learn_claims(self.tokens[int(token[1])], answered)
            elif recorded.startswith("http"):
                self.learn_query(recorded, answered)
            else:
                self.values |= {recorded: answered, recorded.upper(): answered.upper()}

    def learn_from(self, exchange: dict[str, Any], answer: httpx.Response) -> None:
        """Remember every value that recording and answer bring in the same place."""
        recorded = exchange["response"]
        if answer.headers.get("content-type", "").startswith("application/json"):
            self.learn(recorded["body"], answer.json())
        if "location" in recorded["headers"] and "location" in answer.headers:
            self.learn_query(recorded["headers"]["location"], answer.headers["location"])
        self.learn_mails()

    def learn_claims(self, recorded: str, answered: str) -> None:
        """Compare two access tokens' claims, and remember what stands for their values."""
        one, other = claims(recorded), claims(answered)
        self.odd += [f"token: {text}" for text in differences(one, other, "claims")]
        self.learn(one, other)

    def learn_query(self, recorded: str, answered: str) -> None:
        """Remember the state and code in an address."""
        one, other = parse_qs(urlsplit(recorded).query), parse_qs(urlsplit(answered).query)
        for name in ("state", "code"):
            if name in one and name in other:
                self.values[one[name][0]] = other[name][0]

    def learn_mails(self) -> None:
        """Remember which code stands for each recorded mail's; the nth mail to somebody is the nth."""
        for project in self.emulator.store.projects.all():
            sent = list(reversed(self.emulator.store.emails.find(project.id)))
            for mail in sent:
                alike = [
                    other for other in sent if (other["recipient"], other["kind"]) == (mail["recipient"], mail["kind"])
                ]
                recorded = [m for m in self.emails if (m["to"], m["kind"]) == (mail["recipient"], mail["kind"])]
                number = alike.index(mail)
                if number < len(recorded):
                    self.learn_code(recorded[number]["code"], mail["code"])

    def learn_code(self, recorded: str, sent: str) -> None:
        """Remember a code in every spelling: small, capital, and typed capitals with the nonce."""
        for spell in (str.lower, str.upper, lambda code: code[:6].upper() + code[6:]):
            self.values[spell(recorded)] = spell(sent)

    async def send(self, exchange: dict[str, Any]) -> httpx.Response:
        """Send one recorded request."""
        self.now = exchange["at"]
        request = exchange["request"]
        headers = {name: self.following(value) for name, value in request["headers"].items()}
        parts = urlsplit(request["path"])
        path = self.following(parts.path) + ("?" + self.query(parts.query) if parts.query else "")
        return await self.http.request(
            request["method"], path, headers=headers, content=self.content(request["body"], headers)
        )

    def query(self, query: str) -> str:
        """Return a query with the emulator's values in it."""
        pairs = parse_qs(query, keep_blank_values=True)
        return urlencode({name: self.following(values[0]) for name, values in pairs.items()}, quote_via=quote)

    def content(self, body: Any, headers: dict[str, str]) -> bytes | None:
        """Return a recorded body as it was sent."""
        kind = headers.get("content-type", "")
        if isinstance(body, str):
            return body.encode()
        if kind.startswith("application/x-www-form-urlencoded"):
            return urlencode(self.following(body)).encode()
        if body is None:
            return None
        return json.dumps(self.following(body)).encode()

    async def grant(self, exchange: dict[str, Any], email: str) -> None:
        """Have the mock provider grant the code that a recorded callback brings."""
        request = exchange["request"]
        fields = request["body"] or {name: v[0] for name, v in parse_qs(urlsplit(request["path"]).query).items()}
        state = self.following(fields["state"])
        provider = urlsplit(request["path"]).path.rsplit("/", 1)[1]
        form = {"state": state, "email": email, "answer": "allow"}
        answer = await self.http.post(f"/emulator/oauth/{provider}/authorize", data=form)
        assert answer.status_code == 303, answer.text
        self.values[fields["code"]] = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    def age_code(self, exchange: dict[str, Any]) -> None:
        """Let a code expire, as the recorder did in its database."""
        code = self.following(exchange["request"]["body"]["code"]).lower()
        self.emulator.store.database.run("update codes set expires_at = 0 where code = ?", code)

    async def close(self) -> None:
        await self.http.aclose()
        self.emulator.close()


def differences(recorded: Any, answered: Any, path: str = "body") -> list[str]:
    """Return where two bodies differ in keys, types, booleans or nulls."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        odd = [f"{path}.{key}" for key in sorted(recorded.keys() ^ answered.keys())]
        return odd + [
            difference
            for key in recorded.keys() & answered.keys()
            for difference in differences(recorded[key], answered[key], f"{path}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(answered, list):
        if len(recorded) != len(answered):
            return [f"{path} has {len(answered)} items, not {len(recorded)}"]
        pairs = enumerate(zip(recorded, answered, strict=True))
        return [text for number, pair in pairs for text in differences(*pair, f"{path}[{number}]")]
    kinds = [float if type(value) in (int, float) else type(value) for value in (recorded, answered)]
    if kinds[0] is not kinds[1] or (isinstance(recorded, bool) and recorded is not answered):
        return [f"{path} is {answered!r}, recorded {recorded!r}"]
    return []


def compare(recorded: dict[str, Any], answer: httpx.Response) -> list[str]:
    """Return where an answer differs from the recorded response."""
    if recorded["status"] != answer.status_code:
        return [f"status {answer.status_code}, recorded {recorded['status']}: {answer.text[:200]}"]
    return header_differences(recorded["headers"], answer.headers) + body_differences(recorded["body"], answer)


def header_differences(recorded: dict[str, str], answered: httpx.Headers) -> list[str]:
    """Return which headers differ; those of CORS are recorded for preflights alone."""
    expected = {name: recorded.get(name) for name in HEADERS}
    expected |= {name: value for name, value in recorded.items() if name.startswith("access-control")}
    odd = [
        f"{name} is {answered.get(name)!r}, recorded {value!r}"
        for name, value in expected.items()
        if value != answered.get(name)
    ]
    cookies = [cookie_form(headers.get("set-cookie", "")) for headers in (recorded, answered)]
    if cookies[0] != cookies[1]:
        odd.append(f"set-cookie is {cookies[1]}, recorded {cookies[0]}")
    if ("location" in recorded) != ("location" in answered):
        odd.append(f"location {answered.get('location')}, recorded {recorded.get('location')}")
    elif "location" in recorded:
        odd += location_differences(recorded["location"], answered["location"])
    return odd


def cookie_form(cookie: str) -> str:
    """Return a cookie as it is spelled, without its random name and without a time that is not the epoch."""
    return re.sub(r"(?<=Expires=)(?!Thu, 01 Jan 1970)[^;]+", "<time>", re.sub(r"inner-[\w-]+", "inner-<state>", cookie))


def body_differences(recorded: Any, answer: httpx.Response) -> list[str]:
    """Return where a body differs: in JSON as `differences` says, in a text in being there at all."""
    if not isinstance(recorded, dict):
        return [] if bool(recorded) == bool(answer.text) else [f"body is {answer.text[:200]!r}, recorded {recorded!r}"]
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return [f"body is {answer.text[:200]!r}, recorded {recorded!r}"]
    codes = [body.get("code") for body in (recorded, answer.json())] if "error" in recorded else [None, None]
    odd = [] if codes[0] == codes[1] else [f"code {codes[1]}, recorded {codes[0]}"]
    return odd + differences(recorded, answer.json())


def location_differences(recorded: str, answered: str) -> list[str]:
    """Return where two redirects differ: the address they go back to, and the names in the query."""
    one, other = urlsplit(recorded), urlsplit(answered)
    if not one.netloc:
        return [] if recorded == answered else [f"location {answered}, recorded {recorded}"]
    if "callback" not in one.path and "error" not in one.path:  # to a provider: the emulator has its own
        names = {"client_id", "response_type", "redirect_uri", "state"}
        return [] if names <= set(parse_qs(other.query)) else ["the provider's address lacks a field"]
    queries = [parse_qs(parts.query, keep_blank_values=True) for parts in (one, other)]
    same = (one.netloc, one.path, set(queries[0])) == (other.netloc, other.path, set(queries[1]))
    codes = [query.get("errorCode") for query in queries]
    return [] if same and codes[0] == codes[1] else [f"location {answered}, recorded {recorded}"]
