"""Written files to a repository of a hub, by the hub's own client, which takes its token from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.errors import UserError

_VARIABLES = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
_PLACES = {"huggingface": "huggingface.co", "modelscope": "modelscope.cn"}
# The run's own proof says where the files lay; it is for those who made them.
_LEFT_HERE = ["receipt.json"]


def require_token(hub: str) -> None:
    """Raises UserError when the client of `hub` knows no token."""
    if not _token(hub):
        raise UserError(
            "export_no_token", field="export_hub_model_id", variable=_VARIABLES[hub], hub=_PLACES[hub]
        )


def push(folder: Path, repository: str, hub: str, private: bool) -> str:
    """Makes the repository where it is not there, and sends all files of `folder`. Returns its address.

    Raises UserError with the client's reason when that fails; the files stay where they are.
    """
    send = _to_modelscope if hub == "modelscope" else _to_huggingface
    try:
        return send(folder, repository, private)
    except Exception as error:  # the clients have dozens of kinds; the reason is in the text
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            "export_not_sent", field="export_hub_model_id", name=repository, hub=_PLACES[hub],
            folder=str(folder), reason=lines[0][:300].rstrip(". "),
        ) from error  # fmt: skip


def _token(hub: str) -> str:
    if hub == "modelscope":
        from modelscope_hub.config import HubConfig

        return HubConfig().token or ""
    from huggingface_hub import get_token

    return get_token() or ""


def _to_huggingface(folder: Path, repository: str, private: bool) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    made = api.create_repo(repository, private=private, exist_ok=True)
    api.upload_folder(repo_id=repository, folder_path=str(folder), ignore_patterns=_LEFT_HERE)
    return str(made)


def _to_modelscope(folder: Path, repository: str, private: bool) -> str:
    from modelscope_hub import HubApi

    api: Any = HubApi(token=_token("modelscope"))
    if not api.repo_exists(repository, "model"):
        api.create_repo(repository, "model", visibility="private" if private else "public")
    api.upload_folder(repository, "model", str(folder), ignore_patterns=_LEFT_HERE, disable_tqdm=True)
    return f"https://{_PLACES['modelscope']}/models/{repository}"
