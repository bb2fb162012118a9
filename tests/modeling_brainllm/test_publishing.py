# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The one list of what a push takes, the terms of the data, and pushes of models, processors and adapters."""

import json
from hashlib import sha256

import numpy as np
import pytest
from safetensors.numpy import load, save_file
from testing_utils import save_tiny_text_model, save_tiny_tokenizer, tiny_brain_model
from transformers import AutoTokenizer

from modeling_brainllm import BrainLlamaFeatureExtractor, BrainLlamaProcessor
from modeling_brainllm.checksums import record_checksums
from modeling_brainllm.publishing_brainllama import files_to_push
from modeling_brainllm.sharing_brainllama import MIN_SCANS, merge_terms


FREE = {
    "corpus": "free", "license": "CC0", "url": "https://example.org", "redistribution": "Free.",
    "may_redistribute": True, "consent": "", "subjects": ["A"],
}  # fmt: skip
CLOSED = FREE | {"corpus": "closed", "license": "none", "redistribution": "Forbidden.", "may_redistribute": False}


def scans(number: int, distinct: int | None = None) -> np.ndarray:
    frames = np.random.default_rng(0).standard_normal((distinct or number, 6))
    return np.resize(frames, (number, 6))


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return save_tiny_tokenizer(save_tiny_text_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture
def save(text_model, tmp_path):
    """Saves a slim checkpoint whose processor has seen so many scans of some subjects."""

    def save(subjects: dict[str, np.ndarray] | None = None, terms=None):
        model = tiny_brain_model(text_model, "prefix", "frames")
        model.config.text_model_id = "lab/llama"
        processor = BrainLlamaProcessor.from_config(model.config, AutoTokenizer.from_pretrained(text_model))
        for subject, values in (subjects or {}).items():
            processor.feature_extractor.fit(values, subject)
        processor.feature_extractor.data_terms = terms
        model.save_pretrained(tmp_path / "saved")
        processor.save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    return save


class TestList:
    def test_takes_what_was_saved_and_nothing_else(self, save):
        folder = save()
        own = {path.name for path in folder.iterdir()}
        strays = (
            "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "scaler.pt",
            "pytorch_model.bin", "model.bin", "model.safetensors.bak", "notes.md", "helper.py", "samples.parquet",
            "document_frequencies.json", "eval_results.json", ".env", "README.md~", "cache.safetensors", "report.html",
        )  # fmt: skip
        for name in strays:
            (folder / name).write_bytes(b"x")
        for place in ("evaluation", "checkpoint-3", "twins", ".git"):
            (folder / place).mkdir()
            (folder / place / "model.safetensors").write_bytes(b"x")
        assert set(files_to_push(folder)[0]) == own
        assert {"modeling_brainllama.py", "publishing_brainllama.py", "sharing_brainllama.py"} <= own

    def test_checksums_are_those_of_what_goes(self, save):
        """Of no file that stays, and of what went changed as it went; a damaged file goes nowhere."""
        folder = save({"A": scans(40)}, [CLOSED])
        (folder / "cache.safetensors").write_bytes(b"x")
        record_checksums(folder, ["*"])
        files, _ = files_to_push(folder, share_statistics=False)
        lines = files["SHA256SUMS"].decode().splitlines()[:-1]
        contents = {name: c if isinstance(c, bytes) else c.read_bytes() for name, c in files.items()}
        expected = {f"{sha256(content).hexdigest()}  {name}" for name, content in contents.items()}
        assert set(lines) == {line for line in expected if not line.endswith("SHA256SUMS")}
        weights = bytearray((folder / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (folder / "model.safetensors").write_bytes(weights)
        with pytest.raises(ValueError, match=r"model.safetensors is not what was saved"):
            files_to_push(folder, share_statistics=False)

    def test_card_license_results_and_templates_are_taken(self, save):
        folder, extra = save(), ("README.md", "LICENSE", "NOTICE.txt", "USE_POLICY.md", ".eval_results/brainllm.yaml")
        for name in (*extra, "additional_chat_templates/tool.jinja"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("text")
        assert {*extra, "additional_chat_templates/tool.jinja"} <= set(files_to_push(folder)[0])

    def test_code_is_what_auto_map_leads_to(self, save):
        folder = save()
        config = json.loads((folder / "config.json").read_text())
        del config["auto_map"]
        (folder / "SHA256SUMS").unlink()
        (folder / "config.json").write_text(json.dumps(config))
        names = set(files_to_push(folder)[0])
        assert "processing_brainllama.py" in names
        assert "modeling_brainllama.py" not in names

    def test_a_pickle_by_another_name_is_refused(self, save):
        folder = save()
        (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04\x95 a pickle of something")
        with pytest.raises(ValueError, match=r"adapter_model.safetensors is no safetensors file"):
            files_to_push(folder)

    @pytest.mark.parametrize("token", ["hf_" + "a1B2" * 8, "a-token-of-another-form"])
    @pytest.mark.parametrize("name", ["README.md", "chat_template.jinja", "generation_config.json", "LICENSE"])
    def test_a_token_in_a_text_is_refused(self, save, name, token):
        folder = save()
        with (folder / name).open("a") as file:
            file.write(f"token: {token}\n")
        with pytest.raises(PermissionError, match=rf"{name} holds a token of the Hub.*revoke"):
            files_to_push(folder, token=token)

    def test_a_local_folder_is_not_named(self, save, tmp_path):
        folder = save()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"text_model_id": "/home/me/llama"}))
        with pytest.raises(ValueError, match=r"`text_model_id` is the local folder '/home/me/llama'"):
            files_to_push(folder)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path)}))
        with pytest.raises(ValueError, match=r"`base_model_name_or_path` is the local folder"):
            files_to_push(folder)


class TestTerms:
    def test_free_data_go(self, save):
        files, said = files_to_push(save({"A": scans(MIN_SCANS)}, [FREE]))
        assert "brain_subjects.safetensors" in files
        assert "Shared: statistics of the subjects A." in said
        assert "`free` (A), license CC0, https://example.org. Its terms allow" in said

    @pytest.mark.parametrize(
        ("terms", "why"),
        [([CLOSED], "the terms of 'closed' forbid to pass on its data \\(Forbidden. https://example.org\\)"),
         (None, "nothing is known of the terms of the data of A"),
         ([FREE | {"subjects": ["B"]}], "nothing is known of the terms of the data of A"),
         ([FREE, CLOSED], "the terms of 'closed' forbid")],
    )  # fmt: skip
    def test_what_is_not_allowed_is_refused_unless_asked_by_name(self, save, terms, why):
        folder = save({"A": scans(30)}, terms)
        with pytest.raises(PermissionError, match=rf"Nothing was pushed.*statistics.*{why}.*--share_statistics false"):
            files_to_push(folder)
        files, said = files_to_push(folder, share_statistics=True)
        assert files["brain_subjects.safetensors"] == folder / "brain_subjects.safetensors"
        assert "asked for by name (`share_statistics`)" in said
        files, said = files_to_push(folder, share_statistics=False)
        assert "brain_subjects.safetensors" not in files
        assert json.loads(files["processor_config.json"])["feature_extractor"]["subjects"] == []
        assert "Left out: statistics of the subjects A." in said

    @pytest.mark.parametrize("values", [scans(19), scans(200, distinct=19), scans(190, distinct=2)])
    @pytest.mark.parametrize("asked", [None, True])
    def test_statistics_of_few_scans_never_go(self, save, values, asked):
        """However often the same scans come: their mean is theirs."""
        folder = save({"B": scans(40), "A": values}, [FREE | {"subjects": ["A", "B"]}])
        with pytest.raises(PermissionError, match=r"fewer than 20 different scans, of A \((19|2)\)"):
            files_to_push(folder, share_statistics=asked)
        assert "brain_subjects.safetensors" not in files_to_push(folder, share_statistics=False)[0]

    def test_statistics_of_unknown_origin_never_go(self, save):
        folder = save({"A": scans(40)}, [FREE])
        arrays = {f"A.{name}": np.ones(6, np.float32) for name in ("mean", "std")}  # as earlier versions saved them
        save_file(arrays, folder / "brain_subjects.safetensors")
        with pytest.raises(PermissionError, match=r"of A \(an unknown number\)"):
            files_to_push(folder)

    def test_positions_are_asked_for_apart(self, tmp_path):
        extractor = BrainLlamaFeatureExtractor("voxels", None, region_sizes=[2], data_terms=[CLOSED])
        extractor.add_subject("A", np.arange(18.0).reshape(6, 3), np.ones((6, 1), int))
        extractor.fit(scans(25), "A")
        extractor.save_pretrained(tmp_path)
        with pytest.raises(PermissionError, match="holds the geometry of the subjects A.*--share_geometry false"):
            files_to_push(tmp_path, share_statistics=True)
        files, said = files_to_push(tmp_path, share_statistics=False, share_geometry=True)
        assert set(load(files["brain_subjects.safetensors"])) == {"A.coordinates", "A.regions"}
        assert json.loads(files["preprocessor_config.json"])["subjects"] == ["A"]
        assert "Left out: statistics of the subjects A." in said
        assert "Shared: geometry of the subjects A, which whoever pushed asked for by name" in said

    def test_what_else_is_said_of_a_subject_is_refused(self, save):
        folder = save({"A": scans(40)}, [FREE])
        save_file({"A.scan": np.ones(6, np.float32)}, folder / "brain_subjects.safetensors")
        with pytest.raises(ValueError, match=r"holds \['A.scan'\], which no feature extractor saves"):
            files_to_push(folder)

    def test_terms_add_up_and_never_soften(self):
        both = merge_terms([FREE], [CLOSED])
        assert [entry["corpus"] for entry in both] == ["free", "closed"]
        softer = merge_terms([CLOSED], [CLOSED | {"may_redistribute": True, "subjects": ["B"]}])
        assert softer[0]["may_redistribute"] is False
        assert softer[0]["subjects"] == ["A", "B"]
        assert merge_terms(None, []) is None


@pytest.mark.slow
class TestHub:
    def test_every_part_is_pushed_in_private_and_no_push_is_half_done(self, save, local_hub, run_python, tmp_path):
        folder = save({"A": scans(40)}, [CLOSED])
        printed = run_python(PUSH, str(folder), str(tmp_path), env=local_hub.environment(tmp_path / "home"))
        assert json.loads(printed.splitlines()[-1]) == {"refused": 4}
        repositories = local_hub.repositories()
        public = ("models", "lab/public")
        assert {name for name, is_private in repositories.items() if not is_private} == {public}
        assert set(local_hub.files("lab/public")) == set()
        parts = ("model", "processor", "saved", "extractor", "aligned", "peft", "config", "settings")
        assert {name for _, name in repositories} == {"lab/public", *(f"lab/{part}" for part in parts)}
        files = {name: local_hub.files(name) for _, name in repositories}
        assert "brain_subjects.safetensors" not in files["lab/processor"] | files["lab/saved"]
        assert "brain_subjects.safetensors" in files["lab/extractor"]
        for name in ("lab/processor", "lab/saved", "lab/extractor"):
            card = files[name]["README.md"].decode()
            assert "`closed` (A), license none" in card
            assert ("Shared: statistics" in card) == (name == "lab/extractor")
        names = {"README.md", "adapter_config.json", "adapter_model.safetensors", "adapter_base.json"}
        assert set(files["lab/peft"]) == names
        assert not any(name.endswith((".bin", ".pt", ".txt")) for found in files.values() for name in found)
        assert not any(b"a lie in the folder" in content for content in local_hub.received().values())


PUSH = """
import json, sys
from pathlib import Path
from huggingface_hub import create_repo
from peft import LoraConfig, get_peft_model
from modeling_brainllm import (
    BrainContrastiveConfig, BrainContrastiveModel, BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig
)
from trainers.reports.model_card import push_adapter
from transformers import AutoConfig, LlamaForCausalLM
folder, out = sys.argv[1:]
processor = BrainLlamaProcessor.from_pretrained(folder)
extractor = processor.feature_extractor
refused = 0
def refuse(push, *args, **kwargs):
    global refused
    try:
        push(*args, **kwargs)
    except PermissionError as error:
        assert "othing was pushed" in str(error), error
        refused += 1
refuse(processor.push_to_hub, "lab/processor")
refuse(processor.save_pretrained, out + "/again", push_to_hub=True, repo_id="lab/saved")
refuse(extractor.push_to_hub, "lab/extractor")
create_repo("lab/public", private=False)
refuse(processor.push_to_hub, "lab/public", share_statistics=False)
processor.push_to_hub("lab/processor", share_statistics=False)
Path(out, "again", "notes.md").write_text("a lie in the folder")
processor.save_pretrained(out + "/again", push_to_hub=True, repo_id="lab/saved", share_statistics=False)
extractor.push_to_hub("lab/extractor", share_statistics=True)
encoder = FrameEncoderConfig(num_features=6, hidden_size=4)
aligned = BrainContrastiveModel(BrainContrastiveConfig(encoder_config=encoder))
aligned.push_to_hub("lab/aligned")
config = AutoConfig.from_pretrained(folder)
config.push_to_hub("lab/config")
aligned.config.save_pretrained(out + "/settings", push_to_hub=True, repo_id="lab/settings")
text = out + "/text"
LlamaForCausalLM(config.text_config).save_pretrained(text)
model = BrainLlamaForCausalLM.from_text_model(text, config.encoder_config)
model.config.text_model_id = "lab/llama"
model.push_to_hub("lab/model")
lora = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
push_adapter(get_peft_model(model, lora), "lab/peft", license="mit", adapter_base="lab/model")
print(json.dumps({"refused": refused}))
"""
