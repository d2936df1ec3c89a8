"""All that the server remembers, in one SQLite database.

Law: SQL is written in this folder alone. Uniqueness is kept by the database, never by a look beforehand.
"""

from .store import Store as Store
