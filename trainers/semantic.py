# Copyright 2026 The brainllm authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Brain → meaning by ridge regression: sentence embeddings, the map that predicts them, its place in the encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from torch import nn
from transformers import AutoModel, AutoTokenizer

from modeling_brainllm import BrainLlamaForCausalLM

from .processes import loaded_whole


SEMANTIC_SPACE = "semantic_space.safetensors"
ALPHAS = tuple(10.0**exponent for exponent in np.arange(0.0, 6.25, 0.5))


class MeanPooledEmbedder:
    """
    Texts → mean of a transformer's hidden states over their tokens.

    Args:
        model ([`~transformers.PreTrainedModel`]):
            Any encoder or decoder without a head.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        layer (`int`, *optional*, defaults to -1):
            Hidden state that is pooled: 0 the input embeddings, -1 the last.
        batch_size (`int`, *optional*, defaults to 64):
            Texts per forward pass.
    """

    def __init__(self, model: Any, tokenizer: Any, layer: int = -1, batch_size: int = 64):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.layer = layer
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(cls, model_id: str, layer: int = -1, **kwargs) -> "MeanPooledEmbedder":
        """Loads any encoder by folder or Hub id, e.g. `sentence-transformers/all-MiniLM-L6-v2`."""
        with loaded_whole():
            model = AutoModel.from_pretrained(model_id, **kwargs)
        return cls(model, AutoTokenizer.from_pretrained(model_id), layer)

    @classmethod
    def from_language_model(cls, model: BrainLlamaForCausalLM, tokenizer: Any, layer: int) -> "MeanPooledEmbedder":
        """The frozen language model of a brain model; middle layers hold more of the meaning than the last."""
        return cls(model.model.language_model, tokenizer, layer)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings `[texts, hidden]`, float32, of length 1."""
        # Texts of like length share a batch, so that little is padded.
        order = np.argsort([len(text) for text in texts], kind="stable")
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        embeddings = np.concatenate([self._embed([texts[i] for i in batch]) for batch in batches])
        return embeddings[np.argsort(order)]

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> np.ndarray:
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, return_tensors="pt", return_special_tokens_mask=True
        )
        is_special = inputs.pop("special_tokens_mask").bool()
        inputs = inputs.to(self.model.device)
        hidden = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer].float()
        # A sentence encoder was trained to pool its special tokens too; a decoder's first token is an outlier.
        counted = inputs["attention_mask"].bool()
        if getattr(self.model.config, "is_decoder", False) or self.model.config.model_type == "llama":
            counted &= ~is_special.to(counted.device)
        counted = counted[..., None]
        return nn.functional.normalize((hidden * counted).sum(1), dim=-1).cpu().numpy()


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


@dataclass(frozen=True)
class RidgeMap:
    r"""
    A linear map from brain to meaning, $\hat y = W x + b$, where meaning is centred on the training texts.

    Args:
        weight (`np.ndarray` of shape `(embedding, features)`):
            $W$.
        bias (`np.ndarray` of shape `(embedding,)`):
            $b$.
        alpha (`float`):
            Penalty, chosen by cross-validation over whole groups.
        cross_fitted (`np.ndarray` of shape `(brains, embedding)`):
            Prediction for each training brain by a map that has seen nothing of its group. A language stage trained on
            these meets inputs as poor as those of the test; in-sample predictions would be far too good.
    """

    weight: np.ndarray
    bias: np.ndarray
    alpha: float
    cross_fitted: np.ndarray

    def __call__(self, brains: np.ndarray) -> np.ndarray:
        """Embeddings `[brains, embedding]` of brains `[brains, features]`."""
        return brains @ self.weight.T + self.bias


def fit_ridge(
    brains: np.ndarray,
    embeddings: np.ndarray,
    groups: Sequence[str],
    alphas: Sequence[float] = ALPHAS,
    feature_scales: np.ndarray | None = None,
    num_folds: int = 5,
) -> RidgeMap:
    r"""
    Fits $\min_W \sum_i \lVert y_i - \bar y - W S x_i - b \rVert^2 + \alpha \lVert W \rVert^2$ with a diagonal $S$.

    The mean $\bar y$ is taken away: what all sentences of a corpus share is no news of the brain. The penalty is that
    of `alphas` under which held-out groups are identified best; squared error, most of it noise, would choose too
    large a one.

    Args:
        brains (`np.ndarray` of shape `(brains, features)`):
            Training brains as the encoder reads them, i.e. after the processor.
        embeddings (`np.ndarray` of shape `(brains, embedding)`):
            What was perceived.
        groups (`Sequence[str]` of length `brains`):
            Leak-proof unit (passage); never on both sides of a fold.
        alphas (`Sequence[float]`, *optional*):
            Penalties to choose from; 1 to 1e6 in half decades by default.
        feature_scales (`np.ndarray` of shape `(features,)`, *optional*):
            Diagonal of $S$: a feature of larger scale is penalised less. For standardised principal components, a
            power of their raw standard deviation keeps the trust that their order deserves.
        num_folds (`int`, *optional*, defaults to 5):
            Folds of the cross-validation and of the cross-fitting.

    Returns:
        [`RidgeMap`]: with the scales folded into its weight.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    num_groups = len(set(groups))
    if num_groups < num_folds:
        raise ValueError(f"`num_folds={num_folds}` needs as many groups; the training rows have {num_groups}.")
    scales = np.ones(brains.shape[1]) if feature_scales is None else np.asarray(feature_scales)
    inputs, targets, folds = brains * scales, embeddings - embeddings.mean(0), GroupKFold(num_folds)
    search = GridSearchCV(Ridge(), {"alpha": list(alphas)}, scoring=_identification, cv=folds)
    ridge = search.fit(inputs, targets, groups=groups).best_estimator_
    return RidgeMap(
        weight=ridge.coef_ * scales,
        bias=ridge.intercept_,
        alpha=float(search.best_params_["alpha"]),
        cross_fitted=cross_val_predict(ridge, inputs, targets, groups=groups, cv=folds),
    )


def _identification(ridge: Ridge, inputs: np.ndarray, targets: np.ndarray) -> float:
    """Share of pairs in which a prediction is closer, by cosine, to its own target than to another's."""
    predicted, targets = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (ridge.predict(inputs), targets))
    similarity = predicted @ targets.T
    wins = np.diag(similarity)[:, None] > similarity
    return float(wins.sum() / (wins.size - len(wins)))


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


__all__ = [
    "ALPHAS",
    "MeanPooledEmbedder",
    "PredictionNoise",
    "RidgeMap",
    "SentenceEmbedder",
    "calibrate",
    "center_within",
    "fit_ridge",
    "write_into_encoder",
]
