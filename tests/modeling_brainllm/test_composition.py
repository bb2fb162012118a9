# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The language model inside: frozen on every way in, and what was learnt in it is saved, or the save is refused."""

import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from testing_utils import brain_inputs, prompt_ids, save_tiny_text_model, save_tiny_tokenizer, tiny_brain_model
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMultimodalLM, BitsAndBytesConfig, QuantoConfig

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaModel
from modeling_brainllm.modeling_brain_composition import _keep_brain_whole


ATTENTION = r".*language_model\.layers\.\d+\.self_attn\.(q|v)_proj"
REMEDY = r"Save with `merge_text_model=True`"


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(params=["prefix", "cross_attention"])
def model(request, text_model):
    return tiny_brain_model(text_model, request.param, "frames").eval()


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(prompt_ids(model), **brain_inputs("frames")).logits


def learns(model) -> set[str]:
    return {name.removeprefix("model.") for name, p in model.named_parameters() if p.requires_grad}


def shake(model, *marks: str) -> None:
    """Gives weights that PEFT starts at zero, or that should have learnt, other values."""
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if any(mark in name for mark in marks):
            torch.nn.init.normal_(parameter, std=0.3)


WAYS = {
    "from_pretrained": BrainLlamaForCausalLM.from_pretrained,
    "backbone": BrainLlamaModel.from_pretrained,
    "AutoModel": AutoModel.from_pretrained,
    "AutoModelForCausalLM": AutoModelForCausalLM.from_pretrained,
    "AutoModelForMultimodalLM": AutoModelForMultimodalLM.from_pretrained,
    "bfloat16": lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16"),
    "auto": lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype="auto"),
    "device_map": lambda folder: AutoModelForCausalLM.from_pretrained(folder, device_map="cpu"),
    "info": lambda folder: BrainLlamaForCausalLM.from_pretrained(folder, output_loading_info=True)[0],
    "config": lambda folder: AutoModelForCausalLM.from_config(AutoModelForCausalLM.from_pretrained(folder).config),
}


class TestFrozen:
    @pytest.mark.parametrize("merged", [False, True], ids=["slim", "merged"])
    @pytest.mark.parametrize("way", WAYS)
    def test_on_every_way_in(self, model, tmp_path, way, merged):
        model.save_pretrained(tmp_path, merge_text_model=merged)
        loaded = WAYS[way](tmp_path)
        assert learns(loaded) == learns(model)
        assert {name.split(".")[0] for name in learns(loaded)} <= {"brain_encoder", "brain_interface"}


class TestDigest:
    """Weights of the language model that changed behind the back of a slim checkpoint."""

    @pytest.mark.parametrize(
        "change", ["merged LoRA", "head", "one value", "embedding row", "swapped rows", "resize", "replaced head"]
    )
    def test_a_changed_language_model_is_merged_or_refused(self, model, tmp_path, change):
        with torch.no_grad():
            if change == "merged LoRA":
                adapted = get_peft_model(model, LoraConfig(target_modules=ATTENTION))
                shake(adapted, "lora_B")
                model = adapted.merge_and_unload()
            elif change == "head":
                model.lm_head.weight += 0.01
            elif change == "one value":
                model.model.language_model.layers[1].mlp.up_proj.weight[3, 4] += 0.01
            elif change == "embedding row":
                model.model.language_model.embed_tokens.weight[7] *= 1.02
            elif change == "swapped rows":
                weight = model.model.language_model.layers[0].mlp.up_proj.weight
                weight[[0, 1]] = weight[[1, 0]].clone()
            elif change == "resize":
                model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight[:-1].clone(), requires_grad=False)
            else:
                model.lm_head = torch.nn.Linear(32, 99, bias=False).requires_grad_(False)
        with pytest.raises(ValueError, match=REMEDY):
            model.save_pretrained(tmp_path / "slim")
        assert not (tmp_path / "slim").exists()
        if change != "resize":
            model.save_pretrained(tmp_path / "merged", merge_text_model=True)
            found = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"))
            torch.testing.assert_close(found, logits(model), rtol=1e-5, atol=1e-5)

    def test_a_trained_head_is_not_dropped(self, model, tmp_path):
        model.lm_head.requires_grad_(True)
        with pytest.raises(ValueError, match=r"lm_head\.weight.*" + REMEDY):
            model.save_pretrained(tmp_path)

    def test_unchanged_it_saves_after_any_cast(self, model, tmp_path):
        for dtype in (torch.float32, torch.bfloat16, torch.float32):
            model.to(dtype).save_pretrained(tmp_path / "slim")
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            AutoModelForCausalLM.from_pretrained(tmp_path / "slim", dtype=dtype).save_pretrained(tmp_path / "again")
        assert (
            load_file(tmp_path / "again" / "model.safetensors").keys()
            == load_file(tmp_path / "slim" / "model.safetensors").keys()
        )

    @pytest.mark.parametrize("part", ["layers.2.mlp.down_proj", "lm_head"])
    def test_a_base_that_changed_since_is_refused(self, text_model, tmp_path, part):
        base = shutil.copytree(text_model, tmp_path / "llama")
        tiny_brain_model(base, "prefix", "frames").save_pretrained(tmp_path / "slim")
        weights = load_file(base / "model.safetensors")
        name = next(name for name in weights if part in name)
        weights[name][0, 0] += 1
        save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"slim' was trained with another language model.*text_model_id="):
            AutoModelForCausalLM.from_pretrained(tmp_path / "slim")
        found = AutoModelForCausalLM.from_pretrained(tmp_path / "slim", text_model_id=str(text_model))
        torch.testing.assert_close(logits(found), logits(tiny_brain_model(text_model, "prefix", "frames").eval()))
        if part != "lm_head":  # of which the backbone knows nothing
            with pytest.raises(ValueError, match="another language model"):
                AutoModel.from_pretrained(tmp_path / "slim")

    def test_tied_embeddings(self, tmp_path):
        base = save_tiny_text_model(tmp_path / "llama", tie_word_embeddings=True)
        model = tiny_brain_model(base, "prefix", "frames").eval()
        model.save_pretrained(tmp_path / "slim")
        assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "slim")), logits(model))
        AutoModel.from_pretrained(tmp_path / "slim")


class TestAdapterInside:
    """`model.add_adapter`: LoRA is saved with the brain modules, slim and merged, and loads with them."""

    @pytest.mark.parametrize("merged", [False, True], ids=["slim", "merged"])
    @pytest.mark.parametrize("others", [None, ["brain_interface"]], ids=["lora", "lora+interface"])
    def test_round_trip(self, model, tmp_path, merged, others):
        plain = logits(model)
        model.add_adapter(LoraConfig(r=4, target_modules=ATTENTION, modules_to_save=others))
        model.model.brain_encoder.requires_grad_(True)
        shake(model, "lora_B", "brain_encoder", "modules_to_save")
        assert not torch.allclose(logits(model), plain, atol=1e-2)
        model.save_pretrained(tmp_path / "one", merge_text_model=merged)
        assert not (tmp_path / "one" / "adapter_config.json").exists()
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "one").eval()
        assert torch.equal(logits(loaded), logits(model))
        backbone = AutoModel.from_pretrained(tmp_path / "one").eval()
        hidden = backbone(prompt_ids(model), **brain_inputs("frames")).last_hidden_state
        torch.testing.assert_close(loaded.lm_head(hidden), logits(model))
        loaded.save_pretrained(tmp_path / "two", merge_text_model=merged)
        assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "two")), logits(model))
        assert not any("language_model" in n and "lora" not in n for n in learns(loaded))

    def test_several_adapters_one_active(self, model, tmp_path):
        for name in ("one", "two"):
            model.add_adapter(LoraConfig(r=2, target_modules=ATTENTION), adapter_name=name)
        shake(model, "lora_B")
        model.set_adapter("one")
        model.save_pretrained(tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
        assert torch.equal(logits(loaded), logits(model))
        for one in (model, loaded):
            one.set_adapter("two")
        assert torch.equal(logits(loaded), logits(model))

    def test_below_a_peft_model(self, model, tmp_path):
        """Saving the model inside a `PeftModel` loses no LoRA either."""
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=ATTENTION)).eval()
        shake(adapted, "lora_B")
        adapted.get_base_model().save_pretrained(tmp_path)
        assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path).eval()), logits(model))

    def test_truncated_adapter(self, model, tmp_path):
        model.add_adapter(LoraConfig(r=4, target_modules=ATTENTION))
        state = {
            name: value for name, value in model.state_dict().items() if "layers.1.self_attn.v_proj.lora" not in name
        }
        model.save_pretrained(tmp_path, state_dict=state)
        with pytest.raises(ValueError, match=r"2 weights of the adapters \['default'\] are missing"):
            AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (QuantoConfig(weights="int8"), "modules_to_not_convert"),
        (BitsAndBytesConfig(load_in_8bit=True), "llm_int8_skip_modules"),
    ],
)
def test_quantisation_is_of_the_language_model(options, field):
    """The brain modules are added to what a quantiser leaves alone, which by default is the head."""
    _keep_brain_whole(options)
    assert getattr(options, field) == ["lm_head", "brain_encoder", "brain_interface"]
