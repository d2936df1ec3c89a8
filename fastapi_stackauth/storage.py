"""What the workers of one app share: here, the way to their Redis server.

The `redis` extra is imported on use alone, so that apps of one worker need not have it.
"""

from typing import TYPE_CHECKING

from fastapi_stackauth.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

ANSWER_SECONDS = 0.5
"""How long Redis may take to connect or to answer before a worker goes on without it."""


def require_redis() -> None:
    """See that the `redis` extra is there.

    Raises:
        ConfigurationError: where it is not installed.
    """
    try:
        import redis.asyncio  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("redis_url is set: pip install 'fastapi-stackauth[redis]'.") from None


def redis_pool(url: str) -> "ConnectionPool":
    """Connections to a Redis server that fail soon instead of waiting, for the running event loop."""
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return BlockingConnectionPool.from_url(
        url,
        max_connections=50,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
