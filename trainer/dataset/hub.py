"""Datasets and files of the hubs, through the hubs' own libraries, which are imported when they are needed.

A hub's id may as well be a folder that is laid out as a repository of the hub.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.dataset.entry import DatasetInfo, Hub, HubSource
from trainer.dataset.fields import shown
from trainer.dataset.files import Item
from trainer.errors import UserError

if TYPE_CHECKING:
    from datasets import Features

ROWS = 256
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PLACES = {"huggingface": "huggingface.co", "modelscope": "modelscope.cn"}


def local_folder(info: DatasetInfo, source: HubSource, hub: Hub) -> Path | None:
    """The folder that the id means, absolute or as seen from the data folder; None: it is an id of the hub."""
    place = info.path / source.pick(hub)[1]
    return place.absolute() if place.is_dir() else None


def read_hub(info: DatasetInfo, source: HubSource, hub: Hub, streaming: bool = False) -> Iterator[Item]:
    """The rows of the split that `info` names, from 1; of pictures and videos the bytes or paths.

    They are downloaded and kept by the hub's library, with `streaming` fetched as far as they are read. Raises UserError
    when the hub cannot be reached, does not have the dataset, subset or split, or holds what is no table.
    """
    own, name = source.pick(hub)
    try:
        folder = local_folder(info, source, hub)
        if folder is None and not _ID.fullmatch(name):
            raise UserError("data_hub_unknown", field="dataset", name=shown(name), hub=_PLACES[own])
        if folder is None and own == "modelscope":
            folder = _from_modelscope(name)
        for number, row in enumerate(_rows(str(folder or name), info, source, streaming), 1):
            yield Item(number, row)
    except UserError:
        raise
    except Exception as error:
        raise _unread(error, info, source, own) from error


def fetch_file(repo: str, name: str) -> Path:
    """A file of a dataset repository on huggingface.co, kept by its library. Raises UserError when it cannot be had."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset"))
    except Exception as error:
        raise _unfetched(error, repo, "huggingface", "dataset_dir") from error


def _from_modelscope(name: str) -> Path:
    try:
        from modelscope import dataset_snapshot_download
        from modelscope_hub.compat.snapshot_download import dataset_snapshot_download as kept
    except ImportError:
        raise UserError("data_hub_package", field="dataset", name=name) from None
    try:
        return Path(dataset_snapshot_download(name))
    except ConnectionError:
        # What was downloaded before is as good without a network.
        return Path(kept(name, local_files_only=True))


def _rows(path: str, info: DatasetInfo, source: HubSource, streaming: bool) -> Iterator[dict[str, Any]]:
    import datasets

    found = datasets.load_dataset(
        path, name=source.subset, data_dir=source.folder, split=info.split, streaming=streaming
    )
    features = _undecoded(found.features) if found.features else None
    for table in found.with_format("arrow").iter(batch_size=ROWS):
        for row in table.to_pylist():
            yield features.decode_example(row) if features else row


def _undecoded(features: Features) -> Features:
    """The same columns, with pictures, videos and sounds left as they are stored."""
    from datasets import Features

    return Features({name: _stored(feature) for name, feature in features.items()})


def _stored(feature: Any) -> Any:
    from datasets import Json

    if isinstance(feature, dict):
        return {name: _stored(each) for name, each in feature.items()}
    if isinstance(feature, (list, tuple)):
        return [_stored(each) for each in feature]
    own = copy(feature)
    if hasattr(own, "feature"):
        own.feature = _stored(own.feature)
    elif hasattr(own, "decode") and not isinstance(own, Json):
        own.decode = False
    return own


def _unread(error: Exception, info: DatasetInfo, source: HubSource, hub: Hub) -> UserError:
    """The sentence for what reading raised; the libraries name the cause in the text of the first error."""
    said = _chain(error)
    if re.search(r"Unknown split|has no split|split .* not (found|exist)", said):
        return _with_reason("data_hub_split", error, info.name, split=shown(info.split))
    if re.search(r"BuilderConfig .* not found|Config name is missing", said):
        return _with_reason("data_hub_subset", error, info.name, subset=source.subset or "")
    return _unfetched(error, source.pick(hub)[1], hub, "dataset")


def _unfetched(error: Exception, name: str, hub: Hub, field: str) -> UserError:
    said = _chain(error)
    code = next((code for code, pattern in _CAUSES.items() if re.search(pattern, said)), "data_hub_failed")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        code = "data_hub_disk"
    if code == "data_hub_failed":
        return _with_reason(code, error, name, hub=_PLACES[hub])
    return UserError(code, field=field, name=shown(name), hub=_PLACES[hub])


# In this order: a gated dataset's error is also one of not found.
_CAUSES = {
    "data_hub_unknown": r"DatasetNotFound|RepositoryNotFound|NotExist|HFValidation|Gated|\b40[134]\b",
    "data_hub_offline": r"LocalEntryNotFound|Offline|ConnectionError|ConnectError|NetworkError|Timeout|Failed to resolve",
}


def _with_reason(code: str, error: Exception, name: str, **values: str) -> UserError:
    first = _first(error)
    # After that come lines of Python, which are of no use to somebody who has an entry to correct.
    said = str(first).partition("\nExample")[0].split() or [type(first).__name__]
    return UserError(code, field="dataset", name=shown(name), reason=shown(" ".join(said), 300), **values)


def _first(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _chain(error: BaseException | None) -> str:
    """Every error that led to this one, by class and text."""
    said = []
    while error is not None:
        said.append(f"{type(error).__name__} {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(said)
