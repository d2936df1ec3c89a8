"""The state of the server in one SQLite database.

Law: only this folder contains SQL. The database enforces uniqueness, and no code checks it in advance.
"""

from .store import Store as Store
