"""The events of the auth server's webhooks (contract/webhooks.md)."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, TypeAdapter

from fastapi_stackauth.models.base import ApiModel
from fastapi_stackauth.models.server_user import ServerUser
from fastapi_stackauth.models.teams import Team


class WebhookEvent(ApiModel):
    """A webhook event.

    Attributes:
        type: what happened. Servers add types: one that this library does not know is a plain `WebhookEvent`.
        data: the object of the event.
        message_id: the message's id, the same at each attempt to deliver it.
        sent_at: when this attempt was made.
    """

    _use: ClassVar[str] = "a handler of `stack.webhooks(path)`, which verifies the signature"

    type: str
    data: Any = Field(default=None, repr=False)
    message_id: str
    sent_at: datetime


class Identified(ApiModel):
    """An object by its id."""

    id: str


class DeletedUser(Identified):
    """A deleted user, and the teams of that user."""

    teams: tuple[Identified, ...] = ()


class Membership(ApiModel):
    """A user in a team."""

    user_id: str
    team_id: str


class ProjectGrant(ApiModel):
    """A permission of a user in the project; `id` is the permission's."""

    id: str
    user_id: str


class TeamGrant(ProjectGrant):
    """A permission of a user in a team."""

    team_id: str


class UserEvent(WebhookEvent):
    """A user was created or updated. Not all changes send an event: see contract/webhooks.md."""

    type: Literal["user.created", "user.updated"]
    data: ServerUser = Field(repr=False)


class UserDeletedEvent(WebhookEvent):
    """A user was deleted."""

    type: Literal["user.deleted"]
    data: DeletedUser


class TeamEvent(WebhookEvent):
    """A team was created or updated."""

    type: Literal["team.created", "team.updated"]
    data: Team = Field(repr=False)


class TeamDeletedEvent(WebhookEvent):
    """A team was deleted; its members and their permissions go without events of their own."""

    type: Literal["team.deleted"]
    data: Identified


class TeamMembershipEvent(WebhookEvent):
    """A user joined or left a team. What they could do there goes without events of its own."""

    type: Literal["team_membership.created", "team_membership.deleted"]
    data: Membership


class TeamPermissionEvent(WebhookEvent):
    """A user was given a permission in a team, or it was taken away."""

    type: Literal["team_permission.created", "team_permission.deleted"]
    data: TeamGrant


class ProjectPermissionEvent(WebhookEvent):
    """A user was given a permission in the project, or it was taken away."""

    type: Literal["project_permission.created", "project_permission.deleted"]
    data: ProjectGrant


KnownEvent = Annotated[
    UserEvent
    | UserDeletedEvent
    | TeamEvent
    | TeamDeletedEvent
    | TeamMembershipEvent
    | TeamPermissionEvent
    | ProjectPermissionEvent,
    Field(discriminator="type"),
]
KNOWN_EVENTS: TypeAdapter[KnownEvent] = TypeAdapter(KnownEvent)
EVENT_TYPES = (
    "user.created",
    "user.updated",
    "user.deleted",
    "team.created",
    "team.updated",
    "team.deleted",
    "team_membership.created",
    "team_membership.deleted",
    "team_permission.created",
    "team_permission.deleted",
    "project_permission.created",
    "project_permission.deleted",
)


def read_event(type_: str, data: JsonValue, message_id: str, sent_at: datetime) -> WebhookEvent:
    """An event of the most specific class that fits its type.

    Raises:
        pydantic.ValidationError: the data of a known type are not of its form.
    """
    fields = {"type": type_, "data": data, "message_id": message_id, "sent_at": sent_at}
    if type_ not in EVENT_TYPES:
        return WebhookEvent.model_validate(fields)
    return KNOWN_EVENTS.validate_python(fields)
