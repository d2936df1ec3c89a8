"""Health checks: whether this worker can authenticate requests, and the state of keys, auth server and Redis."""

import re
from typing import Literal

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import VerificationUnavailable
from fastapi_stackauth.http.installed import find_installation
from fastapi_stackauth.runtime.events import HEALTH_WITHOUT_KEYS
from fastapi_stackauth.services import Stack
from fastapi_stackauth.startup.configuration import (
    find_missing,
    needs,
    report_missing,
    report_single_worker,
    report_unfinished_sign_ins,
)
from fastapi_stackauth.startup.routes import check_path
from fastapi_stackauth.verification.jwks import KeyState
from fastapi_stackauth.verification.revocation import LinkState

Status = Literal["ok", "degraded", "down"]


class HealthReport(BaseModel):
    """The state of authentication in this worker, without addresses and secrets."""

    model_config = ConfigDict(frozen=True)

    status: Status = Field(
        description="`ok`; `degraded`: requests are served, but the auth server or Redis is unavailable; `down`: "
        "tokens cannot be verified.",
        examples=["ok"],
    )
    keys: KeyState = Field(
        description="The signing keys: `fresh`; `stale`: expired, but in use while newer ones cannot be fetched; "
        "`fixed` by the settings; `none`.",
        examples=["fresh"],
    )
    keys_age_seconds: float | None = Field(
        default=None, description="Seconds since the keys were last fetched; null if they never were.", examples=[41.3]
    )
    last_error: str | None = Field(
        default=None,
        description="Why the last fetch of the keys failed; null if it succeeded.",
        examples=[None],
    )
    fallback_in_use: bool = Field(
        description="Whether the auth server checks each token, because there are no keys.", examples=[False]
    )
    redis: LinkState = Field(
        description="The connection to the other workers: `memory` without Redis, `connected`, `degraded`, or `idle` "
        "before its first use.",
        examples=["memory"],
    )
    missing_settings: tuple[str, ...] = Field(
        default=(),
        description="Missing settings that routes of this app need. Those routes return 500.",
        examples=[["app_url"]],
    )
    revocations_unpublished: int = Field(
        default=0,
        description="Revocations that this worker has not yet published to the others.",
        examples=[0],
    )


def missing_settings(stack: Stack) -> dict[str, tuple[str, ...]]:
    """Return the missing settings that routes of the stack's apps need, each with those routes."""
    found: dict[str, tuple[str, ...]] = {}
    for app in stack.apps:
        for missing in find_missing(app, stack, default=find_installation(app).default is stack):
            found[missing.name] = (*found.get(missing.name, ()), *missing.routes)
    return found


def report_missing_settings(app: FastAPI) -> None:
    """Report missing settings for the routes of an app and of its mounted apps, whose lifespans never run."""
    installation = find_installation(app)
    for stack in installation.stacks:
        report_missing(stack.services.events, find_missing(app, stack, default=installation.default is stack))
        report_unfinished_sign_ins(app, stack)
        report_single_worker(app, stack)
    for route in app.routes:
        if isinstance(mounted := getattr(route, "app", None), FastAPI):
            report_missing_settings(mounted)


async def check_health(stack: Stack) -> HealthReport:
    """Return the state of authentication. Without keys, try to fetch them, so that a new worker becomes ready."""
    services = stack.services
    keys, project = services.verifier.keys, services.settings.project_id
    missing = tuple(dict.fromkeys([*([] if project else ["project_id"]), *missing_settings(stack)]))
    if project and keys.state == "none" and keys.may_try:
        try:
            await services.verifier.warm_up()
        except VerificationUnavailable:
            services.events.emit(HEALTH_WITHOUT_KEYS)
    linked = True
    try:
        await services.revocations.follow()
    except VerificationUnavailable:
        linked = False
    state, link = keys.state, services.revocations.state
    status: Status = "ok"
    if missing or state == "stale" or link == "degraded" or services.revocations.unpublished_count:
        status = "degraded"
    if state == "none" or not linked or not project:
        status = "down"
    return HealthReport(
        status=status,
        keys=state,
        keys_age_seconds=keys.age_seconds,
        last_error=keys.last_error,
        fallback_in_use=state == "none" and services.settings.fallback_concurrency > 0,
        redis=link,
        missing_settings=missing,
        revocations_unpublished=services.revocations.unpublished_count,
    )


def readiness_router(stack: Stack, path: str) -> APIRouter:
    """Return a router with one GET route: 200 if this worker can authenticate requests, else 503."""
    check_path(path, "stack.readiness")
    router = APIRouter()

    @needs("project_id", stack=stack)
    async def ready(response: Response) -> HealthReport:
        """Report whether this worker can authenticate requests: 200 for `ok` and `degraded`, else 503."""
        response.headers["cache-control"] = "no-store"
        health = await check_health(stack)
        if health.status == "down":
            response.status_code = 503
        return health

    router.add_api_route(
        path,
        ready,
        methods=["GET"],
        operation_id=f"stack_auth_{re.sub(r'[^A-Za-z0-9]+', '_', path).strip('_')}",
        summary="Check whether authentication is ready",
        response_description="This worker can authenticate requests.",
        tags=["health"],
        responses={503: {"model": HealthReport, "description": "This worker cannot authenticate requests."}},
    )
    return router
