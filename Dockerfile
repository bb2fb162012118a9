# The two commands in a container: docker build -t brainllm . && docker run --rm brainllm make demo
# With a GPU: docker run --gpus all ... (torch from the index brings its own CUDA libraries).
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make git g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home user \
    && install --directory --owner=user /brainllm
USER user
WORKDIR /brainllm
COPY --chown=user . .
RUN make setup
CMD ["make", "demo"]
