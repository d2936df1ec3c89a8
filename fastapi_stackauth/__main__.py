"""`python -m fastapi_stackauth`: the command line."""

from fastapi_stackauth.cli import main

if __name__ == "__main__":
    main()
