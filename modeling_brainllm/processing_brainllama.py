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
"""Processor of BrainLlama: text with a brain marker, and brain samples, to the inputs of the model."""

import copy
import os
from itertools import chain
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, PreTrainedConfig, PreTrainedTokenizerBase, ProcessorMixin

from .checksums import PROCESSOR_FILES, record_checksums, verify_checksums
from .feature_extraction_brainllama import BrainLlamaFeatureExtractor
from .publishing_brainllama import GuardedPush


# A base model has no chat template: its "conversation" is the parts one after the other.
PLAIN_CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


# `auto_docstring` is left out, as in the model: it would print at import what it does not know.
# trf-ignore: TRF057
class BrainLlamaProcessor(GuardedPush, ProcessorMixin):
    r"""
    Joins a [`BrainLlamaFeatureExtractor`] and the tokenizer of a Llama; made with `from_config`.

    The marker `<|brain|>` in a text says where its brain sample stands. With the prefix interface it becomes
    `<|brain_start|>`, one placeholder `<|brain|>` for each brain token, and `<|brain_end|>`; with cross-attention it
    is taken out. So the same prompts serve both.

    The tokenizer knows the three as special tokens: it never cuts them and can leave them out of decoded text. In the
    model their ids lie above the embedding table, which may be padded beyond the tokenizer, where they lie lower. So
    the processor translates both ways: the model sees the ids of its configuration, however long the tokenizer.

    Args:
        feature_extractor ([`BrainLlamaFeatureExtractor`]):
            Prepares the brain samples.
        tokenizer ([`PreTrainedTokenizerBase`]):
            Tokenizer of the language model, with the three brain tokens added.
        brain_token_id, brain_start_token_id, brain_end_token_id (`int`):
            Ids of placeholder and boundaries in the model's configuration.
        interface (`str`, *optional*, defaults to `"prefix"`):
            `"prefix"` or `"cross_attention"`.
        embeddings_per_frame (`int`, *optional*, defaults to 1):
            Encoder tokens of one frame: 1 for frames, all of a sample's for voxels.
        tokens_per_embedding (`int`, *optional*, defaults to 1):
            Language-model tokens that the projector makes of each encoder token.
        chat_template (`str`, *optional*):
            Jinja template; by default that of the tokenizer, or plain concatenation if it has none.
        caption_prompt (`str`, *optional*):
            The prompt, with its marker, under which the model was taught to describe what is seen.
    """

    brain_token = "<|brain|>"
    brain_start_token = "<|brain_start|>"
    brain_end_token = "<|brain_end|>"

    def __init__(
        self,
        feature_extractor: BrainLlamaFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
        brain_token_id: int,
        brain_start_token_id: int,
        brain_end_token_id: int,
        interface: str = "prefix",
        embeddings_per_frame: int = 1,
        tokens_per_embedding: int = 1,
        chat_template: str | None = None,
        caption_prompt: str | None = None,
    ):
        chat_template = chat_template or tokenizer.chat_template or PLAIN_CHAT_TEMPLATE
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.brain_token_id = brain_token_id
        self.brain_start_token_id = brain_start_token_id
        self.brain_end_token_id = brain_end_token_id
        self.interface = interface
        self.embeddings_per_frame = embeddings_per_frame
        self.tokens_per_embedding = tokens_per_embedding
        self.caption_prompt = caption_prompt
        self._tokenizer_ids = self._find_brain_tokens()

    @classmethod
    def settings_of(cls, config: PreTrainedConfig) -> dict[str, Any]:
        """The arguments of a processor that agrees with a [`BrainLlamaConfig`]."""
        num_frames = BrainLlamaFeatureExtractor.settings_of(config)["num_frames"]
        names = ("brain_token_id", "brain_start_token_id", "brain_end_token_id", "interface", "tokens_per_embedding")
        embeddings_per_frame = config.encoder_config.num_tokens // num_frames
        return {**{name: getattr(config, name) for name in names}, "embeddings_per_frame": embeddings_per_frame}

    @classmethod
    def from_config(
        cls,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        feature_extractor: BrainLlamaFeatureExtractor | None = None,
    ) -> "BrainLlamaProcessor":
        """
        A processor that agrees with a [`BrainLlamaConfig`]; raises `ValueError` if the parts given do not fit it.

        Of the language model's `tokenizer` a copy is kept, with the brain tokens added and, if it has none, its end
        token for padding. The `feature_extractor` is by default a new one without subjects.
        """
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([cls.brain_token, cls.brain_start_token, cls.brain_end_token], special_tokens=True)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if feature_extractor is None:
            feature_extractor = BrainLlamaFeatureExtractor.from_config(config)
        processor = cls(feature_extractor, tokenizer, **cls.settings_of(config))
        processor.check_config(config)
        return processor

    def check_config(self, config: PreTrainedConfig) -> None:
        """Raises `ValueError`, with each difference, if the processor was made for another model configuration."""
        pairs = (
            (self, self.settings_of(config)),
            (extractor := self.feature_extractor, extractor.settings_of(config)),
        )
        differences = [
            f"{name}: {getattr(part, name)!r} in the {type(part).__name__}, {value!r} in the model"
            for part, settings in pairs
            for name, value in settings.items()
            if getattr(part, name) != value
        ]
        if differences:
            raise ValueError(
                f"Processor and model do not agree ({'; '.join(differences)}). Load both from the same checkpoint, or "
                "make the processor with `BrainLlamaProcessor.from_config`."
            )

    @property
    def model_input_names(self) -> list[str]:
        """Names of the model inputs that a call returns."""
        return [*super().model_input_names, "encoder_outputs"]

    # trf-ignore: TRF057
    def __call__(
        self,
        text: str | list[str],
        brain: Any = None,
        subject: str | list[str] | None = None,
        brain_index: Any = None,
        encoder_outputs: torch.Tensor | None = None,
        brain_names: list[str] | None = None,
        add_special_tokens: bool = True,
        return_offsets_mapping: bool = False,
        padding: bool | str = True,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """
        Makes a batch of model inputs. There is no truncation: it would cut placeholders or the newest words.

        Args:
            text (`str` or `list[str]`):
                Texts, each with at most one marker `<|brain|>`.
            brain (*optional*):
                Brain samples, as [`BrainLlamaFeatureExtractor`] takes them.
            subject (`str` or `list[str]`, *optional*):
                Subject of all samples, or of each.
            brain_index (`[batch]`, *optional*):
                Brain sample of each text, -1 for a text without marker; texts may share one. By default the samples
                belong to the texts with a marker, in order.
            encoder_outputs (`torch.Tensor` `[brains, encoder_tokens, encoder_hidden]`, *optional*):
                Output of the encoder, in place of `brain`.
            brain_names (`list[str]`, *optional*):
                What errors call each sample, such as the `sample_id` of its row; its number by default.
            add_special_tokens (`bool`, *optional*, defaults to `True`):
                Whether each text begins with exactly one BOS token, if the tokenizer has one.
            return_offsets_mapping (`bool`, *optional*, defaults to `False`):
                Whether to return `offset_mapping` `[batch, tokens, 2]`: first character and end of each token in the
                given text. Brain tokens have those of the marker, BOS and padding have (0, 0).
            padding (`bool` or `str`, *optional*, defaults to `True`), return_tensors (`str`, *optional*), **kwargs:
                As in [`~PreTrainedTokenizerBase.pad`], e.g. `padding_side`, `max_length`, `pad_to_multiple_of`.

        Returns:
            [`BatchFeature`] with `input_ids` and `attention_mask` `[batch, tokens]` and, with a brain, `brain_index`
            `[batch]` and the outputs of the feature extractor, or `encoder_outputs`.

        Raises:
            `ValueError`: if markers and brain samples do not match, and for all that the feature extractor refuses.
        """
        texts = [text] if isinstance(text, str) else list(text)
        given = (brain, subject, encoder_outputs, brain_names)
        brain_inputs, places, num_tokens = self._process_brain(*given, return_tensors)
        index = self._match(texts, len(places), brain_index)
        encoded = [
            self._expand(ids, offsets, num_tokens[sample] if sample >= 0 else 0)
            for (ids, offsets), sample in zip(self._tokenize(texts, add_special_tokens), index, strict=True)
        ]
        batch = {"input_ids": [ids for ids, _ in encoded]}
        if kwargs.get("truncation") not in (None, False):
            raise ValueError(
                "`truncation` would cut the brain's placeholder tokens or the newest words. Shorten the text before, "
                "e.g. by `max_prompt_tokens` and `max_completion_tokens` of the trainers."
            )
        kwargs.pop("truncation", None)
        # Lists become arrays much faster than they become tensors, which the arrays then are without a copy.
        kind = "np" if return_tensors == "pt" else return_tensors
        data = dict(self.tokenizer.pad(batch, padding=padding, return_tensors=kind, **kwargs))
        arrays = data if return_tensors == "pt" else {}
        if return_offsets_mapping:
            real = np.asarray(data["attention_mask"], dtype=bool)
            arrays["offset_mapping"] = np.zeros((*real.shape, 2), dtype=np.int64)
            ends = chain.from_iterable(chain.from_iterable(spans) for _, spans in encoded)
            arrays["offset_mapping"][real] = np.fromiter(ends, np.int64).reshape(-1, 2)
        if brain_inputs:
            arrays["brain_index"] = np.array([places[sample] if sample >= 0 else -1 for sample in index])
        if return_tensors == "pt":
            arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return BatchFeature({**data, **brain_inputs, **arrays})

    def _process_brain(
        self,
        brain: Any,
        subject: str | list[str] | None,
        encoder_outputs: torch.Tensor | None,
        names: list[str] | None,
        return_tensors: str | None,
    ) -> tuple[dict[str, Any], list[int], list[int]]:
        """Brain inputs of the model; of each given sample its place in them and its number of tokens."""
        if encoder_outputs is not None:
            if brain is not None or encoder_outputs.ndim != 3:
                raise ValueError(
                    "`encoder_outputs` stands in place of `brain` and must be [brains, encoder tokens, hidden]; "
                    f"found shape {list(encoder_outputs.shape)} and a `brain` of type {type(brain).__name__}."
                )
            num_brains, num_embeddings, _ = encoder_outputs.shape
            num_tokens = [num_embeddings * self.tokens_per_embedding] * num_brains
            return {"encoder_outputs": encoder_outputs}, list(range(num_brains)), num_tokens
        if brain is None:
            return {}, [], []
        inputs = dict(self.feature_extractor(brain, subject=subject, return_tensors=return_tensors, names=names))
        places = inputs.pop("brain_index").tolist()
        is_frames = "brain_attention_mask" in inputs
        num_frames = inputs["brain_attention_mask"].sum(1).tolist() if is_frames else [1] * len(places)
        return inputs, places, [n * self.embeddings_per_frame * self.tokens_per_embedding for n in num_frames]

    def _match(self, texts: list[str], num_brains: int, brain_index: Any) -> list[int]:
        """The brain sample of each text, -1 for none."""
        for row, text in enumerate(texts):
            if text.count(self.brain_token) > 1 or self.brain_start_token in text or self.brain_end_token in text:
                raise ValueError(
                    f"Text {row} must hold at most one {self.brain_token} and no {self.brain_start_token} or "
                    f"{self.brain_end_token}, which the processor adds; found {text!r}."
                )
        marked = [self.brain_token in text for text in texts]
        if brain_index is None:
            if sum(marked) != num_brains:
                raise ValueError(
                    f"{sum(marked)} texts hold the marker {self.brain_token}, but {num_brains} brain samples were "
                    "given. Put one marker in each text that has one, or pass `brain_index` where texts share one."
                )
            return [sum(marked[:row]) if mark else -1 for row, mark in enumerate(marked)]
        index = np.asarray(brain_index).tolist()
        fits = [
            0 <= sample < num_brains if mark else sample == -1 for sample, mark in zip(index, marked, strict=False)
        ]
        if len(index) != len(texts) or not all(fits):
            raise ValueError(
                f"`brain_index` must give each of the {len(texts)} texts one of the {num_brains} brain samples where"
                f" it holds the marker {self.brain_token}, and -1 elsewhere; found {index} for markers {marked}."
            )
        return index

    def _tokenize(self, texts: list[str], add_bos: bool) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Ids of the tokenizer, with the marker as one token, and their offsets in the given texts."""
        # A marker inside a text (a chat template's) stays there, so that the tokenizer splits at it. One that begins
        # the text is put back afterwards, so that what follows has the very ids that it has without a brain: some
        # tokenizers add a space to the beginning of a text, but not after a special token. Nor do all add a BOS.
        length, is_prefix = len(self.brain_token), self.interface == "prefix"
        places = [text.find(self.brain_token) for text in texts]
        plain = [
            text if place > 0 and is_prefix else text.replace(self.brain_token, "")
            for text, place in zip(texts, places, strict=True)
        ]
        encoded = self.tokenizer(plain, add_special_tokens=False, return_offsets_mapping=True)
        rows = []
        for place, ids, spans in zip(places, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if place == 0 or (place > 0 and not is_prefix):
                spans = [(a + length * (a >= place), b + length * (b > place)) for a, b in spans]
                if is_prefix:
                    ids, spans = [self._tokenizer_ids[self.brain_token_id], *ids], [(0, length), *spans]
            bos = self.tokenizer.bos_token_id
            if add_bos and bos is not None and ids[:1] != [bos]:
                ids, spans = [bos, *ids], [(0, 0), *spans]
            rows.append((ids, spans))
        return rows

    def _expand(
        self, ids: list[int], offsets: list[tuple[int, int]], num_tokens: int
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Puts start, placeholders and end, by their ids in the model, where the marker stands."""
        marker = self._tokenizer_ids[self.brain_token_id]
        if marker not in ids:
            return ids, offsets
        at = ids.index(marker)
        block = [self.brain_start_token_id, *[self.brain_token_id] * num_tokens, self.brain_end_token_id]
        return [*ids[:at], *block, *ids[at + 1 :]], [*offsets[:at], *[offsets[at]] * len(block), *offsets[at + 1 :]]

    def _find_brain_tokens(self) -> dict[int, int]:
        """Id in the model -> id in the tokenizer, of the three brain tokens."""
        tokens = {
            getattr(self, name): getattr(self, f"{name}_id")
            for name in ("brain_token", "brain_start_token", "brain_end_token")
        }
        added = {str(token): index for index, token in self.tokenizer.added_tokens_decoder.items()}
        if not added.keys() >= tokens.keys():
            raise ValueError(
                f"The tokenizer lacks {list(tokens)}: use `BrainLlamaProcessor.from_config`, which adds them."
            )
        others = [index for token, index in added.items() if token not in tokens]
        highest = max([self.tokenizer.vocab_size - 1, *others])
        if highest >= min(tokens.values()):
            raise ValueError(
                f"The tokenizer has ids up to {highest}, but those from {min(tokens.values())} on are the brain's: "
                "it is larger than the language model's vocabulary. Use the tokenizer of that language model."
            )
        return {index: added[token] for token, index in tokens.items()}

    def apply_chat_template(
        self,
        conversation: list[dict[str, Any]] | list[list[dict[str, Any]]],
        chat_template: str | None = None,
        tokenize: bool = False,
        return_dict: bool = True,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str | list[str] | BatchFeature | Any:
        """
        Renders conversations whose content is a string or a list of `{"type": "text", "text": ...}` and
        `{"type": "brain"}` parts; the latter become the marker, so that any text-only template serves.

        A brain part may carry its sample, `{"type": "brain", "brain": ..., "subject": ...}`. With `tokenize` the
        processor is called on the text, with `processor_kwargs`, and returns all inputs, or `input_ids` alone without
        `return_dict`. `kwargs` are for the template, e.g. `add_generation_prompt`.
        """
        is_batched = bool(conversation) and isinstance(conversation[0], (list, tuple))
        carried: list[dict[str, Any]] = []
        conversations = [
            [{**message, "content": self._flatten(message["content"], carried)} for message in messages]
            for messages in (conversation if is_batched else [conversation])
        ]
        prompts = super().apply_chat_template(conversations, chat_template=chat_template, tokenize=False, **kwargs)
        if not tokenize:
            return prompts if is_batched else prompts[0]
        inputs: dict[str, Any] = dict(processor_kwargs or {})
        for argument in ("brain", "subject") if carried else ():
            inputs.setdefault(argument, [part.get(argument) for part in carried])
        output = self(text=prompts, **inputs)
        return output if return_dict else output["input_ids"]

    def _flatten(self, content: str | list[dict[str, Any]], carried: list[dict[str, Any]]) -> str:
        if isinstance(content, str):
            return content
        wrong = [part["type"] for part in content if part["type"] not in ("text", "brain")]
        if wrong:
            raise ValueError(f'Content parts must be of type "text" or "brain"; found {wrong}.')
        carried.extend(part for part in content if "brain" in part)
        return "".join(self.brain_token if part["type"] == "brain" else part["text"] for part in content)

    def decode(self, token_ids: Any, *args: Any, **kwargs: Any) -> str:
        """As [`~PreTrainedTokenizerBase.decode`], for ids of the model."""
        return self.tokenizer.decode(self._translate(token_ids), *args, **kwargs)

    def batch_decode(self, sequences: Any, *args: Any, **kwargs: Any) -> list[str]:
        """As [`~PreTrainedTokenizerBase.batch_decode`], for ids of the model."""
        return self.tokenizer.batch_decode(self._translate(sequences), *args, **kwargs)

    def _translate(self, ids: Any) -> Any:
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        return self._tokenizer_ids.get(ids, ids) if isinstance(ids, int) else [self._translate(item) for item in ids]

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Writes the settings and, beside them, the subjects of the feature extractor."""
        # `save_pretrained` nests the feature extractor in the processor's JSON and never calls its own saving; this is
        # the last thing that both `save_pretrained` and `push_to_hub` do before files are uploaded.
        super().to_json_file(json_file_path)
        folder = os.path.dirname(json_file_path)
        self.feature_extractor.save_subjects(folder)
        record_checksums(folder, PROCESSOR_FILES)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """See [`~transformers.ProcessorMixin.from_pretrained`]; a folder's files are compared with their checksums."""
        verify_checksums(pretrained_model_name_or_path, PROCESSOR_FILES, kwargs.get("subfolder"))
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


BrainLlamaProcessor.register_for_auto_class()

__all__ = ["BrainLlamaProcessor"]
