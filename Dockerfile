# The image that takes CoreDNS's place: its arguments, its ports, its user.
#
#     docker build --tag svcdns:0.1.0 .

FROM python:3.13-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential libcap2-bin
# Copies, for a link to the interpreter cannot be given a capability of its own.
RUN python -m venv --copies --without-pip /svcdns
WORKDIR /source
COPY requirements.txt requirements-build.txt requirements-compile.txt ./
# What compiles svcdns reads the types of what it runs on.
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt --requirement requirements-build.txt \
    --requirement requirements-compile.txt
RUN pip --python /svcdns/bin/python install --no-cache-dir --no-compile --require-hashes --requirement requirements.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY svcdns svcdns
# What queries pass through is compiled; the sources stand beside it.
RUN HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /svcdns/bin/python install --no-cache-dir --no-compile --no-deps /wheels/*.whl
# Nothing can be compiled later: the root file system is read-only.
RUN python -m compileall -q --invalidation-mode unchecked-hash /svcdns/lib
RUN setcap cap_net_bind_service=+ep /svcdns/bin/python

FROM python:3.13-slim
LABEL org.opencontainers.image.title="svcdns" \
      org.opencontainers.image.description="DNS for Kubernetes service discovery, in CoreDNS's place" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base image comes without the standard library's bytecode.
RUN python -m compileall -q --invalidation-mode unchecked-hash -x site-packages "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
COPY --from=build /svcdns /svcdns
ENV PYTHONDONTWRITEBYTECODE=1
# Numbers, for runAsNonRoot cannot judge a name.
USER 65532:65532
WORKDIR /
EXPOSE 53 53/udp
ENTRYPOINT ["/svcdns/bin/svcdns"]
