"""What a browser's bot challenge yielded, passed on untouched. The server may demand it: 409 BOT_CHALLENGE_REQUIRED."""

from typing import Annotated

from pydantic import Field

from fastapi_stackauth.models import BotChallenge
from fastapi_stackauth.routers.plumbing.route import Form

MAX_TOKEN = 4096

Token = Annotated[
    str | None,
    Field(
        repr=False,
        max_length=MAX_TOKEN,
        description="What the bot challenge yielded, where the project has one.",
        examples=["0.zrSnRHO7h0HwSjSCU8oyzbjEtD8p.d62306d4ee00c77dda690f959ebbd7bd"],
    ),
]
Phase = Annotated[
    str | None,
    Field(
        pattern="^(invisible|visible)$",
        description="Which challenge it was: `invisible` or `visible`.",
        examples=["invisible"],
    ),
]
Unavailable = Annotated[
    str | None, Field(pattern="^true$", description="`true` where the challenge could not be shown.", examples=["true"])
]


class Challenged(Form):
    """A request that may carry the outcome of a bot challenge."""

    bot_challenge_token: Token = None
    bot_challenge_phase: Phase = None
    bot_challenge_unavailable: Unavailable = None

    @property
    def bot_challenge(self) -> BotChallenge | None:
        """The outcome; None where the front end sent none."""
        return challenge_of(self.bot_challenge_token, self.bot_challenge_phase, self.bot_challenge_unavailable)


def challenge_of(token: str | None, phase: str | None, unavailable: str | None) -> BotChallenge | None:
    """The outcome of a bot challenge; None where there is none. What is absent stays absent."""
    fields = {
        "bot_challenge_token": token,
        "bot_challenge_phase": phase,
        "bot_challenge_unavailable": unavailable,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return BotChallenge(**given) if given else None


def challenge_in_query(
    bot_challenge_token: Token = None,
    bot_challenge_phase: Phase = None,
    bot_challenge_unavailable: Unavailable = None,
) -> BotChallenge | None:
    """The same for a route that a browser is sent to: in the query."""
    return challenge_of(bot_challenge_token, bot_challenge_phase, bot_challenge_unavailable)
