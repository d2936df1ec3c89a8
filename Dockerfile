# The last stage is the image of the example app and of the emulator; docker-compose.yml chooses which of them it runs.
# Files of a clone made with umask 077 are readable by their owner alone, and COPY keeps their modes: hence the chmods.
FROM nginxinc/nginx-unprivileged:1.29.8-alpine AS proxy
COPY --chmod=444 docs/nginx.conf /etc/nginx/nginx.conf

FROM python:3.13.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv --without-pip /venv
COPY pyproject.toml constraints.txt README.md LICENSE hatch_build.py pytest_fastapi_stackauth.py ./
COPY fastapi_stackauth ./fastapi_stackauth
RUN pip --python /venv/bin/python install --constraint constraints.txt '.[emulator,redis]' --group example
COPY example_app ./example_app
RUN chmod -R a+rX /venv example_app

FROM python:3.13.14-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A volume mounted at /data takes over its owner.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin app && install -d -o app -g app /data
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /src/example_app ./example_app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
CMD ["uvicorn", "example_app.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]
