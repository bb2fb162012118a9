# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""No damaged file of a checkpoint is believed: flips, zeroed blocks and truncations of each of its files."""

import hashlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file
from testing_utils import INTERFACES, save_tiny_text_model, save_tiny_tokenizer, tiny_brain_model
from transformers import PreTrainedTokenizerFast

from modeling_brainllm import BrainContrastiveModel, BrainLlamaForCausalLM, BrainLlamaProcessor, checksums
from modeling_brainllm.checksums import CHECKSUMS_FILE, record_checksums, verify_checksums


# Files of a checkpoint that no code of ours reads, or that its reader refuses: code for the Hub, and the checksums.
NOT_READ = {".py"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Model and processor of both interfaces in one folder each."""
    folder = tmp_path_factory.mktemp("checkpoints")
    text_model = save_tiny_tokenizer(save_tiny_text_model(folder / "llama"))
    for interface in INTERFACES:
        model = tiny_brain_model(text_model, interface, "frames")
        model.save_pretrained(folder / interface)
        processor = BrainLlamaProcessor.from_config(model.config, PreTrainedTokenizerFast.from_pretrained(text_model))
        features = model.config.encoder_config.num_features
        processor.feature_extractor.fit(np.random.default_rng(0).normal(size=(30, features)), "s1")
        processor.save_pretrained(folder / interface)
    return folder


def damages(size: int, number: int):
    """Bytes before → bytes after: one flipped bit, a block of zeros, or an early end."""
    rng = np.random.default_rng(size)
    for _ in range(number):
        place, bit = int(rng.integers(size)), int(rng.integers(8))
        yield lambda old, p=place, b=bit: old[:p] + bytes([old[p] ^ (1 << b)]) + old[p + 1 :]
        yield lambda old, p=place: old[:p] + bytes(len(old[p : p + 512])) + old[p + 512 :]
        yield lambda old, p=place: old[:p]


def load(folder) -> None:
    BrainLlamaForCausalLM.from_pretrained(folder)
    BrainLlamaProcessor.from_pretrained(folder)


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("number", [6, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.robustness])])
def test_every_damage_to_every_file_is_noticed(checkpoints, tmp_path, interface, number):
    folder = tmp_path / "run"
    shutil.copytree(checkpoints / interface, folder)
    load(folder)
    files = [file for file in folder.iterdir() if file.suffix not in NOT_READ and file.name != CHECKSUMS_FILE]
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= {f.name for f in files}
    for file in files:
        whole = file.read_bytes()
        for damage in damages(len(whole), number):
            damaged = damage(whole)
            if damaged == whole:
                continue  # zeros where zeros were
            file.write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{file.name} is not what was saved: its SHA-256 is"):
                load(folder)
        file.unlink()
        with pytest.raises(ValueError, match=f"{file.name} is missing, which SHA256SUMS beside it lists"):
            load(folder)
        file.write_bytes(whole)
    load(folder)


def test_checksums_themselves(checkpoints, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(checkpoints / INTERFACES[0], folder)
    done = subprocess.run(["sha256sum", "-c", CHECKSUMS_FILE], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0
    file = folder / CHECKSUMS_FILE
    whole = file.read_bytes()
    for damage in damages(len(whole), 30):
        file.write_bytes(damage(whole))
        with pytest.raises(ValueError, match="SHA256SUMS is damaged: its last line is not the SHA-256 of the others"):
            load(folder)
    file.unlink()
    load(folder)


def test_names_that_lead_out_of_the_folder(checkpoints, tmp_path):
    """A file of checksums, or an index of weights, has nothing of this machine read that is not beside it."""
    folder = tmp_path / "run"
    for name in ("../elsewhere", "/etc/hostname", "below/../../elsewhere"):
        shutil.copytree(checkpoints / INTERFACES[0], folder, dirs_exist_ok=True)
        text = f"{'0' * 64}  {name}\n"
        (folder / CHECKSUMS_FILE).write_text(f"{text}# {hashlib.sha256(text.encode()).hexdigest()}\n")
        with pytest.raises(ValueError, match="which is not within its folder. Do not load"):
            load(folder)
        (folder / CHECKSUMS_FILE).unlink()
        names = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(tmp_path / "elsewhere")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, name)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(ValueError, match="names the file '.*', which is not beside it. Do not load"):
            load(folder)
        shutil.rmtree(folder)


def test_a_contrastive_model(checkpoints, tmp_path):
    from modeling_brainllm import BrainContrastiveConfig, FrameEncoderConfig

    encoder = FrameEncoderConfig(num_features=4, hidden_size=4)
    BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder, target_sizes={"text": 3})).save_pretrained(
        tmp_path
    )
    BrainContrastiveModel.from_pretrained(tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"model\.safetensors is not what was saved"):
        BrainContrastiveModel.from_pretrained(tmp_path)


def test_what_is_saved_again_is_recorded_again(checkpoints, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(checkpoints / INTERFACES[0], folder)
    model = BrainLlamaForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = not model.config.tie_word_embeddings
    before = (folder / CHECKSUMS_FILE).read_text()
    model.save_pretrained(folder)
    assert (folder / CHECKSUMS_FILE).read_text() != before
    load(folder)
    (folder / "README.md").write_text("mine")
    load(folder)


def test_large_files_are_read_in_full_once(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "_LARGE", 10)
    (tmp_path / "large.bin").write_bytes(bytes(100))
    (tmp_path / "small.bin").write_bytes(bytes(5))
    record_checksums(tmp_path, ("*",))
    read, digest = [], checksums._digest
    monkeypatch.setattr(checksums, "_digest", lambda path: read.append(path.name) or digest(path))
    for expected in (["large.bin", "small.bin"], ["small.bin"]):
        read.clear()
        verify_checksums(tmp_path)
        assert sorted(read) == expected
    (tmp_path / "large.bin").write_bytes(bytes(99) + b"1")
    with pytest.raises(ValueError, match=r"large\.bin is not what was saved"):
        verify_checksums(tmp_path)
    (tmp_path / "large.bin").write_bytes(bytes(100))
    os.utime(tmp_path / "large.bin", ns=(1, 1))
    verify_checksums(tmp_path)
