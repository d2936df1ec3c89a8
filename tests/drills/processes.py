"""Processes of a drill: begun, waited for, ended by their own id, their log kept."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

LIMIT = 60.0  # seconds for what takes one or two on a quiet machine; a limit and no measure


async def eventually(true: Callable[[], Awaitable[bool]], what: str, pause: float = 0.05) -> None:
    """Wait until something has become true."""
    try:
        async with asyncio.timeout(LIMIT):
            while not await true():  # noqa: ASYNC110 - other processes give no event to wait for
                await asyncio.sleep(pause)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {LIMIT:.0f} seconds") from None


class Process:
    """A Python process of this checkout.

    Args:
        log: where its output goes.
        words: the command line after `python`.
        environment: what it gets beside the environment of this process, less every setting of this library.
    """

    def __init__(self, log: Path, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._words = words
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("STACK_", "HEXCLAVE_"))}
        self._environment = {**clean, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin; again where it has ended."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._words, env=self._environment, stdout=log, stderr=log
            )

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait_for_end(self) -> int:
        """Wait for its end; its return code."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), LIMIT)

    async def stop(self) -> None:
        """End it, where it has not ended."""
        if self.running:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                await self.wait_for_end()
            except TimeoutError:
                self.send(signal.SIGKILL)
                await self.wait_for_end()
