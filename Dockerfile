# Pairscope in a container: built from hashes, without build tools, run by a user without rights.
#   docker compose up --build
# The image listens on all addresses of the container, so it starts with a token and a login only: see compose.yaml.

ARG BASE=python:3.11.10-slim-bookworm@sha256:5148c0e4bbb64271bca1d3322360ebf4bfb7564507ae32dd639322e4952a6b16

FROM ${BASE} AS packages
WORKDIR /app
RUN python -m venv .venv
COPY requirements.lock ./
# Wheels alone: nothing of a package runs while it is installed, and no compiler is needed.
RUN .venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock \
    && .venv/bin/pip uninstall --yes setuptools pip

FROM ${BASE}
RUN apt-get update && apt-get upgrade --yes && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes setuptools wheel pip \
    && useradd --system --uid 10001 --home-dir /var/lib/pairscope --shell /usr/sbin/nologin pairscope \
    && install -d -m 0700 -o pairscope -g pairscope /var/lib/pairscope
WORKDIR /app
COPY --from=packages /app/.venv .venv
COPY .streamlit/config.toml .streamlit/config.toml
COPY app.py config.py run.py requirements.txt requirements.lock CHANGELOG.md LICENSE ./
COPY alerts alerts
COPY analytics analytics
COPY api api
COPY dashboard dashboard
COPY data data
COPY engine engine
COPY operations operations
COPY utils utils
# What is written lies in the volume: database, recordings, log, machine code of the kernels.
RUN ln -s /var/lib/pairscope var
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    NUMBA_CACHE_DIR=/var/lib/pairscope/kernels \
    PAIRSCOPE_HOST=0.0.0.0 \
    PAIRSCOPE_DATABASE=/var/lib/pairscope/pairscope.db
USER pairscope
VOLUME /var/lib/pairscope
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/healthz', timeout=4)"]
# The kernels are compiled for this machine at the first start, in about a minute; later starts find them.
CMD ["sh", "-c", "python -m analytics.warm; exec python app.py"]
