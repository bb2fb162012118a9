# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
`accelerate launch` for many short jobs: libraries are imported once, and each rank of each job is a fork that runs its
script as `__main__`. All else, from the options to the environment of a rank, is accelerate's own.

    python tests/examples/forked_launch.py JOBS.json

where the file lists jobs, `{"log": "folder/name", "arguments": ["--config_file", ..., "train_sft.py", ...]}`; rank 0
prints to `folder/name.0`. Jobs run one after another, whatever becomes of the others; a job with `may_fail` may fail.
"""

import argparse
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

import deepspeed.ops
import torch.distributed.run
from accelerate import Accelerator
from accelerate.commands import launch
from accelerate.state import AcceleratorState, DistributedType, PartialState
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from torch.distributed._functional_collectives import AsyncCollectiveTensor


# All-reduce in shared memory is compiled for most of a minute on every fresh machine; gloo does the same.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def fork_alone(args: argparse.Namespace) -> None:
    """Stands in for accelerate's launcher of one process."""
    _, environment = prepare_simple_launcher_cmd_env(args)
    wait_for([fork(args, environment)])


def fork_ranks(args: argparse.Namespace) -> None:
    """Stands in for `torch.distributed.run.run`, and gives ranks the same environment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": listener.getsockname()[1]}
    shared |= {"WORLD_SIZE": args.nproc_per_node, "LOCAL_WORLD_SIZE": args.nproc_per_node}
    ranks = range(int(args.nproc_per_node))
    wait_for([fork(args, shared | {"RANK": rank, "LOCAL_RANK": rank}) for rank in ranks])


def fork(args: argparse.Namespace, environment: dict[str, object]) -> int:
    """Starts a process that runs the script and writes what it prints to the job's log; returns its id."""
    child = os.fork()
    if child:
        return child
    os.environ |= {name: str(value) for name, value in environment.items()}
    log = os.open(f"{os.environ['LOG']}.{os.environ.get('RANK', 0)}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv, code = [args.training_script, *args.training_script_args], 1
    try:
        if os.environ.get("ACCELERATE_USE_FSDP") == "true":
            allow_fsdp_on_cpus()
        runpy.run_path(args.training_script, run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait_for(children: list[int]) -> None:
    """Waits for all processes of a job; when one fails, the others, which would wait for it, are ended."""
    remaining, failed = set(children), []
    while remaining:
        child, status = os.wait()
        remaining.discard(child)
        if status and not failed:
            failed.append(children.index(child))
            for other in remaining:
                os.kill(other, signal.SIGKILL)
    if failed:
        raise RuntimeError(Path(f"{os.environ['LOG']}.{failed[0]}").read_text())


def allow_fsdp_on_cpus() -> None:
    """accelerate has FSDP for GPUs only, and takes copies that are still on their way for complete."""
    initialise, gather = AcceleratorState.__init__, Accelerator.get_state_dict

    def with_fsdp(self, *args, fsdp_plugin=None, **kwargs) -> None:
        initialise(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    def completely(self, *args, **kwargs) -> dict:
        weights = gather(self, *args, **kwargs)
        return {name: w.wait() if isinstance(w, AsyncCollectiveTensor) else w for name, w in weights.items()}

    AcceleratorState.__init__, Accelerator.get_state_dict = with_fsdp, completely


def main() -> None:
    launch.simple_launcher, torch.distributed.run.run = fork_alone, fork_ranks
    jobs, failures = json.loads(Path(sys.argv[1]).read_text()), []
    for job in jobs:
        job["args"] = launch.launch_command_parser().parse_args(job["arguments"])
    # For the forks, which share it: what scripts import starts no thread and no process group.
    for script in {job["args"].training_script for job in jobs}:
        runpy.run_path(script, run_name="imported")
    for job in jobs:
        os.environ["LOG"] = job["log"]
        try:
            launch.launch_command(job["args"])
        except RuntimeError as error:
            if not job["may_fail"]:
                failures.append(f"{' '.join(job['arguments'])}\n{error}")
    if failures:
        sys.exit("\n\n".join(failures))


if __name__ == "__main__":
    main()
