"""The peers, each set up as its own documentation says, with its caches warm.

Those that verify RS256 alone get RS256 tokens of a 2048-bit key, which is cheaper to verify than ES256.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from typing import Annotated, Any

import httpx
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi_azure_auth.auth import AzureAuthorizationCodeBearerBase
from fastapi_clerk_auth import ClerkConfig, ClerkHTTPBearer
from fastapi_plugin import Auth0FastAPI

from tests.benchmarks.auth_server import ISSUER
from tests.benchmarks.contenders import BODY, Contender, Headers, Tokens, bearer, tamper
from tests.support.forge import PROJECT, b64, segment

AUDIENCE = "benchmark-api"


@dataclass
class RsaTokens:
    """RS256 tokens, each for a user of its own, valid for a day."""

    private: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def jwk(self) -> dict[str, str]:
        """The public half of the key."""
        numbers = self.private.public_key().public_numbers()
        modulus, exponent = b64(numbers.n.to_bytes(256, "big")), b64(numbers.e.to_bytes(3, "big"))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa-1", "n": modulus, "e": exponent}

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next user's token."""
        now = int(time.time())
        claims = {
            "sub": f"00000000-0000-4000-8000-{next(self.numbers):012}",
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now - 1,
            "nbf": now - 1,
            "exp": now + 86_400,
            "tid": "11111111-0000-4000-8000-000000000000",
            "ver": "2.0",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "scp": "read",
        }
        signed = f"{segment({'alg': 'RS256', 'typ': 'JWT', 'kid': 'rsa-1'})}.{segment(claims)}"
        return f"{signed}.{b64(self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def peers(origin: str, tokens: Tokens, rsa_tokens: RsaTokens) -> list[Contender]:
    """Every peer; one after the other uses the tokens."""
    forged, note = tamper(next(tokens)), "RS256 only"
    rs256: dict[str, Any] = {"headers": map(bearer, rsa_tokens), "refused": bearer(tamper(next(rsa_tokens)))}
    es256: dict[str, Any] = {"headers": map(_sdk_header, tokens), "refused": _sdk_header(forged)}
    rs256["by"] = es256["by"] = "peers"
    return [
        Contender(_name_with_version("fastapi-azure-auth"), _azure(origin), note=note, **rs256),
        Contender(_name_with_version("auth0-fastapi-api"), _auth0(origin), note=note, **rs256),
        Contender(_name_with_version("fastapi-clerk-auth"), _clerk(origin), note=note, **rs256),
        Contender(f"documented snippet ({_name_with_version('PyJWT')})", _snippet(origin), **es256),
        Contender("a call to `/users/me`", _users_me(origin), headers=es256["headers"], by="peers"),
    ]


def _name_with_version(package: str) -> str:
    return f"{package} {version(package)}"


def _sdk_header(token: str) -> Headers:
    return [(b"host", b"app.test"), (b"accept", b"*/*"), (b"x-stack-access-token", token.encode())]


def _app_with(dependency: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def guarded_route(user: Annotated[Any, Depends(dependency)]) -> Any:
        return BODY

    return app


def _azure(origin: str) -> FastAPI:
    """The class that the single-tenant scheme builds on: it alone takes another address for the configuration."""
    scheme = AzureAuthorizationCodeBearerBase(
        app_client_id=AUDIENCE, tenant_id="benchmark", openid_config_url=f"{origin}/.well-known/openid-configuration"
    )
    return _app_with(scheme)


def _auth0(origin: str) -> FastAPI:
    """Its addresses are always https, so its own hook for fetching leads them to the local server."""
    tenant = ISSUER.removesuffix("/")

    async def fetch(url: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(url.replace(tenant, origin))

    return _app_with(
        Auth0FastAPI(domain=tenant.removeprefix("https://"), audience=AUDIENCE, custom_fetch=fetch).require_auth()
    )


def _clerk(origin: str) -> FastAPI:
    config = ClerkConfig(
        jwks_url=f"{origin}/rsa/jwks.json", audience=AUDIENCE, issuer=ISSUER, verify_aud=True, verify_iss=True
    )
    return _app_with(ClerkHTTPBearer(config=config))


def _snippet(origin: str) -> FastAPI:
    """The way of the vendor's page on Python back ends: PyJWT's key client, made once, and `jwt.decode`."""
    keys = jwt.PyJWKClient(f"{origin}/api/v1/projects/{PROJECT}/.well-known/jwks.json")

    async def verify_locally(x_stack_access_token: Annotated[str, Header()]) -> dict[str, Any]:
        try:
            key = keys.get_signing_key_from_jwt(x_stack_access_token)
            return dict(jwt.decode(x_stack_access_token, key.key, algorithms=["ES256"], audience=PROJECT))
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None

    return _app_with(verify_locally)


def _users_me(origin: str) -> FastAPI:
    """The other way of that page: ask the auth server each time; here with a pool of connections, which is kinder."""
    client = httpx.AsyncClient(base_url=origin)

    async def ask_server(x_stack_access_token: Annotated[str, Header()]) -> dict[str, Any]:
        headers = {"x-stack-access-type": "server", "x-stack-project-id": PROJECT, "x-stack-secret-server-key": "ssk"}
        answer = await client.get("/api/v1/users/me", headers={**headers, "x-stack-access-token": x_stack_access_token})
        if answer.status_code != 200:
            raise HTTPException(401)
        return dict(answer.json())

    return _app_with(ask_server)
