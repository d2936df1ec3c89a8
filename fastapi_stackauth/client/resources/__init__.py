"""The auth server's operations, one file for each resource.

Each operation raises AuthServerError for any failure. The docstrings name the errors that an app may want to catch.
SignInRequired means that no user is signed in, or that the account was deleted. VerificationCodeError means that a
code is wrong, expired, used or was tried too often.
"""
