# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What each process of tests/trainers/common/test_fsdp2.py runs, under `torchrun`: a model in shards does what a whole
one does.

    torchrun --nproc_per_node 2 tests/trainers/sharded_steps.py FOLDER
"""

import copy
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from testing_utils import brain_inputs, prompt_ids, save_tiny_text_model, tiny_brain_model
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from modeling_brainllm import BrainLlamaForCausalLM
from trainers.common.checkpoints import own_class


def shard(model: BrainLlamaForCausalLM) -> BrainLlamaForCausalLM:
    """A copy, split as `examples/accelerate_configs/fsdp2.yaml` has it: layer by layer, the rest together."""
    sharded = copy.deepcopy(model)
    for layer in sharded.model.language_model.layers:
        fully_shard(layer)
    fully_shard(sharded)
    register_fsdp_forward_method(sharded, "generate")
    return sharded


def take_steps(model: BrainLlamaForCausalLM, rows: slice, steps: int = 3) -> torch.Tensor:
    """Losses of some of the four rows of each batch; the weights go down their gradient."""
    optimizer, losses = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.3), []
    for step in range(steps):
        ids, brains = prompt_ids(model, batch=4, seed=step), brain_inputs("frames", 4, seed=step)["brain_values"]
        labels = ids.masked_fill(ids >= model.config.text_config.vocab_size, -100)
        inputs = {"input_ids": ids[rows], "labels": labels[rows], "brain_values": brains[rows]}
        loss = model(only="token_losses", **inputs)[0].mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses)


def check_unsharded(sharded: BrainLlamaForCausalLM, whole: BrainLlamaForCausalLM, folder: Path) -> None:
    """Gathered weights are those of the whole model, and a slim checkpoint of them reloads."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    unsharded = get_model_state_dict(sharded, options=options)
    if dist.get_rank() != 0:
        return
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(unsharded[name], weight, rtol=1e-4, atol=1e-5)
    with own_class(sharded):
        sharded.save_pretrained(folder, state_dict=unsharded)
    assert not any("language_model" in name for name in load_file(folder / "model.safetensors"))
    assert (folder / "modeling_brainllama.py").is_file()
    inputs = {"input_ids": prompt_ids(whole), **brain_inputs("frames")}
    logits = BrainLlamaForCausalLM.from_pretrained(folder)(**inputs).logits
    torch.testing.assert_close(logits, whole(**inputs).logits, rtol=1e-4, atol=1e-4)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    if rank == 0:
        save_tiny_text_model(folder / "text_model")
    dist.barrier()
    for interface in ("prefix", "cross_attention"):
        whole = tiny_brain_model(folder / "text_model", interface, "frames").eval()
        sharded = shard(whole)
        expected, found = take_steps(whole, slice(0, 4)), take_steps(sharded, slice(2 * rank, 2 * rank + 2))
        dist.all_reduce(found)
        torch.testing.assert_close(found / 2, expected, rtol=1e-5, atol=1e-5)
        assert expected[-1] < expected[0]
        prompt = {"input_ids": prompt_ids(whole), **brain_inputs("frames"), "max_new_tokens": 6, "do_sample": False}
        assert sharded.generate(**prompt).equal(whole.generate(**prompt))
        check_unsharded(sharded, whole, folder / interface)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
