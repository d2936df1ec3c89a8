"""How the refusal of a token is looked at."""

import pytest

from fastapi_stackauth import AuthError
from fastapi_stackauth.verification.verifier import Verifier


async def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(AuthError) as caught:
        await verifier.verify(token)
    assert caught.value.status_code == 401
    assert token not in repr(caught.value) + str(caught.value) + str(caught.value.reason) or len(token) < 3
    assert verifier.stats.refusals == {caught.value.code: 1}
    assert len(verifier) == 0
    return caught.value.code
