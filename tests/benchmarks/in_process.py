"""What one authenticated request costs inside the process: every contender in turn, round after round.

The cost of authentication is the time of a route with it less that of one without. It is told as a multiple of the
least there can be, a dependency that reads a header and a dict: ratios compare across machines, times do not.
"""

import logging
from typing import Any

from tests.benchmarks.auth_server import auth_server
from tests.benchmarks.contenders import Tokens, floor, ours
from tests.benchmarks.driver import costs, measure_rounds, prove
from tests.benchmarks.peers import RsaTokens, peers
from tests.support.forge import Signer


async def measure(rounds: int, requests: int) -> dict[str, Any]:
    """Time every contender, in so many turns of so many requests."""
    logging.disable(logging.ERROR)  # what is refused on purpose need not be told
    with auth_server() as server:
        signer, rsa_tokens = Signer(), RsaTokens()
        server.control(keys=[signer.jwk], rsa_keys=[rsa_tokens.jwk])
        tokens = Tokens(signer, server.origin)
        contenders = floor(signer, next(tokens)) + ours(server.origin, tokens)
        contenders += peers(server.origin, tokens, rsa_tokens)
        for contender in contenders:
            await prove(contender)
        times = await measure_rounds(contenders, rounds, requests)
    return {"rounds": rounds, "requests": requests, "contenders": costs(contenders, times)}
