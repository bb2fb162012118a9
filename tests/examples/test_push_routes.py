# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What arrives on a Hub by every route of the scripts, of a corpus with canaries whose terms forbid to pass it on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk
from safetensors.numpy import load_file
from voxel_corpus import write_voxel_corpus


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOKEN = "hf_CanaryTokenThatNobodyMaySee123456"
SENTENCE = "zanzibar okapi whispered nineteen umbrellas ."
TERMS = {
    "corpus": "canaries", "license": "none", "license_id": "other", "url": "https://example.org/terms",
    "redistribution": "Forbidden by its authors.", "may_redistribute": False, "consent": "the form of its authors.",
    "subjects": ["s1", "s2", "s3"],
}  # fmt: skip
VOXELS = {"num_queries": 16, "key_size": 8, "num_frequencies": 8, "num_tokens": 2, "hidden_size": 8}
ENCODER = ("--encoder_type", "voxels", "--voxel_encoder", json.dumps(VOXELS))
QUIET = ("--use_cpu", "--report_to", "none", "--disable_tqdm", "true")
WITHHELD = ("--share_statistics", "false", "--share_geometry", "false")
SETTINGS = {
    "README.md", "config.json", "chat_template.jinja", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "model.safetensors", "generation_config.json", "SHA256SUMS",
}  # fmt: skip


@pytest.fixture(scope="module")
def canaries(tmp_path_factory) -> Path:
    """A corpus with a scan, a sentence and terms that are to be known again."""
    folder = tmp_path_factory.mktemp("canaries")
    plain = load_from_disk(write_voxel_corpus(folder / "plain", images=24)).remove_columns("text_embedding")
    scan = np.random.default_rng(99).standard_normal(40).astype(np.float32)

    def plant(row: dict, number: int) -> dict:
        if number:
            return row
        said = {"completion": SENTENCE, "text": SENTENCE, "references": [SENTENCE, SENTENCE]}
        return row | said | {"brain_values": [scan.tolist()]}

    train = plain["train"].map(plant, with_indices=True, features=plain["train"].features)
    DatasetDict({**plain, "train": train}).save_to_disk(folder / "corpus")
    (folder / "plain" / "subjects").rename(folder / "corpus" / "subjects")
    facts = TERMS | {"citation": "", "split": {}}
    (folder / "corpus" / "corpus.json").write_text(json.dumps(facts))
    return folder / "corpus"


@pytest.fixture(scope="module")
def needles(canaries) -> dict[str, bytes]:
    """Bytes that must not arrive: the token, words, the scan in every width, means, deviations and positions."""
    rows = load_from_disk(canaries)["train"].with_format("numpy")
    brains = {s: np.stack([r["brain_values"][0] for r in rows if r["subject"] == s]) for s in TERMS["subjects"]}
    found = {"token": TOKEN.encode(), "sentence": b"okapi", "other sentence": b"the cat is number"}
    for width in ("float16", "float32", "float64"):
        found[f"scan as {width}"] = rows[0]["brain_values"][0][:4].astype(width).tobytes()
    found["scan as text"] = repr(float(rows[0]["brain_values"][0][0]))[:8].encode()
    for subject, values in brains.items():
        mean, std = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
        places = load_file(canaries / "subjects" / f"{subject}.safetensors")["geometry/coordinates"]
        found |= {f"mean of {subject}": mean.astype(np.float32)[:2].tobytes()}
        found |= {f"deviation of {subject}": std.astype(np.float32)[:2].tobytes()}
        found |= {f"positions of {subject}": places[0, :2].tobytes()}
    return found


def found_in(needles: dict[str, bytes], contents) -> set[str]:
    contents = list(contents)
    return {name for name, needle in needles.items() if any(needle in content for content in contents)}


@pytest.fixture
def hub(local_hub, text_model, run_python, tmp_path):
    """With the language model on it."""
    push = (
        "import sys\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "for part in (AutoModelForCausalLM, AutoTokenizer):\n"
        "    part.from_pretrained(sys.argv[1]).push_to_hub('lab/llama', private=True)\n"
    )
    run_python(push, str(text_model), env=environment(local_hub, tmp_path))
    return local_hub


def environment(hub, tmp_path) -> dict[str, str]:
    """Nothing logs in but the option `--hub_token`, and what has none."""
    return {**hub.environment(tmp_path / "home"), "HF_TOKEN": TOKEN}


@pytest.fixture
def run_script(hub, tmp_path):
    def run(script: str, *arguments: object, refused: bool = False) -> str:
        command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(hub, tmp_path), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=1800, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == refused, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


def plant_strays(folder: Path) -> None:
    """What lies in the folders of people."""
    (folder / "evaluation").mkdir(parents=True)
    (folder / "evaluation" / "report.html").write_text(SENTENCE)
    (folder / "notes.md").write_text(SENTENCE)
    (folder / ".env").write_text(f"HF_TOKEN={TOKEN}")
    (folder / "helper.py").write_text(f"TOKEN = '{TOKEN}'")
    (folder / "pytorch_model.bin").write_bytes(SENTENCE.encode())


def assert_refused(told: str, hub, kind: str) -> None:
    assert "Nothing was pushed" in told
    for part in ("canaries", "Forbidden by its authors", "https://example.org/terms", f"--share_{kind} false"):
        assert part in told
    assert "lab/decoder" not in {name for _, name in hub.repositories()}


def assert_arrived(hub, needles: dict[str, bytes], repo_id: str, expected: set[str]) -> dict[str, bytes]:
    """These files and no others, no canary, in private, with the terms on the card."""
    files = hub.files(repo_id)
    assert {name for name in files if not name.endswith(".py")} == expected
    code = {Path(name).name for name in files if name.endswith(".py")}
    assert code <= {path.name for path in (EXAMPLES.parent / "modeling_brainllm").glob("*.py")}
    assert found_in(needles, hub.received().values()) == set()
    assert hub.repositories()["models", repo_id]
    card = files["README.md"].decode()
    for part in ("`canaries`", "Forbidden by its authors.", "https://example.org/terms", "the form of its authors."):
        assert part in card
    return files


class TestNeedles:
    def test_they_are_found_where_they_are(self, canaries, needles):
        """In the corpus all but the token and what is computed."""
        contents = [path.read_bytes() for path in canaries.rglob("*") if path.is_file()]
        computed = {name for name in needles if name.startswith(("mean", "deviation", "token"))}
        assert found_in(needles, contents) >= set(needles) - computed - {
            "scan as float16", "scan as float64", "scan as text", "scan as float32",
        }  # fmt: skip
        assert found_in(needles, contents) & {"scan as float32", "scan as float64", "scan as float16"}


@pytest.mark.slow
class TestPromptTuning:
    @pytest.fixture
    def tune(self, run_script, canaries, tmp_path):
        def tune(*options: object, **kwargs) -> str:
            if not (tmp_path / "run").exists():
                plant_strays(tmp_path / "run")
            steps = ("--max_steps", 2, "--save_steps", 1, "--save_strategy", "steps", "--save_total_limit", 1)
            data = ("--dataset", canaries, "--text_model_id", "lab/llama", "--output_dir", tmp_path / "run")
            push = ("--push_to_hub", "true", "--hub_model_id", "lab/decoder", "--hub_token", TOKEN)
            given = ("--reading", "sentence", "--hub_always_push", "true", "--eval_strategy", "no")
            return run_script("train_sft.py", *data, *ENCODER, *steps, *given, *QUIET, *push, *options, **kwargs)

        return tune

    def test_refused_before_it_trains(self, tune, hub, tmp_path):
        assert_refused(tune(refused=True), hub, "statistics")
        told = tune("--share_statistics", "false", refused=True)
        assert_refused(told, hub, "geometry")
        assert not list((tmp_path / "run").glob("checkpoint-*"))

    @pytest.mark.parametrize("strategy", ["end", "every_save", "checkpoint", "all_checkpoints"])
    def test_arrives_without_what_is_of_people(self, tune, hub, needles, tmp_path, strategy):
        tune("--hub_strategy", strategy, "--license", "llama2", *WITHHELD)
        below = {"checkpoint": ["last-checkpoint"], "all_checkpoints": ["checkpoint-1", "checkpoint-2"]}
        copies = {f"{place}/{name}" for place in below.get(strategy, ()) for name in SETTINGS - {"README.md"}}
        files = assert_arrived(hub, needles, "lab/decoder", SETTINGS | copies)
        for name in set(files) - {"README.md", "processor_config.json", "SHA256SUMS"}:
            if "/" not in name:
                assert files[name] == (tmp_path / "run" / name).read_bytes(), name
        assert json.loads(files["processor_config.json"])["feature_extractor"]["subjects"] == []
        assert b"base_model: lab/llama" in files["README.md"]
        assert not list((tmp_path / "run").glob("_push*"))
        arguments = [path.read_bytes() for path in (tmp_path / "run").rglob("training_args.bin")]
        assert arguments
        assert not any(TOKEN.encode() in content for content in arguments)

    def test_shared_by_name_is_said(self, tune, hub, needles):
        tune("--share_statistics", "true", "--share_geometry", "false", "--hub_strategy", "end")
        found = found_in(needles, hub.received().values())
        assert found == {name for name in needles if name.startswith(("mean", "deviation"))}
        card = hub.files("lab/decoder")["README.md"].decode()
        assert "Shared: statistics of the subjects s1, s2, s3, which whoever pushed asked for by name" in card
        assert "Left out: geometry of the subjects s1, s2, s3." in card


@pytest.mark.slow
class TestAlignment:
    def test_refused_then_without_what_is_of_people(self, run_script, canaries, hub, needles, text_model, tmp_path):
        plant_strays(tmp_path / "run")
        data = ("--dataset", canaries, "--sentence_encoder", text_model, "--output_dir", tmp_path / "run")
        steps = ("--max_steps", 2, "--save_steps", 1, "--save_strategy", "steps", "--eval_strategy", "no")
        push = ("--push_to_hub", "true", "--hub_model_id", "lab/decoder", "--hub_token", TOKEN)
        options = (*data, *ENCODER, *steps, *QUIET, *push, "--per_device_train_batch_size", 16)
        assert_refused(run_script("train_contrastive.py", *options, refused=True), hub, "statistics")
        for strategy in ("checkpoint", "end"):
            run_script("train_contrastive.py", *options, *WITHHELD, "--hub_strategy", strategy)
            own = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "SHA256SUMS"}
            copies = {f"last-checkpoint/{name}" for name in own - {"README.md"}}
            files = assert_arrived(hub, needles, "lab/decoder", own | copies)
            assert json.loads(files["preprocessor_config.json"])["subjects"] == []


@pytest.mark.slow
class TestRewardTuningAndPushScript:
    def test_each_refused_then_without_what_is_of_people(
        self, run_script, canaries, hub, needles, tmp_path, text_model
    ):
        """Stage 2 through push_to_hub.py; stage 3 upon it, from its script and its adapter through push_to_hub.py."""
        data = ("--dataset", canaries, "--text_model_id", text_model, "--output_dir", tmp_path / "stage2")
        tasks = ("--tasks", "caption", "--eval_strategy", "no", "--save_strategy", "no", "--max_steps", 1)
        run_script("train_sft.py", *data, *ENCODER, *tasks, *QUIET)
        pushed = ("--checkpoint", tmp_path / "stage2", "--license", "llama2", "--text_model_id", "lab/llama")
        told = run_script("push_to_hub.py", *pushed, "--repo_id", "lab/decoder", refused=True)
        assert_refused(told, hub, "statistics")
        run_script("push_to_hub.py", *pushed, "--repo_id", "lab/decoder", *WITHHELD)
        assert_arrived(hub, needles, "lab/decoder", SETTINGS)

        plant_strays(tmp_path / "run")
        data = ("--dataset", canaries, "--model_name_or_path", "lab/decoder", "--output_dir", tmp_path / "run")
        small = ("--per_device_train_batch_size", 4, "--num_generations", 4, "--max_completion_length", 4)
        weights = ("--cider_weight", 1, "--similarity_weight", 0, "--identification_weight", 0)
        steps = ("--max_steps", 2, "--save_steps", 1, "--save_strategy", "steps", "--eval_strategy", "no")
        push = ("--push_to_hub", "true", "--hub_model_id", "lab/adapter", "--hub_token", TOKEN, "--license", "llama2")
        options = (*data, *small, *weights, *steps, *push, *QUIET, "--hub_strategy", "all_checkpoints")
        told = run_script("train_grpo.py", *options, refused=True)
        assert re.search(r"Nothing was pushed.*Forbidden by its authors.*--share_(statistics|geometry) false", told)
        assert "lab/adapter" not in {name for _, name in hub.repositories()}
        run_script("train_grpo.py", *options, "--hub_always_push", "true", *WITHHELD)
        adapter = {"adapter_config.json", "adapter_model.safetensors", "adapter_base.json"}
        processor = SETTINGS - {"README.md", "config.json", "generation_config.json", "model.safetensors"}
        copies = {f"checkpoint-{step}/{name}" for step in (1, 2) for name in adapter | processor}
        own = adapter | processor | {"README.md", "training_brains.json"}
        files = assert_arrived(hub, needles, "lab/adapter", own | copies)
        assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "lab/decoder"

        pushed = ("--checkpoint", tmp_path / "run", "--license", "llama2", "--repo_id", "lab/again")
        run_script("push_to_hub.py", *pushed)
        again = adapter | {"README.md", "training_brains.json"}
        assert_arrived(hub, needles, "lab/again", again)
