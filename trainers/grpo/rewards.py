# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
r"""
The reward of BIT-LLM's third stage, $R = a \cdot \text{CIDEr} + b \cdot R_\text{Bert} + c \cdot R_\text{IP}$, term by
term.

TRL calls each term as `reward(prompts=..., completions=..., completion_ids=..., **columns)` with the columns of the
rows, adds them up with `GRPOConfig.reward_weights`, and logs each by its `__name__`. A term is picklable, gives one
finite number per completion, and none depends on how many completions a prompt has.

Of the three the poster names CIDEr alone outright. R_Bert may be BERTScore or the cosine of sentence embeddings, and
the initials IP are not spelled out; what is done here is not published; our choice.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from typing import Any, Literal

import numpy as np

from ..embedders.cache import CachedEncoder, CachedTokens, Encoder, unit_vectors
from ..metrics.cider import Cider, DocumentFrequencies
from ..metrics.embedding_scores import TokenEmbeddings, bert_score


logger = logging.getLogger(__name__)

Target = Literal["image", "brain", "reference_text"]
Form = Literal["cosine", "probability", "log_odds"]
Over = Literal["mean", "max"]

_COLUMNS = {"image": "image_embedding", "brain": "brain_embedding", "reference_text": "references"}


def first_places(names: Iterable[str]) -> list[int]:
    """Where each distinct name stands first, in their order."""
    return list({name: place for place, name in reversed(list(enumerate(names)))}.values())[::-1]


def mean_references(encoder: CachedEncoder, references: Sequence[Sequence[str]]) -> np.ndarray:
    """Unit vectors `[images, width]`: where the references of each image lie on average; kept for good."""
    counts = np.array([len(texts) for texts in references])
    vectors = encoder([text for texts in references for text in texts], keep=True)
    return unit_vectors(np.add.reduceat(vectors, np.cumsum(counts) - counts))


class _Reward:
    """What all terms share: a name for the log, and errors that name the sample."""

    __name__: str

    def _column(self, name: str, columns: dict[str, Any], remedy: str) -> list:
        if name not in columns:
            raise ValueError(
                f"The reward '{self.__name__}' reads the column '{name}', rows have {sorted(columns)}. {remedy}"
            )
        for place, value in enumerate(columns[name]):
            if value is None or (isinstance(value, Sized) and not len(value)):
                raise ValueError(
                    f"The reward '{self.__name__}' finds no '{name}' in sample '{_sample(columns, place)}'. {remedy}"
                )
        return columns[name]

    def _references(self, columns: dict[str, Any]) -> list[list[str]]:
        references = self._column("references", columns, "Drop rows without captions.")
        for place, texts in enumerate(references):
            if isinstance(texts, str) or not all(text.strip() for text in texts):
                raise ValueError(
                    f"The reward '{self.__name__}' needs a list of non-empty captions, found {texts!r} in sample "
                    f"'{_sample(columns, place)}'. Drop empty captions when the corpus is built."
                )
        return references

    def _finite(self, values: np.ndarray, columns: dict[str, Any]) -> list[float]:
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ValueError(
                f"The reward '{self.__name__}' is {values[wrong[0]]} for sample '{_sample(columns, wrong[0])}' "
                f"({len(wrong)} of {len(values)} completions). Look for NaN or infinity in its embeddings."
            )
        return values.astype(float).tolist()


def _sample(columns: dict[str, Any], place: int) -> str:
    return columns["sample_id"][place] if "sample_id" in columns else f"number {place} of the batch"


class CiderReward(_Reward):
    """
    CIDEr of a completion against the captions of its image, with document frequencies that are fixed.

    Args:
        frequencies ([`~trainers.metrics.DocumentFrequencies`]):
            Of the training corpus. Frequencies taken from a batch would make a caption's worth depend on its
            neighbours, and on a batch of one image an exact match would earn 0.
        scale (`float`, *optional*, defaults to 1.0):
            Factor; 1 leaves COCO's scale of 0 to 10, on which good captions reach about 1. Not published; our choice.
    """

    def __init__(self, frequencies: DocumentFrequencies, scale: float = 1.0):
        self.__name__ = "cider"
        self.scale = scale
        self._cider = Cider(frequencies)

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """One reward per completion; an empty one earns 0."""
        references = self._references(columns)
        return self._finite(self.scale * self._cider(completions, references), columns)


class TextSimilarityReward(_Reward):
    """
    Cosine of the embeddings of a completion and of the captions of its image.

    Args:
        encoder (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors, e.g. [`~trainers.embedders.text_encoders.MeanPooledEmbedder`], or a [`CachedEncoder`]
            that several rewards share. Each reference is embedded once.
        over (`str`, *optional*, defaults to `"mean"`):
            Whether the `"mean"` or the `"max"` over references counts. Not published; our choice.
    """

    def __init__(self, encoder: Encoder, over: Over = "mean"):
        _check_over(over)
        self.__name__ = "text_similarity"
        self.encoder = encoder if isinstance(encoder, CachedEncoder) else CachedEncoder(encoder)
        self.over = over

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """One reward in [-1, 1] per completion; an empty one earns 0."""
        references = self._references(columns)
        counts = np.array([len(texts) for texts in references])
        others = self.encoder([text for texts in references for text in texts], keep=True)
        own = np.repeat(self.encoder(completions), counts, axis=0)
        return self._finite(_over_references((own * others).sum(axis=1), counts, self.over), columns)


class BertScoreReward(_Reward):
    """
    BERTScore of a completion and the captions of its image, the harmonic mean F1 of precision and recall.

    Equation and sources: [`~trainers.metrics.bert_score`], here without weights of tokens.

    Args:
        embed (`Callable[[Sequence[str]], Sequence[EmbeddedTokens]]`):
            Texts to tokens with vectors, e.g. [`~trainers.embedders.token_embeddings.TokenEmbedder`]. Each reference
            is embedded once.
        over (`str`, *optional*, defaults to `"mean"`):
            Whether the `"mean"` or the `"max"` over references counts; the published program takes the latter. Not
            published for rewards; our choice.
    """

    def __init__(self, embed: TokenEmbeddings, over: Over = "mean"):
        _check_over(over)
        self.__name__ = "bert_score"
        self.embed = CachedTokens(embed)
        self.over = over

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """One reward in [-1, 1] per completion; an empty one earns 0."""
        references = self._references(columns)
        flat, counts = [text for texts in references for text in texts], np.array([len(texts) for texts in references])
        self.embed(flat, keep=True)
        pairs = [text for text, count in zip(completions, counts, strict=True) for _ in range(count)]
        scores = bert_score(pairs, [[text] for text in flat], self.embed)["bert_f1"]
        return self._finite(_over_references(scores, counts, self.over), columns)


def _check_over(over: str) -> None:
    if over not in ("mean", "max"):
        raise ValueError(f"`over` must be 'mean' or 'max', found {over!r}.")


def _over_references(scores: np.ndarray, counts: np.ndarray, over: Over) -> np.ndarray:
    """Mean or maximum of the scores of each completion, `counts` of which stand side by side."""
    starts = np.cumsum(counts) - counts
    if over == "max":
        return np.maximum.reduceat(scores, starts)
    return np.add.reduceat(scores, starts) / counts


class IdentificationReward(_Reward):
    r"""
    Whether a completion points to what it came from. With cosines $s_t$ of its embedding and those of targets $t$, its
    own target $o$, and the targets $r$ of other images:

    - `"cosine"`: $s_o$;
    - `"probability"`: $e^{s_o / \tau} / (e^{s_o / \tau} + \sum_r e^{s_r / \tau})$;
    - `"log_odds"`: $s_o / \tau - \log \operatorname{mean}_r e^{s_r / \tau}$, in nats, 0 by chance.

    The last two are contrastive: a caption that suits every image earns nothing. With `target="brain"` they need no
    image at all: a caption is rewarded when its embedding finds the brain that it came from.

    The others are the targets of the gallery or, without one, the distinct targets of the batch, less those of the own
    image. Without any other, as in a batch of completions of one image without a gallery, every completion earns 1
    (`"probability"`) or 0 (`"log_odds"`): groups are then told apart by nothing, which is logged once.

    Args:
        encoder (`Callable[[Sequence[str]], np.ndarray]`):
            Texts to vectors in the space of the targets, or a [`CachedEncoder`].
        target (`str`, *optional*, defaults to `"brain"`):
            `"image"`: column `image_embedding`; `"brain"`: column `brain_embedding`, of the encoder of stage 1;
            `"reference_text"`: mean embedding of the references. The poster's IP may be any of them: not published;
            our choice.
        form (`str`, *optional*):
            One of the above; by default `"probability"` for brains and `"cosine"` for the rest. Not published; our
            choice.
        temperature (`float`, *optional*, defaults to 0.07):
            $\tau$. Not published; our choice, the value with which CLIP began.
        gallery (`tuple[Sequence[str], np.ndarray]`, *optional*):
            Groups (images) and embeddings `[targets, width]` of the targets that captions are told apart from, each
            target once, such as a draw from the training split. It makes rewards independent of what else is in the
            batch, and so of the number of processes, as fixed frequencies do for CIDEr.

    Raises:
        ValueError: an option is none of the above, or the gallery holds an image twice that is to be identified.
    """

    def __init__(
        self,
        encoder: Encoder,
        target: Target = "brain",
        form: Form | None = None,
        temperature: float = 0.07,
        gallery: tuple[Sequence[str], np.ndarray] | None = None,
    ):
        form = form or ("probability" if target == "brain" else "cosine")
        if target not in _COLUMNS or form not in ("cosine", "probability", "log_odds") or temperature <= 0:
            raise ValueError(
                f"`target` must be one of {list(_COLUMNS)}, `form` 'cosine', 'probability' or 'log_odds', and "
                f"`temperature` positive; found {target!r}, {form!r}, {temperature}."
            )
        self.__name__ = f"identification_{target}"
        self.encoder = encoder if isinstance(encoder, CachedEncoder) else CachedEncoder(encoder)
        self.target, self.form, self.temperature = target, form, temperature
        groups, vectors = gallery or ((), np.empty((0, 0)))
        if target != "brain" and len(set(groups)) < len(groups):
            twice = Counter(groups).most_common(1)[0][0]
            raise ValueError(f"`gallery` holds the image '{twice}' more than once: give each image one embedding.")
        self._gallery_groups, self._gallery = np.array(list(groups), dtype=object), unit_vectors(vectors)
        self._has_warned = False

    def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        """One reward per completion; an empty one earns what chance does."""
        targets, captions = self._targets(columns), self.encoder(completions)
        if targets.shape != captions.shape:
            raise ValueError(
                f"The reward '{self.__name__}' compares captions of width {captions.shape[1]} with '"
                f"{_COLUMNS[self.target]}' of width {targets.shape[1]}. Use the text encoder of that space."
            )
        own = (captions * targets).sum(axis=1)
        if self.form == "cosine":
            return self._finite(own, columns)
        self._finite(own, columns)
        rivals = self._rivals(captions, targets, columns)
        return self._finite(self._contrast(own.astype(float) / self.temperature, rivals), columns)

    def _targets(self, columns: dict[str, Any]) -> np.ndarray:
        """Unit vectors `[completions, width]`."""
        if self.target == "reference_text":
            return mean_references(self.encoder, self._references(columns))
        remedy = f"Add it with the encoder of stage 1, or choose another target than '{self.target}'."
        if self.target == "image":
            remedy = "Embed all images of the corpus, or identify the brain, which needs no image."
        return unit_vectors(np.array(self._column(_COLUMNS[self.target], columns, remedy), np.float32))

    def _rivals(self, captions: np.ndarray, targets: np.ndarray, columns: dict[str, Any]) -> np.ndarray:
        """Scaled cosines `[completions, others]`, minus infinity where the other belongs to the own image."""
        groups = np.array(self._column("group", columns, "It names the image of a row."), dtype=object)
        others, names = self._gallery, self._gallery_groups
        if not len(others):
            identities = self._column("brain_id", columns, "It names a brain.") if self.target == "brain" else groups
            first = first_places(identities)
            others, names = targets[first], groups[first]
        scores = (captions @ others.T).astype(float) / self.temperature
        return np.where(names == groups[:, None], -np.inf, scores)

    def _contrast(self, own: np.ndarray, rivals: np.ndarray) -> np.ndarray:
        has_rivals = np.isfinite(rivals).any(axis=1)
        if not has_rivals.all() and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "The reward '%s' met a batch with one image only, where no caption can be told from others by what it "
                "identifies. Give it a `gallery`, or put more prompts into a batch.",
                self.__name__,
            )
        if self.form == "probability":
            return np.exp(own - np.logaddexp(own, np.logaddexp.reduce(rivals, axis=1)))
        counts = np.isfinite(rivals).sum(axis=1)
        mean = np.logaddexp.reduce(rivals, axis=1) - np.log(np.maximum(counts, 1))
        return np.where(has_rivals, own - np.where(has_rivals, mean, 0.0), 0.0)


__all__ = [
    "BertScoreReward",
    "CachedEncoder",
    "CiderReward",
    "IdentificationReward",
    "TextSimilarityReward",
    "first_places",
    "mean_references",
]
