"""`make env`: the .env and the files of secrets that docker-compose.yml reads; an existing .env is left alone."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / ".env"
FOLDER = ".secrets"  # beside it


def secret(prefix: str = "") -> str:
    """256 random bits in hexadecimal: fit for addresses, command lines and environment files as it stands."""
    return prefix + secrets.token_hex(32)


def variables() -> Iterator[tuple[str, str]]:
    """Each variable and its value; docs/deploy.md explains them."""
    yield "COMPOSE_PROFILES", "demo"
    yield "APP_PORT", "8000"
    yield "APP_URL", "http://localhost:8000"
    yield "INSECURE_COOKIES", "true"
    yield "AUTH_PORT", "8102"
    yield "AUTH_URL", "http://localhost:8102"
    yield "EMULATOR_PUBLISHABLE_CLIENT_KEY", secret("pck_")
    yield "EMULATOR_SECRET_SERVER_KEY", secret("ssk_")
    yield "EMULATOR_WEBHOOK_SECRET", secret("whsec_")  # hexadecimal is base64, too
    yield "EMULATOR_DASHBOARD_TOKEN", secret()
    yield "NETWORK_PREFIX", "172.30.57"
    yield "NOTES_DATABASE_PASSWORD", secret()
    yield from real_server()


def real_server() -> Iterator[tuple[str, str]]:
    """What the `real` profile adds. The app uses the server's own project, `internal`, until it gets one."""
    publishable, server = secret("pck_"), secret("ssk_")
    yield "PROJECT_ID", "internal"
    yield "PROJECT_PUBLISHABLE_CLIENT_KEY", publishable
    yield "PROJECT_SECRET_SERVER_KEY", server
    yield "DASHBOARD_PORT", "8101"
    yield "DASHBOARD_URL", "http://localhost:8101"
    yield "AUTH_ADMIN_EMAIL", "admin@example.com"
    yield "AUTH_ADMIN_PASSWORD", secret()
    yield "AUTH_SERVER_SECRET", secrets.token_urlsafe(32)  # the form that the server requires
    yield "AUTH_DATABASE_PASSWORD", secret()
    yield "AUTH_INTERNAL_PUBLISHABLE_CLIENT_KEY", publishable
    yield "AUTH_INTERNAL_SECRET_SERVER_KEY", server
    yield "AUTH_INTERNAL_SUPER_SECRET_ADMIN_KEY", secret("sak_")
    yield "AUTH_SKIP_SEED", ""
    yield "CLICKHOUSE_ADMIN_PASSWORD", secret()
    yield "CLICKHOUSE_EXTERNAL_PASSWORD", secret()
    yield "MAIL_PORT", "8025"
    yield "SMTP_HOST", "mail"
    yield "SMTP_PORT", "1025"
    yield "SMTP_USERNAME", "stackauth"
    yield "SMTP_PASSWORD", secret()
    yield "SMTP_SENDER", "auth@example.com"
    yield "FREESTYLE_API_KEY", ""


def secret_files() -> Iterator[tuple[str, str]]:
    """Each file of a secret, and what it holds: the password of Redis as Redis reads it, and as the app does."""
    password = secret()
    yield "redis.conf", f"requirepass {password}\n"
    yield "redis_url", f"redis://:{password}@redis:6379/0\n"


def write_secrets(folder: Path) -> None:
    """Write the files of secrets, new ones over old ones.

    Containers mount each file, and their users are not its owner: each file is readable by all, in a folder that only
    its owner can enter.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, text in secret_files():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)  # whatever the umask is


def write(target: Path) -> None:
    """Write the file, readable by its owner alone, and the files of secrets beside it.

    Raises:
        FileExistsError: it is there already, and its secrets may be in use.
    """
    text = "# Secrets: keep this file to yourself. docs/deploy.md explains each line.\n"
    text += "".join(f"{name}={value}\n" for name, value in variables())
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    write_secrets(target.parent / FOLDER)


def main() -> None:
    """Write .env, or say why not.

    Beside one that exists, files of secrets are written anew if one is missing: no data depends on them.
    """
    folder = TARGET.parent / FOLDER
    try:
        write(TARGET)
    except FileExistsError:
        if not all((folder / name).is_file() for name, _ in secret_files()):
            write_secrets(folder)
            sys.stdout.write(f"{TARGET} is there already and stays. Wrote {folder}, of which files were missing.\n")
            return
        sys.exit(f"{TARGET} is there already, and data may depend on its secrets. Remove it yourself to begin anew.")
    sys.stdout.write(f"Wrote {TARGET}. Now: docker compose up --build\n")


if __name__ == "__main__":
    main()
