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
"""Checkpoints that hold the brain modules and name the language model, with which they are composed at load."""

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, GenerationConfig
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file, logging
from transformers.utils.hub import extract_commit_hash, get_checkpoint_shard_files

from .checksums import HUB_ARGUMENTS, MODEL_FILES, record_checksums, refuse_shards_elsewhere, verify_checksums
from .configuration_brainllama import BrainLlamaConfig, FrameEncoderConfig, VoxelEncoderConfig
from .publishing_brainllama import GuardedPush


TEXT_MODEL_PARTS = ("language_model.", "lm_head.")
CHUNK = 2**18
# What a saved checkpoint offers to `trust_remote_code`; transformers itself would write the saved class only.
AUTO_MAP = {
    "AutoConfig": "configuration_brainllama.BrainLlamaConfig",
    "AutoModel": "modeling_brainllama.BrainLlamaModel",
    "AutoModelForCausalLM": "modeling_brainllama.BrainLlamaForCausalLM",
}


class ComposedCheckpoints(GuardedPush):
    """
    The checkpoints of a model with a frozen language model in it; stands before `PreTrainedModel` among the bases.

    A slim checkpoint holds the brain modules, and the id and revision of the language model; a merged one holds all.
    Adapters of PEFT that were put into the model (`add_adapter`) are saved with either, and loaded again.

    `config.text_model_digest` tells the language model that a model was composed with, from its weights: a slim
    checkpoint is neither saved when they have changed, nor composed with others.
    """

    # Digest of the language model as it was when the model was composed, in its own floating-point type.
    _composed_digest: dict[str, str] | None = None

    def post_init(self) -> None:
        super().post_init()
        # Names of the weights before PEFT adds to them.
        self._own_names = frozenset(self.state_dict())
        self.freeze_text_model()

    def freeze_text_model(self) -> None:
        """Stops gradients to the language model, whose weights a slim checkpoint does not hold."""
        for name, parameter in self.named_parameters():
            if _is_text(name) and _without_peft(name) in self._own_names:
                parameter.requires_grad_(False)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        *,
        merge_text_model: bool | None = None,
        state_dict: dict[str, torch.Tensor] | None = None,
        **kwargs,
    ) -> None:
        """
        Saves a slim checkpoint (brain modules, and the id and revision of the language model) or a merged one.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to write.
            merge_text_model (`bool`, *optional*):
                Whether the language model's weights are saved too. By default as the model was made: slim when the
                language model came from `config.text_model_id`. Merge after changing its weights (merged LoRA, full
                fine-tuning): a slim checkpoint would be composed with the unchanged ones.
            state_dict (`dict`, *optional*):
                Weights to save instead of the model's own.
            kwargs:
                See [`~transformers.PreTrainedModel.save_pretrained`].

        Raises:
            ValueError: if a slim checkpoint is asked for and the language model is unnamed, trainable or changed.
        """
        config = self.config
        merge = config.text_model_included if merge_text_model is None else merge_text_model
        state_dict = self.state_dict() if state_dict is None else state_dict
        state_dict = {_without_peft(name): value for name, value in state_dict.items()}
        added = set(state_dict) - self._own_names
        if not merge:
            self._check_slim(state_dict)
            state_dict = {k: v for k, v in state_dict.items() if k in added or not _is_text(k)}
        kept = config.text_model_included, config.adapters, getattr(self, "_hf_peft_config_loaded", False)
        config.text_model_included, config.auto_map = merge, dict(AUTO_MAP)
        config.adapters = _describe_adapters(self) if added else None
        # Else only the adapter would be saved, of a model that has learnt more than that.
        self._hf_peft_config_loaded = False
        try:
            super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)
        finally:
            config.text_model_included, config.adapters, self._hf_peft_config_loaded = kept
        if kwargs.get("is_main_process", True):
            record_checksums(save_directory, MODEL_FILES)

    def _check_slim(self, state_dict: dict[str, torch.Tensor]) -> None:
        if self.config.text_model_id is None:
            raise ValueError(
                "A slim checkpoint needs `config.text_model_id`, the language model to be composed with at load; "
                "found None. Build the model with `from_text_model`, or save with `merge_text_model=True`."
            )
        trainable = [
            name
            for name, parameter in self.named_parameters()
            if parameter.requires_grad and _is_text(name) and _without_peft(name) in self._own_names
        ]
        if trainable:
            raise ValueError(
                f"{len(trainable)} parameters of the language model are trainable (first: {trainable[0]}), and a slim "
                "checkpoint would lose them. Save with `merge_text_model=True`, or call `freeze_text_model()` first."
            )
        changed = _changed_part(self._composed_digest, self._digest(state_dict))
        if changed:
            raise ValueError(
                f"The weights of `{changed}` are no longer those of '{self.config.text_model_id}', with which this "
                "model was composed (LoRA was merged, weights were trained, or the vocabulary was resized), and a "
                "slim checkpoint would lose the change. Save with `merge_text_model=True`."
            )

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Weights as they are saved, whose names are those that they had before PEFT changed some."""
        present = {_without_peft(name): name for name in self.state_dict()}
        renamed = {present.get(name, name): value for name, value in state_dict.items()}
        return super().load_state_dict(renamed, strict=strict, assign=assign)

    def _digest(self, weights: dict[str, torch.Tensor]) -> dict[str, str]:
        """Digests of the language model and its head among `weights`, which are named as ours without PEFT."""
        parts = {}
        for part in TEXT_MODEL_PARTS:
            tensors = {n: w for n, w in weights.items() if part in n and n in self._own_names}
            # Backbone and full model differ by the first component of their names.
            tensors = {name[name.index(part) :]: weight for name, weight in tensors.items()}
            parts |= {part.rstrip("."): _digest_of(tensors)} if tensors else {}
        return parts

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *model_args, config=None, **kwargs):
        """
        Loads a checkpoint, its language model frozen; a slim one is composed with the language model that it names.

        Takes what [`~transformers.PreTrainedModel.from_pretrained`] takes. `text_model_id="folder"` names another
        copy of the language model.

        Raises:
            OSError: if a slim checkpoint's language model cannot be found.
            ValueError: if it is not the one with which the checkpoint was trained, weights are missing, or a file of a
                folder is not what was saved.
        """
        if pretrained_model_name_or_path is None:
            return super().from_pretrained(None, *model_args, config=config, **kwargs)
        verify_checksums(pretrained_model_name_or_path, MODEL_FILES, kwargs.get("subfolder"))
        refuse_shards_elsewhere(pretrained_model_name_or_path, **kwargs)
        hub_kwargs = {name: kwargs[name] for name in (*HUB_ARGUMENTS, "revision", "subfolder") if name in kwargs}
        if not isinstance(config, BrainLlamaConfig):
            config = BrainLlamaConfig.from_pretrained(pretrained_model_name_or_path, **hub_kwargs)
        for name in ("text_model_id", "text_model_revision"):
            setattr(config, name, kwargs.pop(name, getattr(config, name)))
        adapters, config.adapters = config.adapters, None
        _keep_brain_whole(kwargs.get("quantization_config"))
        wants_info = kwargs.pop("output_loading_info", False)
        # CODEPATH: merged checkpoints hold the language model, slim ones name it
        if config.text_model_included:
            with _quiet_load_report(adapters is not None):
                model, info = super().from_pretrained(
                    pretrained_model_name_or_path, *model_args, config=config, output_loading_info=True, **kwargs
                )
            model._composed_digest = config.text_model_digest
        else:
            model, info = cls._compose(pretrained_model_name_or_path, *model_args, config=config, **kwargs)
        model.freeze_text_model()
        if adapters:
            model._load_adapters(adapters, _lazy_weights(pretrained_model_name_or_path, **hub_kwargs)[0])
        return (model, info) if wants_info else model

    def _load_adapters(self, adapters: dict[str, dict], saved: dict) -> None:
        """Puts PEFT's adapters into the model again, with their weights, and leaves trainable what was so."""
        learns = {_without_peft(name) for name, parameter in self.named_parameters() if parameter.requires_grad}
        with tempfile.TemporaryDirectory() as folder, _quiet_load_report():
            for name, options in adapters.items():  # as a file, which needs no import of PEFT here
                with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
                    json.dump({key: value for key, value in options.items() if key != "is_active"}, file)
                self.load_adapter(folder, name, adapter_state_dict={}, is_trainable=True)
        self.set_adapter([name for name, options in adapters.items() if options["is_active"]] or list(adapters))
        added = {name for name in self.state_dict() if _without_peft(name) not in self._own_names}
        # Backbone and full model differ by the first component of their names.
        found = {key: saved[key] for key in saved} | {f"model.{key}": saved[key] for key in saved}
        found |= {key.removeprefix("model."): saved[key] for key in saved}
        weights = {name: found[name][:] for name in added if name in found}
        if added - set(weights):
            raise ValueError(
                f"{len(added - set(weights))} weights of the adapters {list(adapters)} are missing in the checkpoint "
                f"(first: {min(added - set(weights))}). It is truncated, or was saved with another version of PEFT."
            )
        self.load_state_dict(weights, strict=False)
        for name, parameter in self.named_parameters():
            if _without_peft(name) in learns:
                parameter.requires_grad_(True)

    @classmethod
    def from_text_model(
        cls,
        text_model_id: str | os.PathLike,
        encoder_config: FrameEncoderConfig | VoxelEncoderConfig | None = None,
        *,
        revision: str | None = None,
        config_kwargs: dict | None = None,
        **kwargs,
    ):
        """
        Joins new brain modules to any Llama-architecture checkpoint, which stays frozen.

        Args:
            text_model_id (`str` or `os.PathLike`):
                Hub id or folder of the language model (safetensors).
            encoder_config (`FrameEncoderConfig` or `VoxelEncoderConfig`, *optional*):
                The brain encoder; BrainLLM's by default.
            revision (`str`, *optional*):
                Revision of the language model; its commit is written into the configuration.
            config_kwargs (`dict`, *optional*):
                Further fields of [`BrainLlamaConfig`], such as `interface`.
            kwargs:
                See [`~transformers.PreTrainedModel.from_pretrained`] (`dtype`, `device_map`, `token`, ...).

        Raises:
            OSError: if the language model cannot be found.
            ValueError: if it is not a Llama.
        """
        hub_kwargs = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
        _keep_brain_whole(kwargs.get("quantization_config"))
        # Looked up first, for its error when the language model is absent and for the commit in its path.
        _, commit = _lazy_weights(text_model_id, revision=revision, **hub_kwargs)
        text_config = AutoConfig.from_pretrained(text_model_id, revision=revision, **hub_kwargs)
        # Dropout regularises weights that learn; in a frozen language model it would only blur what the brain adds.
        text_config.attention_dropout = 0.0
        config = BrainLlamaConfig(
            text_config=text_config,
            encoder_config=encoder_config,
            text_model_id=str(text_model_id),
            text_model_revision=commit or revision,
            text_model_included=False,
            **(config_kwargs or {}),
        )
        model, _ = cls._compose(None, config=config, **kwargs)
        if model.can_generate() and cached_file(
            text_model_id, "generation_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
        ):
            model.generation_config = GenerationConfig.from_pretrained(text_model_id, revision=revision, **hub_kwargs)
        return model

    @classmethod
    def _text_weights(cls, weights: dict) -> dict:
        """Weights of a Llama checkpoint (with or without head) under the names that they have in our models."""
        renamed = {f"model.language_model.{k.removeprefix('model.')}": v for k, v in weights.items()}
        head = renamed.pop("model.language_model.lm_head.weight", None)
        # CODEPATH: the backbone has no head, and a language model with tied embeddings saves none
        return {**renamed, "lm_head.weight": head} if cls.can_generate() and head is not None else renamed

    @classmethod
    def _compose(cls, brain_checkpoint: str | os.PathLike | None, *model_args, config: BrainLlamaConfig, **kwargs):
        """Loads the language model that `config` names, and a slim checkpoint's brain modules (`None`: new ones)."""
        hub_kwargs = {name: kwargs.pop(name) for name in HUB_ARGUMENTS if name in kwargs}
        own_kwargs = {name: kwargs.pop(name) for name in ("revision", "subfolder") if name in kwargs}
        adapter_kwargs = dict(kwargs.pop("adapter_kwargs", None) or {})
        generation_config = kwargs.pop("generation_config", None)
        try:
            text, _ = _lazy_weights(config.text_model_id, revision=config.text_model_revision, **hub_kwargs)
        except OSError as error:
            raise OSError(
                f"'{brain_checkpoint or config.text_model_id}' needs the language model '{config.text_model_id}' "
                f"(revision {config.text_model_revision or 'main'}), which could not be loaded: {error} A slim "
                "checkpoint holds the brain modules only: download the language model (`hf auth login` if it is "
                'gated), or pass `text_model_id="/path/to/a/copy"`.'
            ) from error
        brain = _lazy_weights(brain_checkpoint, **hub_kwargs, **own_kwargs)[0] if brain_checkpoint else {}
        weights = {**cls._text_weights(text), **brain}
        if is_deepspeed_zero3_enabled():  # its loader scatters tensors, and knows no lazily read ones
            weights = {name: value[:] for name, value in weights.items()}
        if kwargs.get("dtype") in (None, "auto"):
            kwargs["dtype"] = config.dtype or config.text_config.dtype or torch.float32
        with _quiet_load_report():
            model, info = super().from_pretrained(
                None,
                *model_args,
                config=config,
                state_dict=weights,
                output_loading_info=True,
                **kwargs,
            )
        missing = [
            key
            for key in info["missing_keys"]
            if brain_checkpoint is not None or any(part in key for part in TEXT_MODEL_PARTS)
        ]
        if missing:
            raise ValueError(
                f"Weights are missing that '{brain_checkpoint or ''}' and '{config.text_model_id}' should hold: "
                f"{sorted(missing)[:5]} ({len(missing)} in all). The checkpoint is truncated or of another model."
            )
        model.freeze_text_model()
        # ZeRO-3 has scattered the model's own weights by now.
        model._composed_digest = model._digest(weights if is_deepspeed_zero3_enabled() else model.state_dict())
        changed = _changed_part(config.text_model_digest, model._composed_digest)
        if changed:
            raise ValueError(
                f"'{brain_checkpoint}' was trained with another language model: `{changed}` of "
                f"'{config.text_model_id}' has other weights than it had then. Give the unchanged one by "
                "`text_model_id=`; a checkpoint that holds its own is saved with `merge_text_model=True`."
            )
        model.config.text_model_digest = config.text_model_digest or model._composed_digest
        model.name_or_path = model.config._name_or_path = str(brain_checkpoint or "")
        if model.can_generate() and brain_checkpoint is not None:
            model.generation_config = generation_config or GenerationConfig.from_pretrained(
                brain_checkpoint, **hub_kwargs, **own_kwargs
            )
        adapter_path = adapter_kwargs.pop("_adapter_model_path", None)
        if adapter_path is not None:
            model.load_adapter(adapter_path, adapter_kwargs={**hub_kwargs, **adapter_kwargs})
        return model, info


def _keep_brain_whole(quantization_config) -> None:
    """Quantisation is of the frozen language model: brain modules stay as they are, and its head as by default."""
    for field in ("modules_to_not_convert", "llm_int8_skip_modules"):
        if hasattr(quantization_config, field):
            kept = getattr(quantization_config, field)
            kept = [*(["lm_head"] if kept is None else kept), "brain_encoder", "brain_interface"]
            setattr(quantization_config, field, list(dict.fromkeys(kept)))


def _is_text(name: str) -> bool:
    return any(part in name for part in TEXT_MODEL_PARTS)


def _without_peft(name: str) -> str:
    """The name that a weight had before PEFT wrapped its module."""
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def _describe_adapters(model) -> dict[str, dict]:
    """Options of PEFT's adapters in a model, as JSON; no path of the computer that trained them."""
    active = model.active_adapters() if getattr(model, "_hf_peft_config_loaded", False) else list(model.peft_config)
    described = {}
    for name, options in model.peft_config.items():
        plain = {key: sorted(v) if isinstance(v, set) else v for key, v in options.to_dict().items() if v is not None}
        plain = {key: value for key, value in plain.items() if key != "base_model_name_or_path"}
        described[name] = {**json.loads(json.dumps(plain)), "is_active": name in active}
    return described


def _digest_of(weights: dict[str, torch.Tensor]) -> str:
    """
    A digest of weights that is the same on every device, and whether they were loaded in float32 or bfloat16.

    They are rounded to bfloat16, and their bits, four values to a whole number, summed up, each times its place.
    float16 rounds otherwise, which is why it is noted before the digest, as is the number of weights (a quantised
    model has fewer that are plain numbers).
    """
    sums, half = [], False
    for name, weight in sorted(weights.items()):
        weight = weight if isinstance(weight, torch.Tensor) else weight[:]
        if not weight.is_floating_point() or weight.itemsize < 2 or weight.is_meta or not weight.numel():
            continue
        half |= weight.dtype == torch.float16
        places = 2 * torch.arange(min(CHUNK, weight.numel()) // 4 + 1, device=weight.device) + 1
        total = 0
        for some in weight.detach().flatten().split(CHUNK):  # in chunks: no copy of a whole table of embeddings
            bits = nn.functional.pad(some.to(torch.bfloat16), (0, -len(some) % 4)).view(torch.int64)
            product = (
                bits.dot(places[: len(bits)]) if weight.device.type == "cpu" else (bits * places[: len(bits)]).sum()
            )
            total = 31 * total + product  # wraps around, on every device
        sums.append((name, tuple(weight.shape), int(total)))
    digest = hashlib.sha256(repr(sums).encode()).hexdigest()[:32]
    return f"{'float16' if half else 'bfloat16'}-{len(sums)}-{digest}"


def _changed_part(known: dict[str, str] | None, found: dict[str, str]) -> str | None:
    """The first part whose digest differs; those of other floating-point types cannot be compared."""
    for part, digest in found.items():
        one, other = (known or {}).get(part, digest), digest
        if one != other and one.rsplit("-", 1)[0] == other.rsplit("-", 1)[0]:
            return part
    return None


@contextmanager
def _quiet_load_report(quiet: bool = True):
    """Holds back the table of missing weights: new brain modules must be missing, and all else is an error of ours."""
    verbosity = logging.get_verbosity()
    if quiet:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _lazy_weights(repo: str | os.PathLike, **hub_kwargs) -> tuple[dict, str | None]:
    """Name → lazily read tensor for every weight of a safetensors checkpoint, and its commit if it came from a Hub."""
    index = cached_file(repo, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False, **hub_kwargs)
    if index is None:
        files = [cached_file(repo, SAFE_WEIGHTS_NAME, **hub_kwargs)]
    else:
        files, _ = get_checkpoint_shard_files(repo, index, **hub_kwargs)
    weights = {}
    for file in files:
        handle = safe_open(file, framework="pt")
        names = handle.keys()
        weights.update({name: handle.get_slice(name) for name in names})
    return weights, extract_commit_hash(files[0], None)


__all__ = ["ComposedCheckpoints"]
