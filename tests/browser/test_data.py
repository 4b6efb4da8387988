"""The data drawer in a browser, against the real server: from a dropped file to a dataset that a run can use."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import Server
from tests.browser.test_train import LEFTOVERS, wait_for_text

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
Open = Callable[..., Any]

ROWS = 30
BAD = 17
# Puts a file into the drop zone as a hand with a mouse would.
DROP = """
([name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  const zone = document.querySelector('#data .tb-drop');
  for (const type of ['dragover', 'drop']) {
    zone.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}
"""


def support_csv() -> str:
    """Odd headers; the answer of one row is empty."""
    lines = ["Anliegen des Kunden,Reaktion,Vorgang"]
    lines += [
        f"Wo ist Paket {n}?,{'' if n == BAD else f'Paket {n} ist unterwegs.'},{n}" for n in range(1, ROWS + 1)
    ]
    return "\n".join(lines) + "\n"


def open_drawer(page: Any) -> None:
    page.click("#say-data-open")
    page.wait_for_selector("#data [data-open='yes'] .tb-data[data-acts]:not([data-acts='0']) .tb-drop")


def bring(page: Any, path: Path) -> None:
    open_drawer(page)
    page.set_input_files("#data .tb-drop input[type=file]", path)
    page.wait_for_selector("#data [data-step='columns'] .tb-sample")


def choose_role(page: Any, column: str, role: str) -> None:
    page.select_option(f"#data select[data-change='role'][data-id='{column}']", role)
    page.wait_for_selector(f"#data select[data-change='role'][data-id='{column}'][value='{role}']")


def check(page: Any) -> None:
    page.click("#data [data-act='check']")
    page.wait_for_selector("#data form[data-act='register']")


def chosen(page: Any) -> list[str]:
    return list(page.locator("#o-dataset .token").all_inner_texts())


def register(page: Any, name: str) -> None:
    page.fill("#data form[data-act='register'] input", name)
    page.click("#data form[data-act='register'] button[type=submit]")
    page.wait_for_function(
        "(name) => document.querySelector('#o-dataset')?.innerText.includes(name)", arg=name
    )
    page.wait_for_selector("#data [data-open='yes']", state="detached")


def delete(page: Any, name: str) -> None:
    open_drawer(page)
    page.click(f"#data li[data-name='{name}'] [data-act='delete']")
    page.click(f"#data li[data-name='{name}'] [data-act='delete_it']")
    page.wait_for_selector(f"#data li[data-name='{name}']", state="detached")


def test_from_a_dropped_table_to_a_run_and_back(open_page: Open, server: Server) -> None:
    page = open_page()
    page.click("#say-data-bring")
    page.wait_for_selector("#data [data-open='yes'] .tb-data[data-acts]:not([data-acts='0']) .tb-drop")
    assert "2 GiB" in page.inner_text("#data .tb-drop") and "20,000" in page.inner_text("#data .tb-drop")
    page.evaluate(DROP, ["support.csv", support_csv()])
    page.wait_for_selector("#data [data-step='columns'] .tb-sample")

    choose_role(page, "Anliegen des Kunden", "prompt")
    choose_role(page, "Vorgang", "ignore")
    choose_role(page, "Reaktion", "ignore")
    # Without an answer there is nothing to learn: the button says so, and the rows beside the columns follow.
    page.wait_for_selector("#data [data-act='check'][aria-disabled='true']")
    choose_role(page, "Reaktion", "response")
    page.wait_for_selector("#data [data-act='check']:not([aria-disabled])")
    wait_for_text(page, "#data .tb-sample .tb-assistant", "Paket 1 ist unterwegs.")

    # A page that is loaded anew finds the file again, as it was left.
    page.reload()
    page.wait_for_selector("#say-train-start")
    page.wait_for_function("() => /\\d/.test(document.querySelector('#sentence')?.innerText || '')")
    page.click("#say-data-open")
    page.wait_for_selector("#data select[data-id='Reaktion'][value='response']")

    check(page)
    assert page.locator("#data .tb-defects tbody tr").count() == 1
    # The header is line 1 of a table of lines; rows are counted without it or with it, but one row is named.
    assert str(BAD) in page.inner_text("#data .tb-defects") or str(BAD + 1) in page.inner_text(
        "#data .tb-defects"
    )
    wait_for_text(page, "#data form[data-act='register'] button[type=submit]", str(ROWS - 1))

    page.fill("#data form[data-act='register'] input", "../out")
    page.click("#data form[data-act='register'] button[type=submit]")
    page.wait_for_selector("#data form[data-act='register'] [role='alert']")
    page.wait_for_selector("#data form[data-act='register'] input:focus")
    register(page, "support")
    assert chosen(page) == ["support"]
    wait_for_text(page, "#sentence", f"{ROWS - 1} rows")
    entries = json.loads((server.workspace / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    assert "support" in entries and "identity" in entries

    open_drawer(page)
    wait_for_text(page, "#data li[data-name='support']", "support.csv")
    with page.expect_download() as handed:
        page.click("#data li[data-name='support'] [data-act='original']")
    assert Path(handed.value.path()).read_text(encoding="utf-8") == support_csv()

    # A name that is taken is refused beside its box, which keeps what was typed and the keyboard.
    row = "#data li[data-name='support']"
    page.click(f"{row} [data-act='rename']")
    page.wait_for_selector(f"{row} form input:focus")
    page.keyboard.type("identity")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{row} form [role='alert']")
    page.wait_for_selector(f"{row} form input:focus")
    assert page.input_value(f"{row} form input") == "identity"
    assert page.locator("#data .tb-told [role='alert']").count() == 0
    page.click(f"{row} [data-act='keep']")
    page.wait_for_selector(f"{row} form", state="detached")
    page.keyboard.press("Escape")
    page.wait_for_selector("#data [data-open='yes']", state="detached")
    delete(page, "support")
    page.wait_for_function("() => !document.querySelector('#o-dataset').innerText.includes('support')")
    assert "support" not in json.loads(
        (server.workspace / "data" / "dataset_info.json").read_text(encoding="utf-8")
    )


def pictures_zip(path: Path) -> Path:
    """Two tables, one of them with pictures beside it, and one picture that is missing."""
    rows = [{"picture": f"shots/{n}.png", "caption": f"A square number {n}."} for n in range(1, 6)] + [
        {"picture": "shots/none.png", "caption": "Nothing to be seen."}
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("squares/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        archive.writestr("notes.csv", "question,answer\nWho?,Me.\n")
        for n in range(1, 6):
            picture = io.BytesIO()
            Image.new("RGB", (48, 32), (40 * n, 90, 200 - 30 * n)).save(picture, "PNG")
            archive.writestr(f"squares/shots/{n}.png", picture.getvalue())
    return path


def test_a_zip_with_pictures_on_a_phone_in_chinese(open_page: Open, tmp_path: Path) -> None:
    page = open_page("zh", width=390, dark=True)
    bring(page, pictures_zip(tmp_path / "squares.zip"))
    menu = page.locator("#data select[data-change='choose']")
    labels = menu.locator("option").all_inner_texts()
    pictured = next(place for place, label in enumerate(labels) if label.endswith("train.jsonl"))
    menu.select_option(str(pictured))
    page.wait_for_selector("#data .tb-sample .tb-thumbs img")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    aside = page.locator("#data .tb-data")
    assert aside.evaluate("(each) => each.scrollWidth <= each.clientWidth && each.clientWidth <= 390")
    page.wait_for_function(f"() => ({LEFTOVERS})().length === 0")
    check(page)
    assert page.locator("#data .tb-defects tbody tr").count() == 1
    page.wait_for_function(f"() => ({LEFTOVERS})().length === 0")
    assert aside.evaluate("(each) => each.scrollWidth <= each.clientWidth")
    register(page, "squares")
    delete(page, "squares")


def test_a_cancelled_upload_leaves_the_drawer_and_the_log_as_they_were(
    open_page: Open, server: Server, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.jsonl", tmp_path / "small.csv"
    large.write_text('{"prompt": "a", "response": "b"}\n' * 200_000, encoding="utf-8")
    small.write_text(support_csv(), encoding="utf-8")
    page = open_page()
    open_drawer(page)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": 40_000})
    page.set_input_files("#data .tb-drop input[type=file]", large)
    page.click("#data .tb-sending [data-act='cancel']")
    page.wait_for_selector("#data .tb-drop")
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    page.set_input_files("#data .tb-drop input[type=file]", small)
    page.wait_for_selector("#data [data-step='columns'] .tb-sample")
    page.click("#data [data-act='discard']")
    page.wait_for_selector("#data .tb-drop")
    assert "Traceback" not in server.log


def test_what_is_refused_says_so_and_leaves_nothing(open_page: Open, server: Server, tmp_path: Path) -> None:
    page = open_page()
    bad = tmp_path / "evil.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../../outside.jsonl", '{"prompt": "a", "response": "b"}\n')
    open_drawer(page)
    page.set_input_files("#data .tb-drop input[type=file]", bad)
    page.wait_for_selector("#data .tb-told [role='alert']")
    assert not (server.workspace.parent / "outside.jsonl").exists()
    # The same again: the zone comes back although the answer says nothing new.
    acts = page.get_attribute("#data .tb-data", "data-acts")
    page.set_input_files("#data .tb-drop input[type=file]", bad)
    page.wait_for_selector(f"#data .tb-data:not([data-acts='{acts}']) .tb-drop")
    assert page.locator("#data .tb-drop").is_visible()
    # A token that nobody has: the drawer says what became of the file, and forgets it.
    page.evaluate("localStorage.setItem('tuneboard.data', '../../etc')")
    page.reload()
    page.wait_for_selector("#say-train-start")
    page.wait_for_function("() => /\\d/.test(document.querySelector('#sentence')?.innerText || '')")
    page.click("#say-data-open")
    page.wait_for_selector("#data .tb-told .tb-note")
    page.wait_for_function("() => localStorage.getItem('tuneboard.data') === null")
