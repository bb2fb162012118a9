# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: slim and merged, from a folder and from a Hub, with our package and without it, LoRA on top."""

import json
import shutil

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from testing_utils import (
    VARIANTS,
    brain_inputs,
    prompt_ids,
    save_tiny_text_model,
    save_tiny_tokenizer,
    tiny_brain_model,
)
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaModel, BrainLlamaProcessor


LORA = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": r".*language_model\.layers\.\d+\.self_attn\.(q|v)_proj"}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(params=VARIANTS, ids="-".join)
def variant(request, text_model):
    interface, encoder = request.param
    model = tiny_brain_model(text_model, interface, encoder).eval()
    return model, brain_inputs(encoder), prompt_ids(model)


def weights(folder) -> set[str]:
    with safe_open(folder / "model.safetensors", framework="pt") as handle:
        return set(handle.keys())


class TestSlim:
    def test_holds_the_brain_modules_only_and_loads_through_auto_classes(self, variant, tmp_path):
        model, brain, input_ids = variant
        model.save_pretrained(tmp_path)
        expected = model(input_ids, **brain).logits
        assert {key.split(".")[1] for key in weights(tmp_path)} == {"brain_encoder", "brain_interface"}
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
        assert type(loaded) is BrainLlamaForCausalLM
        assert torch.equal(loaded(input_ids, **brain).logits, expected)
        assert not any(p.requires_grad for n, p in loaded.named_parameters() if "brain_" not in n)
        backbone = AutoModel.from_pretrained(tmp_path)
        assert type(backbone) is BrainLlamaModel
        hidden = backbone(input_ids, **brain).last_hidden_state
        assert torch.equal(loaded.lm_head(hidden), expected)

    def test_names_the_language_model(self, variant, tmp_path, text_model):
        model, _, _ = variant
        model.save_pretrained(tmp_path)
        config = AutoConfig.from_pretrained(tmp_path)
        assert config.text_model_id == str(text_model)
        assert config.text_model_included is False

    def test_saved_again_it_stays_slim(self, variant, tmp_path):
        model, _, _ = variant
        model.save_pretrained(tmp_path / "one")
        BrainLlamaForCausalLM.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
        assert weights(tmp_path / "one") == weights(tmp_path / "two")

    def test_dtype_is_obeyed(self, variant, tmp_path):
        model, _, _ = variant
        model.save_pretrained(tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
        assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}

    def test_generation_settings_travel(self, variant, tmp_path):
        model, _, _ = variant
        model.generation_config.max_new_tokens = 7
        model.save_pretrained(tmp_path)
        assert AutoModelForCausalLM.from_pretrained(tmp_path).generation_config.max_new_tokens == 7

    def test_missing_language_model(self, tmp_path):
        text_model = save_tiny_text_model(tmp_path / "llama")
        model = tiny_brain_model(text_model, "prefix", "frames")
        model.save_pretrained(tmp_path / "slim")
        moved = shutil.move(text_model, tmp_path / "moved")
        with pytest.raises(OSError, match=r"needs the language model .*llama.* could not be loaded.*text_model_id="):
            AutoModelForCausalLM.from_pretrained(tmp_path / "slim")
        loaded = BrainLlamaForCausalLM.from_pretrained(tmp_path / "slim", text_model_id=str(moved))
        input_ids, brain = prompt_ids(model), brain_inputs("frames")
        assert torch.equal(loaded(input_ids, **brain).logits, model.eval()(input_ids, **brain).logits)

    def test_missing_brain_weights(self, tmp_path, text_model):
        model = tiny_brain_model(text_model, "prefix", "frames")
        kept = {k: v for k, v in model.state_dict().items() if "boundary" not in k}
        model.save_pretrained(tmp_path, state_dict=kept)
        with pytest.raises(ValueError, match=r"boundary_embeddings.*truncated or of another model"):
            AutoModelForCausalLM.from_pretrained(tmp_path)

    def test_truncated_weights(self, tmp_path, text_model):
        tiny_brain_model(text_model, "prefix", "frames").save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(Exception, match="(?i)incomplete|truncat|invalid"):
            AutoModelForCausalLM.from_pretrained(tmp_path)

    def test_a_trainable_language_model_is_not_lost(self, tmp_path, text_model):
        model = tiny_brain_model(text_model, "prefix", "frames")
        model.model.language_model.requires_grad_(True)
        with pytest.raises(ValueError, match="a slim checkpoint would lose them"):
            model.save_pretrained(tmp_path)

    def test_pushing_a_local_language_model_is_refused(self, text_model):
        with pytest.raises(ValueError, match="nobody else can load"):
            tiny_brain_model(text_model, "prefix", "frames").push_to_hub("me/model")

    def test_no_language_model_there(self, tmp_path):
        with pytest.raises(OSError, match="not-there"):
            BrainLlamaForCausalLM.from_text_model(tmp_path / "not-there")


class TestMerged:
    def test_needs_no_other_folder(self, variant, tmp_path):
        model, brain, input_ids = variant
        model.save_pretrained(tmp_path, merge_text_model=True)
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["text_model_included"]
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, text_model_id="nowhere/at-all")
        assert torch.equal(loaded(input_ids, **brain).logits, model(input_ids, **brain).logits)

    def test_saved_again_it_stays_merged(self, variant, tmp_path):
        model, _, _ = variant
        model.save_pretrained(tmp_path / "one", merge_text_model=True)
        BrainLlamaForCausalLM.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
        assert weights(tmp_path / "one") == weights(tmp_path / "two")

    def test_merged_lora_is_kept(self, tmp_path, text_model):
        model = get_peft_model(tiny_brain_model(text_model, "prefix", "frames"), LoraConfig(**LORA)).eval()
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        input_ids, brain = prompt_ids(model.get_base_model()), brain_inputs("frames")
        expected = model(input_ids, **brain).logits
        model.merge_and_unload().save_pretrained(tmp_path, merge_text_model=True)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(input_ids, **brain).logits, expected, atol=1e-4, rtol=1e-4)


class TestLora:
    @pytest.mark.parametrize("modules_to_save", [None, ["brain_interface"]], ids=["lora", "lora+interface"])
    def test_adapter_on_a_slim_checkpoint_reloads(self, variant, tmp_path, modules_to_save):
        model, brain, input_ids = variant
        model.save_pretrained(tmp_path / "slim")
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "slim")
        peft_model = get_peft_model(base, LoraConfig(**LORA, modules_to_save=modules_to_save)).eval()
        for name, parameter in peft_model.named_parameters():
            if parameter.requires_grad and ("lora_B" in name or "projector" in name):
                torch.nn.init.normal_(parameter, std=0.3)
        expected = peft_model(input_ids, **brain).logits
        assert not torch.allclose(expected, model(input_ids, **brain).logits, atol=1e-3)
        with peft_model.disable_adapter():
            assert torch.equal(peft_model(input_ids, **brain).logits, model(input_ids, **brain).logits)
        peft_model.save_pretrained(tmp_path / "adapter")
        fresh = AutoModelForCausalLM.from_pretrained(tmp_path / "slim")
        ways = {
            "AutoPeftModelForCausalLM": AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter"),
            "PeftModel": PeftModel.from_pretrained(fresh, tmp_path / "adapter"),
            "AutoModelForCausalLM": AutoModelForCausalLM.from_pretrained(tmp_path / "adapter"),
        }
        for way, loaded in ways.items():
            torch.testing.assert_close(loaded.eval()(input_ids, **brain).logits, expected, msg=way)


SCRIPT = """
import json, sys, warnings
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoProcessor
source, out, trust = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
kwargs = {"trust_remote_code": True} if trust else {}
if not trust:
    import modeling_brainllm
config = AutoConfig.from_pretrained(source, **kwargs)
processor = AutoProcessor.from_pretrained(source, **kwargs)
backbone = AutoModel.from_pretrained(source, **kwargs)
model = AutoModelForCausalLM.from_pretrained(source, **kwargs)
brain = torch.load(out + "/brain.pt")
inputs = processor(text=["<|brain|>word1 word2"] * 3, brain=brain, subject="S1")
logits = model(**inputs).logits
assert torch.equal(model.lm_head(backbone(**inputs).last_hidden_state), logits)
tokens = model.generate(**inputs, max_new_tokens=5, do_sample=False)
torch.save({"logits": logits, "tokens": tokens, "class": type(model).__module__}, out + "/result.pt")
"""


@pytest.fixture
def prepared(tmp_path, text_model):
    """A slim checkpoint with its processor, three recordings, and what the model makes of them."""

    def prepare(interface, encoder="frames"):
        model = tiny_brain_model(text_model, interface, encoder).eval()
        processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
        if encoder == "frames":
            processor.feature_extractor.fit(torch.randn(20, 6), subject="S1")
            brain = list(torch.randn(3, 3, 6))
        else:
            inputs = brain_inputs("voxels")
            processor.feature_extractor.add_subject("S1", inputs["voxel_coordinates"][0], inputs["voxel_regions"][0])
            processor.feature_extractor.fit(torch.randn(20, 13), subject="S1")
            brain = list(torch.randn(3, 13))
        inputs = processor(text=["<|brain|>word1 word2"] * 3, brain=brain, subject="S1")
        torch.save(brain, tmp_path / "brain.pt")
        expected = model(**inputs).logits, model.generate(**inputs, max_new_tokens=5, do_sample=False)
        return model, processor, expected

    return prepare


def check(folder, expected):
    result = torch.load(folder / "result.pt")
    assert torch.equal(result["logits"], expected[0])
    assert torch.equal(result["tokens"], expected[1])
    return result["class"]


class TestInAnotherProcess:
    @pytest.mark.slow
    @pytest.mark.parametrize(("interface", "encoder"), VARIANTS)
    def test_folder_without_our_package(self, prepared, tmp_path, run_python, interface, encoder):
        model, processor, expected = prepared(interface, encoder)
        model.save_pretrained(tmp_path / "slim")
        processor.save_pretrained(tmp_path / "slim")
        run_python(SCRIPT, str(tmp_path / "slim"), str(tmp_path), "true", isolated=True)
        assert check(tmp_path, expected).startswith("transformers_modules.")

    @pytest.mark.slow
    def test_folder_with_our_package(self, prepared, tmp_path, run_python):
        model, processor, expected = prepared("prefix")
        model.save_pretrained(tmp_path / "slim")
        processor.save_pretrained(tmp_path / "slim")
        run_python(SCRIPT, str(tmp_path / "slim"), str(tmp_path), "false")
        assert check(tmp_path, expected) == "modeling_brainllm.modeling_brainllama"

    @pytest.mark.slow
    @pytest.mark.parametrize("interface", ["prefix", "cross_attention"])
    def test_hub(self, prepared, tmp_path, run_python, local_hub, text_model, interface):
        """Language model, slim checkpoint and LoRA adapter are pushed; another process loads all by id."""
        model, processor, expected = prepared(interface)
        model.save_pretrained(tmp_path / "slim")
        processor.save_pretrained(tmp_path / "slim")
        run_python(PUSH, str(text_model), str(tmp_path / "slim"), env=local_hub.environment(tmp_path / "pusher"))
        assert "model.safetensors" in local_hub.files("lab/brain")
        assert "base_model: lab/brain" in local_hub.files("lab/adapter")["README.md"].decode()
        pushed, of_shards = (local_hub.files(f"lab/{name}") for name in ("adapter", "adapter-of-shards"))
        for name in ("adapter_model.safetensors", "adapter_base.json", "adapter_config.json"):
            assert of_shards[name] == pushed[name], name
        environment = local_hub.environment(tmp_path / "puller")
        run_python(SCRIPT, "lab/brain", str(tmp_path), "true", env=environment, isolated=True)
        assert check(tmp_path, expected).startswith("transformers_modules.")
        pulled = run_python(PULL_ADAPTER, str(tmp_path), env=environment, isolated=True)
        assert pulled.strip().splitlines()[-1] == "equal"


PUSH = """
import sys
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoProcessor, AutoTokenizer
from modeling_brainllm import BrainLlamaForCausalLM
from trainers.common.adapter_base import describe_base, save_base
from trainers.reports.model_card import push_adapter
text_model, slim = sys.argv[1:]
AutoModelForCausalLM.from_pretrained(text_model).push_to_hub("lab/llama")
AutoTokenizer.from_pretrained(text_model).push_to_hub("lab/llama")
model = BrainLlamaForCausalLM.from_pretrained(slim)
model.config.text_model_id = "lab/llama"
model.push_to_hub("lab/brain")
AutoProcessor.from_pretrained(slim).push_to_hub("lab/brain", share_statistics=True)
base = BrainLlamaForCausalLM.from_pretrained("lab/brain")
attention = r".*language_model\\.layers\\.\\d+\\.self_attn\\.(q|v)_proj"
lora = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": attention}
adapted = get_peft_model(base, LoraConfig(**lora))
for name, parameter in adapted.named_parameters():
    if "lora_B" in name:
        torch.nn.init.constant_(parameter, 0.1)
push_adapter(adapted, "lab/adapter", license="apache-2.0")
# As a process that holds none of the weights, which the trainer has saved before.
adapted.save_pretrained("saved")
save_base(describe_base(adapted.get_base_model()), "saved")
push_adapter(adapted.to("meta"), "lab/adapter-of-shards", license="apache-2.0", saved="saved")
"""

PULL_ADAPTER = """
import sys
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoProcessor
processor = AutoProcessor.from_pretrained("lab/brain", trust_remote_code=True)
brain = torch.load(sys.argv[1] + "/brain.pt")
inputs = processor(text=["<|brain|>word1 word2"] * 3, brain=brain, subject="S1")
one = AutoPeftModelForCausalLM.from_pretrained("lab/adapter", trust_remote_code=True).eval()(**inputs).logits
two = AutoModelForCausalLM.from_pretrained("lab/adapter", trust_remote_code=True).eval()(**inputs).logits
base = AutoModelForCausalLM.from_pretrained("lab/brain", trust_remote_code=True)(**inputs).logits
assert not torch.allclose(one, base, atol=1e-3)
print("equal" if torch.equal(one, two) else "different")
"""
