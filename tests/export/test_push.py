"""Files are sent by the hubs' own clients: to a hub on this machine, and to none."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.export.tiny import Told, write_base
from trainer.errors import UserError
from trainer.events import Note
from trainer.export import push, receipt

TOKEN = "hf_not_a_real_one"


class Hub(ThreadingHTTPServer):
    """What a hub of Hugging Face answers to the making of a repository and to a commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.made: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *given: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._note()
        self._answer({"siblings": [], "id": "me/mine", "sha": "0" * 40})

    def do_POST(self) -> None:
        self._note()
        text = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/api/repos/create":
            self.server.made = json.loads(text)
            self._answer({"url": f"{self.server.address}/me/mine"})
        elif "/preupload/" in self.path:
            names = [each["path"] for each in json.loads(text)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self._answer({"files": modes})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            for line in text.splitlines():
                value = json.loads(line)
                if value["key"] == "file":
                    self.server.files[value["value"]["path"]] = base64.b64decode(value["value"]["content"])
            self._answer(
                {"commitUrl": f"{self.server.address}/me/mine/commit/1", "commitOid": "1", "success": True}
            )

    def _note(self) -> None:
        self.server.asked.append(self.path)
        self.server.tokens.add(self.headers.get("Authorization", ""))

    def _answer(self, found: Any) -> None:
        text = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    import huggingface_hub.constants as constants

    made = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", made.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize("private", [True, False])
def test_a_folder_is_sent_with_the_token_of_the_environment(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    monkeypatch.setattr(receipt, "make", lambda *given: {"ready": True, "formats": []})
    told = Told(tmp_path / "run")
    told.export(write_base(tmp_path / "base"), export_hub_model_id="me/mine", export_hub_private=private)
    folder = told.folder / "files"
    assert hub.files == {
        each.name: each.read_bytes() for each in folder.iterdir() if each.name != "receipt.json"
    }
    assert hub.made["name"] == "mine" and hub.made["visibility"] == ("private" if private else "public")
    assert hub.tokens == {f"Bearer {TOKEN}"}
    (sent,) = [each for each in told.of(Note) if each.code == "export_sent"]
    assert sent.values["address"] == f"{hub.address}/me/mine"
    assert not [
        file for file in told.folder.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()
    ]
    assert TOKEN not in repr(told.events)


def test_offline_the_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt, "make", lambda *given: {"ready": True, "formats": []})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    told = Told(tmp_path / "run")
    with pytest.raises(UserError) as caught:
        told.export(write_base(tmp_path / "base"), export_hub_model_id="me/mine")
    assert caught.value.code == "export_not_sent" and "offline" in caught.value.text.lower()
    assert (told.folder / "files" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["mine", "me/mine/2", "../mine", "https://huggingface.co/me/mine"])
def test_a_name_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UserError) as caught:
        Told(tmp_path / "run").export(write_base(tmp_path / "base"), export_hub_model_id=name)
    assert "owner/name" in str(caught.value) and not (tmp_path / "run" / "files").exists()


def test_without_a_token_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="HF_TOKEN"):
        Told(tmp_path / "run").export(write_base(tmp_path / "base"), export_hub_model_id="me/mine")
    assert not (tmp_path / "run" / "files").exists()


def test_modelscope_without_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "modelscope" else find(name, *rest)
    )
    with pytest.raises(UserError, match="modelscope"):
        Told(tmp_path / "run").export(
            write_base(tmp_path / "base"), export_hub_model_id="me/mine", hub="modelscope"
        )


class Refusing(Answers):
    """A hub that knows nobody."""

    def do_GET(self) -> None:
        self._note()
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET


def test_modelscope_takes_its_token_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelscope_hub.config import HubConfig

    hub = Hub()
    hub.RequestHandlerClass = Refusing
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-not-a-real-one")
    monkeypatch.setattr("modelscope_hub.api.get_default_config", lambda: HubConfig(endpoint=hub.address))
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        push.require_token("modelscope")
        with pytest.raises(UserError) as caught:
            push.push(tmp_path, "me/mine", "modelscope", True)
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
    assert caught.value.code == "export_not_sent" and "modelscope.cn" in caught.value.text
    assert hub.asked and any("ms-not-a-real-one" in each for each in hub.tokens)
