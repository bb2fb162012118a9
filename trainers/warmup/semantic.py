# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Brain → meaning by ridge regression: sentence embeddings, the map that predicts them, its place in the encoder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from modeling_brainllm import BrainLlamaForCausalLM

from ..statistics.ridge import RidgeMap


SEMANTIC_SPACE = "semantic_space.safetensors"
#: Keeps a dimension that never varies, and a text that lies at the centre, from dividing by 0.
SMALL = 1e-6


class SentenceEmbedder:
    """
    Texts → one vector each: the principal components of several embedding spaces side by side.

    Each dimension of each space is centred and divided by its standard deviation over the texts given to
    [`~SentenceEmbedder.fit`], since a few dimensions of hidden states would drown all others; then each space is
    brought to length 1, so that all have the same say. The components come in order of falling variance.

    Args:
        *spaces (`Callable[[Sequence[str]], np.ndarray]`):
            Embedders, e.g. [`MeanPooledEmbedder`].
        num_components (`int`, *optional*, defaults to 256):
            Components to keep.
        scale (`float`, *optional*, defaults to 1.0):
            Standard deviation of the components, on average. What a brain predicts of them varies far less, and must
            not drown beside the biases of the projector that reads it.
    """

    def __init__(self, *spaces: Callable[[Sequence[str]], np.ndarray], num_components: int = 256, scale: float = 1.0):
        self.spaces = spaces
        self.num_components = num_components
        self.scale = scale
        self._state: dict[str, np.ndarray] = {}

    def fit(self, texts: Sequence[str], sources: Sequence[str] | None = None) -> "SentenceEmbedder":
        """[`~SentenceEmbedder.fit_transform`] for the sake of the components."""
        self.fit_transform(texts, sources)
        return self

    def fit_transform(self, texts: Sequence[str], sources: Sequence[str] | None = None) -> np.ndarray:
        """
        Takes the centre and spread of each dimension, and the components, from plain text.

        Args:
            texts (`Sequence[str]`):
                Plain text.
            sources (`Sequence[str]`, *optional*):
                Where each text comes from. What all texts of a source share is its style, and gets no component.

        Returns:
            `np.ndarray` of shape `(texts, num_components)`: the embeddings, centred within each source.
        """
        blocks = [space(texts) for space in self.spaces]
        self._state = {}
        for i, block in enumerate(blocks):
            self._state[f"center.{i}"], self._state[f"spread.{i}"] = block.mean(0), block.std(0) + SMALL
        joined = self._join(blocks)
        self._state["center"] = joined.mean(0)
        joined = center_within(joined, sources or ["text"] * len(texts))
        if self.num_components > min(joined.shape):
            raise ValueError(
                f"`num_components={self.num_components}` exceeds what {joined.shape[0]} texts and {joined.shape[1]} "
                "dimensions can give. Lower it, or fit on more texts."
            )
        pca = PCA(self.num_components, svd_solver="full").fit(joined)
        self._state["components"] = self.scale * pca.components_ / np.sqrt(pca.explained_variance_.mean())
        return (joined @ self._state["components"].T).astype(np.float32)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings `[texts, num_components]`, float32."""
        if not self._state:
            raise ValueError("`SentenceEmbedder` has no components yet: call `fit` on plain text.")
        joined = self._join([space(texts) for space in self.spaces]) - self._state["center"]
        return (joined @ self._state["components"].T).astype(np.float32)

    def _join(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """The standardised spaces side by side, each of length 1."""
        scaled = [(block - self._state[f"center.{i}"]) / self._state[f"spread.{i}"] for i, block in enumerate(blocks)]
        return np.concatenate([s / (np.linalg.norm(s, axis=1, keepdims=True) + SMALL) for s in scaled], axis=1)

    def save(self, folder: str | Path) -> None:
        """Writes what `fit` has found to `semantic_space.safetensors`."""
        state = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in self._state.items()}
        # Its presence says that the stage is done: a file that is cut short must not bear the name.
        part = Path(folder, f"{SEMANTIC_SPACE}.part")
        save_file(state, part)
        part.rename(part.with_suffix(""))

    def load(self, folder: str | Path) -> "SentenceEmbedder":
        """Reads it back; the spaces must be those of the embedder that was saved."""
        self._state = load_file(Path(folder) / SEMANTIC_SPACE)
        width = sum(len(self._state[name]) for name in self._state if name.startswith("center."))
        spaces = sum(name.startswith("center.") for name in self._state)
        if spaces != len(self.spaces) or self._state["components"].shape != (self.num_components, width):
            raise ValueError(
                f"{folder} holds {len(self._state['components'])} components of {spaces} spaces; expected "
                f"{self.num_components} of {len(self.spaces)}. Use the recipe with which it was made."
            )
        return self


def center_within(values: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """`values` `[texts, embedding]` less the mean of those with the same label."""
    centered = np.array(values, copy=True)
    names = np.asarray(labels)
    for label in set(labels):
        centered[names == label] -= centered[names == label].mean(0)
    return centered


def calibrate(ridge: RidgeMap, embeddings: np.ndarray) -> tuple[RidgeMap, "PredictionNoise"]:
    r"""
    Gives each predicted component the spread that its reliability warrants, and the noise that imitates it.

    With $\rho_k$ the correlation of component $k$ with its cross-fitted prediction and $\sigma_k$ its standard
    deviation, the prediction is scaled to a standard deviation of $\rho_k \sigma_k$, that of the best linear guess:
    components that the brain says nothing about fall silent.

    Args:
        ridge ([`RidgeMap`]):
            The map.
        embeddings (`np.ndarray` of shape `(brains, embedding)`):
            What it was fitted to.

    Returns:
        `tuple` of the scaled [`RidgeMap`] and its [`PredictionNoise`].
    """
    deviations, spread = embeddings.std(0), ridge.cross_fitted.std(0)
    centered = embeddings - embeddings.mean(0)
    covariance = (centered * (ridge.cross_fitted - ridge.cross_fitted.mean(0))).mean(0)
    correlation = np.maximum(covariance / (deviations * spread), 0.0)
    # A correlation squared is on average 1/n too large by chance. No component is taken for pure noise, nor for known:
    # both ends are beyond what some hundred brains can show.
    reliability = np.sqrt(np.clip(correlation**2 - 1 / len(embeddings), 0.05**2, 0.95**2))
    gains = reliability * deviations / spread
    scaled = RidgeMap(ridge.weight * gains[:, None], ridge.bias * gains, ridge.alpha, ridge.cross_fitted * gains)
    return scaled, PredictionNoise(reliability, deviations)


class PredictionNoise:
    r"""
    Makes a true embedding look like its prediction from the brain.

    A calibrated prediction of a component $y$ of reliability $\rho$ and standard deviation $\sigma$ behaves as
    $\rho\,(\rho\, y + \sqrt{1 - \rho^2}\, \sigma \varepsilon)$ with $\varepsilon$ standard normal. The noise is
    exactly what cross-fitting measured: an interface that learns from better embeddings than the brain gives trusts
    the brain too much, and makes its texts less likely.

    Args:
        reliability (`np.ndarray` of shape `(embedding,)`):
            $\rho$ of each component.
        deviations (`np.ndarray` of shape `(embedding,)`):
            $\sigma$ of each component.
    """

    def __init__(self, reliability: np.ndarray, deviations: np.ndarray):
        self.reliability = torch.as_tensor(reliability, dtype=torch.float32)
        self.deviations = torch.as_tensor(deviations, dtype=torch.float32)

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Imitated predictions `(brains, tokens, embedding)` of embeddings of that shape."""
        reliability, deviations = (part.to(embeddings.device) for part in (self.reliability, self.deviations))
        noise = (1 - reliability**2).sqrt() * deviations * torch.randn_like(embeddings)
        return reliability * (reliability * embeddings + noise)


def write_into_encoder(ridge: RidgeMap, model: BrainLlamaForCausalLM) -> None:
    """
    Writes a ridge map into the encoder of a model, which must be linear (`num_hidden_layers=0`) and of its shape.

    Args:
        ridge ([`RidgeMap`]):
            The map.
        model ([`BrainLlamaForCausalLM`]):
            The model; its encoder is changed in place and frozen.

    Raises:
        ValueError: the encoder is not one linear map, or has another shape.
    """
    readout = getattr(model.model.brain_encoder, "readout", None)
    if readout is None:
        raise ValueError(
            "Only a linear frame encoder can hold a ridge map; build the model with "
            "`FrameEncoderConfig(num_hidden_layers=0)`."
        )
    if readout.weight.shape != ridge.weight.shape:
        raise ValueError(
            f"The encoder maps {readout.in_features} features to {readout.out_features}; the ridge map has shape "
            f"{ridge.weight.shape[::-1]}. Set `num_features` and `hidden_size` of its configuration to these."
        )
    with torch.no_grad():
        readout.weight.copy_(torch.from_numpy(ridge.weight))
        readout.bias.copy_(torch.from_numpy(ridge.bias))
    readout.requires_grad_(False)


__all__ = ["PredictionNoise", "SentenceEmbedder", "calibrate", "center_within", "write_into_encoder"]
