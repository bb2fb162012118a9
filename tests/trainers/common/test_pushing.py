# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Pushes of a trainer from Python: a `PeftModel`, rows of unknown terms, a push that fails while training goes on."""

import json

import pytest


ADAPTER = {"adapter_config.json", "adapter_model.safetensors"}
PROCESSOR = {"chat_template.jinja", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}


@pytest.mark.slow
class TestPeftModel:
    def test_adapters_arrive_and_nothing_else(
        self, run_python, local_hub, make_model, make_processor, make_rows, tmp_path
    ):
        """Refused while its base is a folder, or data of unknown terms would go; then whole, in every place."""
        model = make_model()
        model.save_pretrained(tmp_path / "base")
        processor = make_processor(model)
        processor.feature_extractor.fit([row["brain_values"] for row in make_rows()], "s1")
        processor.save_pretrained(tmp_path / "base")
        make_rows().save_to_disk(tmp_path / "rows")
        printed = run_python(TRAIN, str(tmp_path), env=local_hub.environment(tmp_path / "home"))
        told = json.loads(printed.splitlines()[-1])
        assert told["local"].startswith("`base_model_name_or_path` is the local folder")
        assert "nothing is known of the terms of the data of s1" in told["terms"]
        repositories = local_hub.repositories()
        assert {name for _, name in repositories} == {"lab/llama", "lab/brain", "lab/adapter", "lab/public"}
        assert [name for (_, name), is_private in repositories.items() if not is_private] == ["lab/public"]
        files = local_hub.files("lab/adapter")
        names = {name for name in files if not name.endswith((".py", "SHA256SUMS"))}
        own = ADAPTER | PROCESSOR
        copies = {f"checkpoint-{step}/{name}" for step in (1, 2) for name in own}
        assert names == own | copies | {"README.md"}
        assert b"Which data the weights were trained on, and on which terms, is not recorded." in files["README.md"]
        for name in ADAPTER:
            assert files[name] == (tmp_path / "run" / name).read_bytes()
        assert set(local_hub.files("lab/public")) == set()
        assert told["steps_of_the_failed_push"] == 2
        assert "was not pushed to 'lab/public'" in told["warned"]
        assert not list(tmp_path.glob("*/_push*"))


TRAIN = """
import json, logging, sys
from pathlib import Path
from datasets import load_from_disk
from huggingface_hub import create_repo
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import get_logger
from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor
from trainers.sft.sft_config import BrainSFTConfig
from trainers.sft.sft_trainer import BrainSFTTrainer
folder = Path(sys.argv[1])
rows, told = load_from_disk(folder / "rows"), {}
local = BrainLlamaForCausalLM.from_pretrained(folder / "base")
for part in (AutoModelForCausalLM, AutoTokenizer):
    part.from_pretrained(local.config.text_model_id).push_to_hub("lab/llama", private=True)
local.config.text_model_id = "lab/llama"
local.push_to_hub("lab/brain")

def train(model, run="run", hub="lab/adapter", before=lambda trainer: None, **options):
    args = BrainSFTConfig(
        output_dir=str(folder / run), use_cpu=True, disable_tqdm=True, report_to="none", max_steps=2, save_steps=1,
        save_strategy="steps", push_to_hub=True, hub_model_id=hub, hub_always_push=True, **options
    )
    processor = BrainLlamaProcessor.from_pretrained(folder / "base")
    trainer = BrainSFTTrainer(model, args, train_dataset=rows, processing_class=processor)
    before(trainer)
    trainer.train()
    return trainer

def adapted(base):
    whole = ["brain_encoder", "brain_interface"]
    return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], modules_to_save=whole))

try:
    train(adapted(local), share_statistics=False)
except ValueError as error:
    told["local"] = str(error)
base = BrainLlamaForCausalLM.from_pretrained("lab/brain")
try:
    train(adapted(base))
except PermissionError as error:
    told["terms"] = str(error)
train(adapted(base), share_statistics=False, hub_strategy="all_checkpoints").push_to_hub()

class Kept(logging.Handler):
    def emit(self, record):
        told["warned"] = record.getMessage()
get_logger("trainers.common.pushing").addHandler(Kept())
create_repo("lab/public", private=False)
def elsewhere(trainer):
    trainer.hub_model_id = "lab/public"
other = train(BrainLlamaForCausalLM.from_pretrained("lab/brain"), "other", "lab/brain", elsewhere,
              share_statistics=False, hub_strategy="every_save")
told["steps_of_the_failed_push"] = other.state.global_step
print(json.dumps(told))
"""
