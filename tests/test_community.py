# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""Forms, policies and containers say what is so."""

import json
import re

import pytest
import yaml
from repository import PROJECT, REPOSITORY


FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


class TestForms:
    @pytest.mark.parametrize("form", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.stem)
    def test_is_one_that_github_reads(self, form):
        """The fields that its schema requires, every question with an id of its own."""
        content = yaml.safe_load(form.read_text())
        assert {"name", "description", "body"} <= content.keys()
        ids = [part["id"] for part in content["body"]]
        assert len(ids) == len(set(ids))
        assert {part["type"] for part in content["body"]} <= {
            "textarea",
            "input",
            "checkboxes",
            "dropdown",
            "markdown",
        }
        assert all(part["attributes"]["label"] for part in content["body"])

    def test_a_bug_comes_with_its_environment_and_without_recordings(self):
        text = (REPOSITORY / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text()
        assert "brainllm env" in text
        assert "--traceback" in text
        assert "consent" in text


class TestPolicies:
    def test_supported_pythons_are_those_of_the_package(self):
        named = sorted({c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.", c)})
        span = f"Python {named[0]} to {named[-1]}"
        for name in ("SECURITY.md", "docs/faq.md"):
            assert span in (REPOSITORY / name).read_text()
        assert PROJECT["requires-python"] == f">={named[0]}"


class TestContainers:
    def test_they_run_the_two_commands(self):
        recipe = (REPOSITORY / "Dockerfile").read_text()
        assert "RUN make setup" in recipe
        assert json.loads(re.search(r"^CMD (.*)$", recipe, re.MULTILINE)[1]) == ["make", "demo"]
        assert f"python:{PROJECT['requires-python'].removeprefix('>=')}" in recipe
        container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text())
        assert (REPOSITORY / ".devcontainer" / container["build"]["dockerfile"]).resolve() == REPOSITORY / "Dockerfile"
