"""The state of the server in one SQLite database.

Law: only this folder contains SQL. The database enforces uniqueness; no code checks it beforehand.
"""

from .store import Store as Store
