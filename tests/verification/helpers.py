"""How the refusal of a token is looked at."""

import pytest

from fastapi_stackauth import AuthError
from fastapi_stackauth.verification.verifier import Verifier


async def refusal(verifier: Verifier, token: str) -> str:
    before, held = dict(verifier.stats.rejections), len(verifier)
    with pytest.raises(AuthError) as caught:
        await verifier.verify(token)
    assert caught.value.status_code == 401
    assert token not in repr(caught.value) + str(caught.value) + str(caught.value.reason) or len(token) < 3
    assert verifier.stats.rejections == {**before, caught.value.code: before.get(caught.value.code, 0) + 1}
    assert len(verifier) <= held
    return caught.value.code
