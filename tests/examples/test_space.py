# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""The page of `examples/space` in a real browser, on the demonstration's own checkpoint."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest


pytest.importorskip("gradio", reason="the page is NOT tested: gradio is not installed (`make test-space`)")
pytest.importorskip("selenium", reason="the page is NOT tested: selenium is not installed (`make test-space`)")
if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
    pytest.skip(
        "the page is NOT tested: no Chromium (apt-get install chromium chromium-driver)", allow_module_level=True
    )

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


REPOSITORY = Path(__file__).resolve().parents[2]
SPACE = REPOSITORY / "examples" / "space"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """Folder of the demonstration; `BRAINLLM_DEMO` spares its training."""
    if "BRAINLLM_DEMO" in os.environ:
        return Path(os.environ["BRAINLLM_DEMO"])
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, "examples/demo.py", "--output_dir", str(folder)], cwd=REPOSITORY, check=True)
    return folder


@pytest.fixture(scope="module")
def page(demo, tmp_path_factory):
    """Address of the running page and the folder of its uploads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uploads = tmp_path_factory.mktemp("uploads")
    environment = os.environ | {"BRAINLLM_DEMO": str(demo), "GRADIO_TEMP_DIR": str(uploads), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    server = subprocess.Popen([sys.executable, str(SPACE / "app.py"), "--port", str(port)], env=environment)
    address = f"http://127.0.0.1:{port}"
    for _ in range(900):
        try:
            urllib.request.urlopen(address)
            break
        except OSError:
            assert server.poll() is None, "the page ended before it was up"
            time.sleep(1)
    yield address, uploads
    server.terminate()
    server.wait()


class Visitor:
    """A browser of its own, with its own session."""

    def __init__(self, address: str, width: int = 1200):
        options = webdriver.ChromeOptions()
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},1400"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.get(address)
        self.wait(lambda: self.find("#decode"))

    def find(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return " ".join(element.get_attribute("textContent") for element in self.find(selector))

    def wait(self, found):
        return WebDriverWait(self.driver, 1800, ignored_exceptions=[Exception]).until(lambda _: found())

    def click(self, selector: str) -> None:
        self.wait(lambda: self.find(selector))[0].click()

    def open(self, tab: str) -> None:
        self.driver.find_element(By.XPATH, f"//button[@role='tab'][contains(., '{tab}')]").click()

    def upload(self, path: Path) -> None:
        element = self.driver.execute_script(
            "const all = [...document.querySelectorAll('input[type=file]')]; return all[all.length - 1];"
        )
        element.send_keys(str(path))

    def keep(self, name: str) -> None:
        """A screenshot for the docs, where `BRAINLLM_SCREENSHOTS` names a folder."""
        if "BRAINLLM_SCREENSHOTS" in os.environ:
            time.sleep(1)
            self.driver.save_screenshot(str(Path(os.environ["BRAINLLM_SCREENSHOTS"]) / name))


@pytest.fixture
def visit(page):
    visitors = []

    def come(width: int = 1200) -> Visitor:
        visitors.append(Visitor(page[0], width))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.driver.quit()


def held_out(demo: Path) -> list[dict]:
    from datasets import load_from_disk

    return list(load_from_disk(str(demo / "rows"))["test"])


def decoded(visitor: Visitor) -> dict[str, str]:
    visitor.click("#decode")
    visitor.wait(lambda: visitor.find("#text-no_brain"))
    return {arm: visitor.text(f"#text-{arm}") for arm in ("brain", "twin", "other", "no_brain")}


class TestPage:
    def test_the_first_line_says_what_the_model_can_and_cannot_do(self, visit):
        visitor = visit()
        body = visitor.text("#limits")
        assert "cannot read thoughts" in body
        assert visitor.find("#limits")[0].location["y"] < 100

    def test_decodes_beside_its_controls(self, visit, demo):
        visitor = visit()
        texts = decoded(visitor)
        assert all(texts.values())
        assert texts["brain"] != texts["no_brain"]  # the planted signal shows
        visitor.keep("space.png")

    def test_a_phone_sees_the_page_whole(self, visit):
        visitor = visit(420)
        decoded(visitor)
        wide = visitor.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        visitor.keep("space-narrow.png")

    def test_compares_a_typed_text_token_by_token(self, visit):
        visitor = visit()
        visitor.open("Compare")
        visitor.click("#compare")
        visitor.wait(lambda: visitor.find("#tokens .token"))
        gains = [float(re.search(r"[+-]\d+\.\d\d$", token.text)[0]) for token in visitor.find("#tokens .token")]
        assert sum(gains) > 0  # the text that this brain perceived
        visitor.keep("space-compare.png")

    def test_an_upload_decodes_as_the_same_held_out_brain_and_leaves_no_file(self, visit, page, demo, tmp_path):
        brain = np.asarray(held_out(demo)[0]["brain_values"], np.float32)
        np.savez(tmp_path / "mine.npz", brain)
        visitor = visit()
        chosen = decoded(visitor)
        visitor.upload(tmp_path / "mine.npz")
        visitor.wait(lambda: "Your brain" in visitor.text("#status"))
        visitor.driver.execute_script("document.querySelector('#text-no_brain').remove()")
        assert decoded(visitor)["brain"] == chosen["brain"]
        assert not list(page[1].rglob("*.npz"))

    @pytest.mark.parametrize("kind", ["shape", "bytes", "nan"])
    def test_a_bad_file_is_one_message(self, visit, page, tmp_path, kind):
        path = tmp_path / "bad.npz"
        values = {"shape": np.ones((2, 7)), "nan": np.full((2, 256), np.nan)}
        path.write_bytes(b"no array") if kind == "bytes" else np.savez(path, values[kind])
        visitor = visit()
        visitor.upload(path)
        visitor.wait(lambda: "bad.npz" in visitor.text(".toast-body, .toast-wrap"))
        assert not list(page[1].rglob("bad.npz"))
        assert decoded(visitor)["brain"]  # the page goes on

    def test_two_visitors_at_once_do_not_see_each_other(self, visit, demo, tmp_path):
        brain = np.asarray(held_out(demo)[-1]["brain_values"], np.float32)
        np.savez(tmp_path / "mine.npz", brain)
        first, second = visit(), visit()
        first.upload(tmp_path / "mine.npz")
        first.wait(lambda: "Your brain" in first.text("#status"))
        for visitor in (first, second):
            visitor.click("#decode")
        for visitor in (first, second):
            visitor.wait(lambda visitor=visitor: visitor.find("#text-no_brain"))
        assert "Your brain" not in second.text("#status")
        assert first.text("#texts") != second.text("#texts")
        assert "not known" in first.text("#texts")
        assert "not known" not in second.text("#texts")

    def test_a_question_is_answered_and_what_the_model_was_not_taught_is_said(self, visit):
        visitor = visit()
        visitor.open("Ask")
        assert "was not taught to answer" in visitor.text("body")
        visitor.click("#ask")
        visitor.wait(lambda: all(box.get_attribute("value") for box in visitor.find("textarea[disabled]")))
