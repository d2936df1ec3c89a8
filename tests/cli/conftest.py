"""The forge's keys."""

from tests.support.fixtures import signer, stranger

__all__ = ["signer", "stranger"]
