"""The route for the auth server's webhooks. It verifies each message, handles it once and passes on a typed event."""

import hashlib
import json
import re
from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from fastapi_stackauth.errors import (
    ConfigurationError,
    RequestError,
    RequestInvalid,
    WebhookInvalid,
)
from fastapi_stackauth.http.bodies import WEBHOOK, not_json, read_body
from fastapi_stackauth.http.responses import problem_response
from fastapi_stackauth.http.signatures import Envelope
from fastapi_stackauth.models.webhooks import (
    EVENT_TYPES,
    ProjectPermissionEvent,
    TeamDeletedEvent,
    TeamEvent,
    TeamMembershipEvent,
    TeamPermissionEvent,
    UserDeletedEvent,
    UserEvent,
    WebhookEvent,
    read_event,
)
from fastapi_stackauth.runtime.events import (
    WEBHOOK_FAILED,
    WEBHOOK_HANDLED,
    WEBHOOK_REJECTED,
    WEBHOOK_STORAGE_UNAVAILABLE,
)
from fastapi_stackauth.runtime.storage import MemoryStorage, Storage, StorageUnavailable
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.startup.configuration import needs
from fastapi_stackauth.startup.routes import check_path

_HANDLING_SECONDS = 60.0
"""How long a message counts as being handled, in case its worker dies."""
_DONE_SECONDS = 2 * 86_400.0
"""How long a handled message is remembered. Its last delivery attempt can be more than a day later."""
_DONE = "done"

Handler = TypeVar("Handler", bound=Callable[[Any], Any])


class WebhookRouter(APIRouter):
    """A router with one route for the auth server's webhooks. `on` registers handlers.

    Example:
        >>> webhooks = stack.webhooks("/webhooks/stack-auth")
        >>> @webhooks.on("user.created")
        ... async def welcome(event: UserEvent) -> None: ...
        >>> app.include_router(webhooks)
    """

    def __init__(self, stack: Stack, path: str) -> None:
        check_path(path, "stack.webhooks")
        super().__init__()
        self._receiver = receiver = _Receiver(stack)

        @needs("webhook_secrets", stack=stack)
        async def receive(request: Request) -> Response:
            return await receiver.receive(request)

        self.add_api_route(
            path,
            receive,
            methods=["POST"],
            status_code=204,
            response_class=Response,
            response_description="The message is handled. A repeated message is not handled again.",
            operation_id=f"stack_auth_{re.sub(r'[^A-Za-z0-9]+', '_', path).strip('_')}",
            summary="Receive webhooks from the auth server",
            description=(
                "Only the auth server calls this route. Each message is signed over its raw body, with the headers "
                "`svix-id`, `svix-timestamp` and `svix-signature`, or the `webhook-` headers of Standard Webhooks."
            ),
            tags=["webhooks"],
            responses={
                400: problem_response(
                    "The message is not from the auth server, is too old, or is not JSON.",
                    (WebhookInvalid(""), not_json()),
                ),
                409: problem_response(
                    "Another request is handling the message. Try again.", (RequestError("webhook_in_progress"),)
                ),
                413: problem_response(
                    "The message is too large.",
                    (RequestError("request_too_large", details={"max_body_size": WEBHOOK}),),
                ),
                422: problem_response("The message is not an event.", (RequestInvalid((("body.type", "Missing"),)),)),
            },
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": _BODY}}},
        )

    def on(self, *types: str) -> Callable[[Handler], Handler]:
        """Register a sync or async handler for these types of events, or for all.

        The handler receives the event. If it raises, the response is an error, and the auth server sends the message
        again.

        Raises:
            ConfigurationError: This library does not know the type. For newer types, use `on()`.
        """
        if strange := sorted(set(types) - set(EVENT_TYPES)):
            raise ConfigurationError(
                f"webhooks: {', '.join(strange)} is not an event type. Use {', '.join(EVENT_TYPES)}."
            )

        def register(handler: Handler) -> Handler:
            self._receiver.handlers.append((frozenset(types), handler))
            return handler

        return register


class _Receiver:
    def __init__(self, stack: Stack) -> None:
        self.handlers: list[tuple[frozenset[str], Callable[[Any], Any]]] = []
        self._stack = stack
        self._own = MemoryStorage(stack.services.clock)
        self._max_body = max(WEBHOOK, stack.services.settings.max_body_size)

    async def receive(self, request: Request) -> Response:
        """Handle one message.

        Raises:
            WebhookInvalid, RequestInvalid, RequestError.
            ConfigurationError: No secret is set.
        """
        keys = self._stack.services.settings.require_webhook_keys()
        try:
            envelope = Envelope.read(request.headers)
            envelope.check_age(self._stack.services.clock())
            body = await (await read_body(request, self._max_body)).body()
            key = envelope.check_signature(body, keys)
        except WebhookInvalid as refusal:
            self._stack.services.events.emit(WEBHOOK_REJECTED, reason=refusal.reason)
            raise
        event = _event(body, envelope)
        # Each endpoint receives the same message, and has its own path or secret.
        endpoint = hashlib.sha256(request.scope["path"].encode() + b" " + key).hexdigest()[:16]
        claim = f"webhook:{endpoint}:{envelope.message_id}"
        if await self._claim(claim):
            await self._handle(event, claim)
        return Response(status_code=204)

    async def _handle(self, event: WebhookEvent, claim: str) -> None:
        kind = event.type if event.type in EVENT_TYPES else "unknown"
        try:
            await apply_event(self._stack.services, event)
            for types, handler in self.handlers:
                if not types or event.type in types:
                    await _call(handler, event)
        except BaseException:  # also on cancellation: an unfinished message must be delivered again
            await self._storage.remove(claim)
            await self._own.remove(claim)
            self._stack.services.events.emit(WEBHOOK_FAILED, type=kind)
            raise
        await self._storage.set(claim, _DONE, _DONE_SECONDS)
        await self._own.set(claim, _DONE, _DONE_SECONDS)
        self._stack.services.events.emit(WEBHOOK_HANDLED, type=kind)

    async def _claim(self, claim: str) -> bool:
        """Return whether the message must be handled now; False if it was handled before.

        Raises:
            RequestError: 409, the message is being handled.
        """
        for storage in (self._own, self._storage):  # while Redis is unavailable, each worker decides for itself
            try:
                claimed = await storage.add(claim, _HANDLING_SECONDS)
            except StorageUnavailable:
                self._stack.services.events.emit(WEBHOOK_STORAGE_UNAVAILABLE)
                return True
            if not claimed:
                return await self._claimed_before(storage, claim)
        return True

    async def _claimed_before(self, storage: Storage, claim: str) -> bool:
        if await storage.get(claim) == _DONE:
            await self._own.set(claim, _DONE, _DONE_SECONDS)
            return False
        if storage is not self._own:
            await self._own.remove(claim)
        raise RequestError("webhook_in_progress")

    @property
    def _storage(self) -> Storage:
        return self._stack.services.storage


async def apply_event(services: Services, event: WebhookEvent) -> None:
    """Apply an event: reject the tokens of deleted users, and drop outdated cached values.

    Workers that share a Redis server do the same.
    """
    revocations = services.revocations
    match event:
        case UserDeletedEvent():
            await revocations.revoke_user(event.data.id)
            await revocations.forget(user_id=event.data.id)
        case UserEvent():
            await revocations.forget(user_id=event.data.id)
        case TeamEvent() | TeamDeletedEvent():
            await revocations.forget(team_id=event.data.id)
        case TeamMembershipEvent() | TeamPermissionEvent():
            await revocations.forget(user_id=event.data.user_id, team_id=event.data.team_id)
        case ProjectPermissionEvent():
            await revocations.forget(user_id=event.data.user_id)


async def _call(handler: Callable[[Any], Any], event: WebhookEvent) -> None:
    outcome = await run_in_threadpool(handler, event) if not iscoroutinefunction(handler) else handler(event)
    if isawaitable(outcome):
        await outcome


def _event(body: bytes, envelope: Envelope) -> WebhookEvent:
    """Return the event of a verified message.

    Raises:
        RequestInvalid: The body is not an event.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise not_json() from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RequestInvalid((("body.type", "Missing"),))
    try:
        return read_event(message["type"], message.get("data"), envelope.message_id, envelope.at)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        places = tuple((".".join(("body", *map(str, fault["loc"]))), str(fault["msg"])) for fault in faults)
        raise RequestInvalid(places) from None


_BODY = {
    "schema": {
        "title": "StackAuthEvent",
        "description": "An event. The auth server may add types.",
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "description": "What happened.", "examples": list(EVENT_TYPES)},
            "data": {"description": "The object that the event is about; its schema depends on the type."},
        },
    },
    "example": {
        "type": "team_membership.created",
        "data": {"team_id": "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11", "user_id": "f7383500-3cc7-45ea-b3c1-50d16bdbdf35"},
    },
}
