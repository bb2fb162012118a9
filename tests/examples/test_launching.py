# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The launcher's files and the commands that the documentation gives for them, with accelerate's own parser."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from distributed_runs import EXAMPLES, SHARED


CONFIGS = {"single_gpu", *SHARED}
GUIDE = EXAMPLES.parent / "docs" / "training.md"


def launcher(*arguments: object):
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args([*map(str, arguments), "script.py"]))
    args.deepspeed_fields_from_accelerate_config = ""
    return args


class TestFiles:
    def test_one_for_each_way(self):
        assert {file.stem for file in (EXAMPLES / "accelerate_configs").iterdir()} == CONFIGS
        for name in CONFIGS:
            assert f"accelerate_configs/{name}.yaml" in GUIDE.read_text()

    @pytest.mark.parametrize("name", sorted(CONFIGS))
    def test_is_what_accelerate_understands(self, name):
        args = launcher("--config_file", EXAMPLES / "accelerate_configs" / f"{name}.yaml")
        kinds = (args.multi_gpu, args.use_deepspeed, args.use_fsdp)
        assert kinds == (name == "multi_gpu", name.startswith("deepspeed"), name == "fsdp2")
        assert (args.mixed_precision, args.num_machines) == ("bf16", 1)
        assert args.num_processes == (1 if name == "single_gpu" else 8)

    @pytest.mark.parametrize("stage", [1, 2, 3])
    def test_stages_of_deepspeed(self, stage):
        args = launcher("--config_file", EXAMPLES / "accelerate_configs" / f"deepspeed_zero{stage}.yaml")
        _, environment = prepare_deepspeed_cmd_env(args)
        assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == str(stage)
        gathers = environment.get("ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL") == "true"
        twin = json.loads((EXAMPLES / "deepspeed" / f"zero{stage}.json").read_text())["zero_optimization"]
        assert twin["stage"] == stage
        assert gathers == twin.get("stage3_gather_16bit_weights_on_model_save", False) == (stage == 3)

    def test_fsdp2(self):
        from modeling_brainllm import BrainLlamaForCausalLM

        args = launcher("--config_file", EXAMPLES / "accelerate_configs" / "fsdp2.yaml")
        ours = {name: value for name, value in prepare_multi_gpu_env(args).items() if name.startswith("FSDP_")}
        with patch_environment(**ours):
            plugin = FullyShardedDataParallelPlugin()
        assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
        assert plugin.state_dict_type.name == "FULL_STATE_DICT"
        assert not plugin.cpu_ram_efficient_loading
        assert set(plugin.transformer_cls_names_to_wrap) <= set(BrainLlamaForCausalLM._no_split_modules)


@pytest.mark.slow
class TestCommands:
    def test_two_processes_on_cpus_as_documented(self, corpus, text_model, tmp_path):
        """As printed, with other paths and fewer steps: bfloat16, data parallel."""
        text = GUIDE.read_text()
        command = next(
            words
            for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
            for words in map(shlex.split, block.replace("\\\n", " ").splitlines())
            if "--use_cpu" in words and words[0] == "accelerate"
        )
        paths = {"--dataset": corpus, "--text_model_id": text_model, "--output_dir": tmp_path / "run"}
        for name, path in paths.items():
            command[command.index(name) + 1] = str(path)
        small = ["--warmup_epochs", "0", "--num_train_epochs", "1", "--report_to", "none", "--disable_tqdm", "true"]
        done = subprocess.run(
            [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0", *command[2:], *small],
            cwd=EXAMPLES.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        state = json.loads((tmp_path / "run" / "trainer_state.json").read_text())
        # 92 rows in batches of 8 by each of two processes
        assert (state["global_step"], state["train_batch_size"]) == (6, 8)
        assert (tmp_path / "run" / "checkpoint-6" / "rng_state_1.pth").is_file()


@pytest.mark.slow
class TestPush:
    def test_stage_that_pushes_itself(self, run_python, run_example, local_hub, corpus, text_model, tmp_path):
        """Weights and the last checkpoint arrive while training goes on, and whole."""
        environment = local_hub.environment(tmp_path)
        run_python(PUSH_TEXT_MODEL, str(text_model), env=environment)
        options = ("--max_steps", 4, "--save_steps", 2, "--save_strategy", "steps", "--logging_steps", 1)
        hub = ("--push_to_hub", "true", "--hub_model_id", "lab/decoder", "--hub_strategy", "checkpoint")
        data = ("--dataset", corpus, "--text_model_id", "lab/llama", "--output_dir", tmp_path / "run")
        quiet = ("--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--license", "llama2")
        run_example("train_sft.py", *data, *options, *hub, *quiet, env=environment)
        files = local_hub.files("lab/decoder")
        assert (tmp_path / "run" / "checkpoint-4" / "optimizer.pt").is_file()
        steps = [(tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors").read_bytes() for step in (2, 4)]
        assert files["last-checkpoint/model.safetensors"] in steps  # the second may come while the first is under way
        assert files["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
        assert b"base_model: lab/llama" in files["README.md"]
        assert {"modeling_brainllama.py", "processor_config.json"} <= files.keys()
        assert not [name for name in files if name.startswith("_")]
        run_python(LOAD, env={**local_hub.environment(tmp_path / "other"), "HOME": os.environ["HOME"]}, isolated=True)


PUSH_TEXT_MODEL = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
for part in (AutoModelForCausalLM, AutoTokenizer):
    part.from_pretrained(sys.argv[1]).push_to_hub("lab/llama")
"""
LOAD = """
from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained("lab/decoder", trust_remote_code=True)
"""
