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
        type: What happened. An event of a type that this library does not know is a plain `WebhookEvent`.
        data: The object that the event is about.
        message_id: The id of the message, which is the same for each delivery attempt.
        sent_at: When this delivery attempt was made.
    """

    _use: ClassVar[str] = "a handler of `stack.webhooks(path)`, which verifies the signature"

    type: str
    data: Any = Field(default=None, repr=False)
    message_id: str
    sent_at: datetime


class Identified(ApiModel):
    """An object of which only the id is known."""

    id: str


class DeletedUser(Identified):
    """A deleted user and their teams."""

    teams: tuple[Identified, ...] = ()


class Membership(ApiModel):
    """The membership of a user in a team."""

    user_id: str
    team_id: str


class ProjectGrant(ApiModel):
    """A permission of a user in the project; `id` is the id of the permission."""

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
    """A team was deleted. The server sends no separate events for its members and their permissions."""

    type: Literal["team.deleted"]
    data: Identified


class TeamMembershipEvent(WebhookEvent):
    """A user joined or left a team. The server sends no separate events for the member's permissions."""

    type: Literal["team_membership.created", "team_membership.deleted"]
    data: Membership


class TeamPermissionEvent(WebhookEvent):
    """A permission of a user in a team was granted or revoked."""

    type: Literal["team_permission.created", "team_permission.deleted"]
    data: TeamGrant


class ProjectPermissionEvent(WebhookEvent):
    """A permission of a user in the project was granted or revoked."""

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
    """Return the event as an instance of the most specific class for its type.

    Raises:
        pydantic.ValidationError: The data does not have the form of a known type.
    """
    fields = {"type": type_, "data": data, "message_id": message_id, "sent_at": sent_at}
    if type_ not in EVENT_TYPES:
        return WebhookEvent.model_validate(fields)
    return KNOWN_EVENTS.validate_python(fields)
