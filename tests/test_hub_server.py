# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The local Hub answers the real client: what is pushed is pulled back, byte for byte and logit for logit."""

import json
import urllib.error
import urllib.request
from hashlib import sha256

import pytest


UPLOAD = """
import json, pathlib, sys
from huggingface_hub import HfApi
folder = pathlib.Path("folder"); (folder / "nested").mkdir(parents=True)
(folder / "README.md").write_text("---\\nlicense: apache-2.0\\n---\\nhello")
(folder / "nested" / "notes.txt").write_text("brain")
(folder / "weights.bin").write_bytes(bytes(range(256)) * 64)
api = HfApi()
url = api.create_repo("tester/things", repo_type=sys.argv[1])
api.create_repo("tester/things", repo_type=sys.argv[1], exist_ok=True)
commit = api.upload_folder(repo_id="tester/things", folder_path=folder, repo_type=sys.argv[1])
"""
WEIGHTS = bytes(range(256)) * 64


class TestPush:
    @pytest.mark.parametrize("repo_type", ["model", "dataset"])
    def test_upload_folder_stores_every_byte(self, local_hub, run_python, tmp_path, repo_type):
        run_python(UPLOAD, repo_type, env=local_hub.environment(tmp_path))
        files = local_hub.files("tester/things", repo_type)
        assert sorted(files) == ["README.md", "nested/notes.txt", "weights.bin"]
        assert files["nested/notes.txt"] == b"brain"
        assert files["weights.bin"] == WEIGHTS

    def test_binary_files_go_through_lfs(self, local_hub, run_python, tmp_path):
        run_python(UPLOAD, "model", env=local_hub.environment(tmp_path))
        assert ("PUT", f"/lfs/{sha256(WEIGHTS).hexdigest()}") in local_hub.requests
        assert len([path for method, path in local_hub.requests if method == "PUT"]) == 1

    def test_commits_delete_files_and_folders_and_keep_history(self, local_hub, run_python, tmp_path):
        script = UPLOAD + (
            "api.delete_file('weights.bin', 'tester/things')\n"
            "api.delete_folder('nested', 'tester/things')\n"
            "print(commit.oid)"
        )
        first = run_python(script, "model", env=local_hub.environment(tmp_path)).split()[-1]
        assert sorted(local_hub.files("tester/things")) == ["README.md"]
        assert local_hub.files("tester/things", revision=first)["weights.bin"] == WEIGHTS

    def test_a_commit_on_a_stale_parent_is_refused(self, local_hub, run_python, tmp_path):
        script = UPLOAD + (
            "from huggingface_hub import CommitOperationDelete\n"
            "from huggingface_hub.errors import HfHubHTTPError\n"
            "api.delete_file('weights.bin', 'tester/things')\n"
            "gone = [CommitOperationDelete('README.md')]\n"
            "try: api.create_commit('tester/things', gone, commit_message='late', parent_commit=commit.oid)\n"
            "except HfHubHTTPError as error: print(error.response.status_code)"
        )
        assert run_python(script, "model", env=local_hub.environment(tmp_path)).split() == ["412"]

    def test_bytes_that_are_not_what_was_announced_are_refused(self, local_hub):
        url = f"{local_hub.url}/lfs/{sha256(b'announced').hexdigest()}"
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(urllib.request.Request(url, data=b"sent", method="PUT"))


class TestPull:
    def test_everything_that_the_client_asks(self, local_hub, run_python, tmp_path):
        script = UPLOAD + (
            "from huggingface_hub import hf_hub_download, snapshot_download\n"
            "from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError\n"
            "def refused(**request):\n"
            "    try: hf_hub_download(**request)\n"
            "    except Exception as error: return type(error).__name__\n"
            "snapshot = pathlib.Path(snapshot_download('tester/things'))\n"
            "print(json.dumps({\n"
            "    'snapshot': sorted(str(p.relative_to(snapshot)) for p in snapshot.rglob('*') if p.is_file()),\n"
            "    'at_commit': snapshot.name == commit.oid,\n"
            "    'text': open(hf_hub_download('tester/things', 'nested/notes.txt')).read(),\n"
            "    'exists': [api.file_exists('tester/things', name) for name in ('weights.bin', 'absent.bin')],\n"
            "    'repos': [api.repo_exists(name) for name in ('tester/things', 'tester/nothing')],\n"
            "    'files': sorted(api.list_repo_files('tester/things')),\n"
            "    'sha': api.model_info('tester/things').sha == commit.oid,\n"
            "    'lfs': api.get_paths_info('tester/things', ['weights.bin'])[0].lfs.size,\n"
            "    'top': sorted(entry.path for entry in api.list_repo_tree('tester/things')),\n"
            "    'refused': [refused(repo_id='tester/things', filename='absent.bin'),\n"
            "                refused(repo_id='tester/nothing', filename='x'),\n"
            "                refused(repo_id='tester/things', filename='README.md', revision='v9')],\n"
            "}))"
        )
        told = json.loads(run_python(script, "model", env=local_hub.environment(tmp_path)).splitlines()[-1])
        names = ["README.md", "nested/notes.txt", "weights.bin"]
        assert told["snapshot"] == told["files"] == names
        assert told["at_commit"]
        assert told["sha"]
        assert told["text"] == "brain"
        assert told["exists"] == told["repos"] == [True, False]
        assert told["lfs"] == len(WEIGHTS)
        assert told["top"] == ["README.md", "nested", "weights.bin"]
        assert told["refused"] == ["RemoteEntryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"]

    def test_a_range_is_that_part_of_the_file(self, local_hub, run_python, tmp_path):
        run_python(UPLOAD, "model", env=local_hub.environment(tmp_path))
        url = f"{local_hub.url}/tester/things/resolve/main/weights.bin"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=10-19"})) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 10-19/{len(WEIGHTS)}"
            assert answer.read() == WEIGHTS[10:20]
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=16380-"})) as answer:
            assert answer.read() == WEIGHTS[16380:]


TINY_LLAMA = """
import sys, torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
shape = dict(vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
ids = torch.arange(12).reshape(2, 6)
def fingerprint(model):
    with torch.no_grad(): return model.eval()(ids).logits.double().sum((0, 1)).tolist()
"""


@pytest.mark.slow
class TestModels:
    def test_a_model_and_its_adapter_travel_by_id(self, local_hub, run_python, tmp_path):
        pushed = run_python(
            TINY_LLAMA + "from peft import LoraConfig, get_peft_model\n"
            "torch.manual_seed(1)\n"
            "LlamaForCausalLM(LlamaConfig(**shape)).push_to_hub('tester/llama')\n"
            "base = AutoModelForCausalLM.from_pretrained('tester/llama')\n"
            "plain = fingerprint(base)\n"
            "lora = LoraConfig(task_type='CAUSAL_LM', target_modules=['q_proj'], init_lora_weights=False)\n"
            "model = get_peft_model(base, lora)\n"
            "model.push_to_hub('tester/adapter')\n"
            "print([plain, fingerprint(model)])",
            env=local_hub.environment(tmp_path / "pusher"),
        )
        pulled = run_python(
            TINY_LLAMA + "from peft import AutoPeftModelForCausalLM\n"
            "adapted = AutoPeftModelForCausalLM.from_pretrained('tester/adapter')\n"
            "direct = AutoModelForCausalLM.from_pretrained('tester/adapter')\n"
            "assert fingerprint(direct) == fingerprint(adapted)\n"
            "print([fingerprint(AutoModelForCausalLM.from_pretrained('tester/llama')), fingerprint(adapted)])",
            env=local_hub.environment(tmp_path / "puller"),
        )
        plain, adapted = json.loads(pulled.splitlines()[-1])
        assert [plain, adapted] == json.loads(pushed.splitlines()[-1])
        assert plain != adapted
        assert "adapter_model.safetensors" in local_hub.files("tester/adapter")
