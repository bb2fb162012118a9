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

from ..statistics.ridge import RidgeMap, calibration


SEMANTIC_SPACE = "semantic_space.safetensors"


class SentenceEmbedder:
    """
    Texts → one vector each: the principal components of several embedding spaces side by side.

    Each space is centred and divided by the root-mean-square length of the texts given to [`~SentenceEmbedder.fit`],
    so that every space has the same say; the components come in order of falling variance, and on average vary by 1.

    Args:
        *spaces (`Callable[[Sequence[str]], np.ndarray]`):
            Embedders, e.g. [`MeanPooledEmbedder`].
        num_components (`int`, *optional*, defaults to 128):
            Components to keep.
    """

    def __init__(self, *spaces: Callable[[Sequence[str]], np.ndarray], num_components: int = 128):
        self.spaces = spaces
        self.num_components = num_components
        self._state: dict[str, np.ndarray] = {}

    def fit(self, texts: Sequence[str], sources: Sequence[str] | None = None) -> "SentenceEmbedder":
        """[`~SentenceEmbedder.fit_transform`] for the sake of the components."""
        self.fit_transform(texts, sources)
        return self

    def fit_transform(self, texts: Sequence[str], sources: Sequence[str] | None = None) -> np.ndarray:
        """
        Takes the centre and length of each space, and the components, from plain text.

        Args:
            texts (`Sequence[str]`):
                Plain text.
            sources (`Sequence[str]`, *optional*):
                Where each text comes from. What all texts of a source share is its style, and gets no component.

        Returns:
            `np.ndarray` of shape `(texts, num_components)`: the embeddings, centred within each source.
        """
        embeddings = [space(texts) for space in self.spaces]
        spread = [center_within(block, sources or ["text"] * len(texts)) for block in embeddings]
        self._state = {}
        for i, (block, centered) in enumerate(zip(embeddings, spread, strict=True)):
            self._state[f"center.{i}"] = block.mean(0)
            self._state[f"length.{i}"] = np.sqrt(np.square(centered).sum(1).mean(keepdims=True))
        joined = np.concatenate([c / self._state[f"length.{i}"] for i, c in enumerate(spread)], axis=1)
        if self.num_components > min(joined.shape):
            raise ValueError(
                f"`num_components={self.num_components}` exceeds what {joined.shape[0]} texts and {joined.shape[1]} "
                "dimensions can give. Lower it, or fit on more texts."
            )
        pca = PCA(self.num_components, svd_solver="full").fit(joined)
        self._state["components"] = pca.components_ / np.sqrt(pca.explained_variance_.mean())
        return (joined @ self._state["components"].T).astype(np.float32)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings `[texts, num_components]`, float32."""
        if not self._state:
            raise ValueError("`SentenceEmbedder` has no components yet: call `fit` on plain text.")
        blocks = [
            (space(texts) - self._state[f"center.{i}"]) / self._state[f"length.{i}"]
            for i, space in enumerate(self.spaces)
        ]
        return (np.concatenate(blocks, axis=1) @ self._state["components"].T).astype(np.float32)

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
    reliabilities, slopes = calibration(embeddings, ridge.cross_fitted)
    scaled = RidgeMap(ridge.weight * slopes[:, None], ridge.bias * slopes, ridge.alpha, ridge.cross_fitted * slopes)
    return scaled, PredictionNoise(reliabilities, embeddings.std(0))


class PredictionNoise:
    r"""
    Makes a true embedding look like its prediction from the brain.

    A calibrated prediction of a component $y$ of reliability $\rho$ and standard deviation $\sigma$ behaves as
    $\rho\,(\rho\, y + \sqrt{1 - \rho^2}\, \sigma \varepsilon)$ with $\varepsilon$ standard normal. Each batch draws an
    exponent $g$ and uses $\rho^g$: 0 is the embedding itself, above 1 is worse than measured. The exponent is one per
    batch, so that the amount of noise cannot tell candidates apart.

    Args:
        reliability (`np.ndarray` of shape `(embedding,)`):
            $\rho$ of each component.
        deviations (`np.ndarray` of shape `(embedding,)`):
            $\sigma$ of each component.
        exponents (`tuple[float, float]`, *optional*, defaults to `(0.0, 1.2)`):
            Range of $g$.
    """

    def __init__(self, reliability: np.ndarray, deviations: np.ndarray, exponents: tuple[float, float] = (0.0, 1.2)):
        self.reliability = torch.as_tensor(reliability, dtype=torch.float32)
        self.deviations = torch.as_tensor(deviations, dtype=torch.float32)
        self.exponents = exponents

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Imitated predictions `(brains, tokens, embedding)` of embeddings of that shape."""
        low, high = self.exponents
        exponent = low + (high - low) * torch.rand(())
        reliability = self.reliability.to(embeddings.device) ** exponent.to(embeddings.device)
        noise = (1 - reliability**2).sqrt() * self.deviations.to(embeddings.device) * torch.randn_like(embeddings)
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
