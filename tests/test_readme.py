# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""What README.md and its neighbours claim is so: the trees, the links, the commands, the example."""

import ast
import re
import subprocess
import sys

import numpy as np
import pytest
from repository import PROJECT, REPOSITORY, ROOMS, every_file, python_files, relative
from testing_utils import save_tiny_text_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dataset_builders.publishing.card import corpora_table
from modeling_brainllm import BrainLlamaForCausalLM, BrainLlamaProcessor, FrameEncoderConfig


def drawn_tree(text: str) -> list[str]:
    """The files of an annotated tree: two spaces of indentation a level, folders end with a slash."""
    folders: list[str] = []
    files = []
    for line in text.splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders = folders[:depth]
        if name.endswith("/"):
            folders.append(name)
        else:
            files.append("".join(folders) + name)
    return files


def between(name: str, document: str) -> str:
    return re.search(rf"<!-- {name}:start -->\n```text\n(.*?)```\n<!-- {name}:end -->", document, re.DOTALL)[1]


class TestReadme:
    README = (REPOSITORY / "README.md").read_text()

    @pytest.mark.parametrize(
        ("block", "file"),
        [
            ("results", "real_participant.md"),
            ("captions", "bitllm_tables.md"),
            ("calibration", "calibration.md"),
        ],
    )
    def test_results_are_what_the_benchmark_wrote(self, block, file):
        """The benchmarks write the tables; compared to the letter, so that no figure can be typed."""
        shown = re.search(rf"<!-- {block}:start -->\n(.*?)<!-- {block}:end -->", self.README, re.DOTALL)[1]
        written = (REPOSITORY / "examples" / "benchmarks" / "results" / file).read_text()
        assert shown.strip() == written.strip()

    def test_the_table_of_corpora_is_made_from_their_classes(self):
        block = re.search(r"<!-- corpora:start -->\n(.*?)<!-- corpora:end -->", self.README, re.DOTALL)[1]
        assert block.strip() == corpora_table(), (
            "print dataset_builders.publishing.card.corpora_table() into README.md"
        )

    def test_the_tree_lists_every_file_of_the_rooms_and_no_other(self):
        drawn = drawn_tree(between("tree", self.README))
        standing = every_file(*ROOMS)
        assert len(drawn) == len(set(drawn))
        lines = "\n".join(f"  {name}  {first_sentence(name)}" for name in standing if name not in drawn)
        assert set(standing) - set(drawn) == set(), f"add to the tree of README.md:\n{lines}"
        assert set(drawn) - set(standing) == set(), "the tree of README.md lists files that are gone"

    def test_links_inside_the_repository_lead_somewhere(self):
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"):
            document = REPOSITORY / name
            targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())
            assert [target for target in targets if not (document.parent / target).exists()] == []

    def test_named_make_targets_exist(self):
        makefile = (REPOSITORY / "Makefile").read_text()
        for name in ("README.md", "CONTRIBUTING.md"):
            for target in re.findall(r"`make ([a-z-]+)", (REPOSITORY / name).read_text()):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name} names `make {target}`"

    def test_one_version_everywhere(self):
        assert f"version: {PROJECT['version']}" in (REPOSITORY / "CITATION.cff").read_text()
        assert f"## [{PROJECT['version']}]" in (REPOSITORY / "CHANGELOG.md").read_text()

    def test_the_table_of_examples_names_every_script(self):
        table = (REPOSITORY / "examples" / "README.md").read_text()
        assert set(re.findall(r"^\| `([\w/]+\.py)`", table, re.MULTILINE)) == {
            relative(path).removeprefix("examples/") for path in python_files("examples")
        }


def first_sentence(name: str) -> str:
    path = REPOSITORY / name
    docstring = ast.get_docstring(ast.parse(path.read_text())) if path.suffix == ".py" else None
    return (docstring or "").strip().split("\n")[0]


@pytest.mark.slow
class TestExample:
    def test_the_decode_example_runs_as_printed(self, tmp_path):
        """In an empty folder that holds what the example names: a checkpoint and one recording."""
        (script,) = re.findall(r"```python\n(.*?)```", TestReadme.README, re.DOTALL)
        words = ["<unk>", "<s>", "</s>", "The", "river", *(f"word{index}" for index in range(94))]
        tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
        model = BrainLlamaForCausalLM.from_text_model(
            save_tiny_text_model(tmp_path / "llama"), FrameEncoderConfig(num_features=6, hidden_size=8, num_frames=3)
        )
        processor = BrainLlamaProcessor.from_config(model.config, tokenizer)
        recording = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
        processor.feature_extractor.fit(recording, subject="M15")
        np.save(tmp_path / "frames.npy", recording[:3])
        for part in (model, processor):
            part.save_pretrained(tmp_path / "runs" / "sft")
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("The river word"), done.stdout
