"""The stream over which a page is answered, against a server of which each word and its moment are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from webui.theme import HERE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# `server.say(message)` speaks over the newest stream, `server.streams` counts them, `server.end()` ends one without a word.
SERVER = """
window.server = { streams: 0, joined: 0 };
window.fetch = async (resource) => {
  const url = resource instanceof Request ? resource.url : String(resource);
  if (url.includes('/queue/join')) return new Response(JSON.stringify({ event_id: 'event-' + ++server.joined }));
  server.streams += 1;
  const body = new ReadableStream({ start: (out) => {
    server.say = (message) => out.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(message)}\\n\\n`));
    server.end = () => out.close();
    server.fail = () => out.error(new TypeError('network error'));
    resource.signal.addEventListener('abort', () => out.error(resource.signal.reason));
  } });
  return new Response(body);
};
"""
# A page that joins and reads as Gradio's does: `heard` has the messages, `over` says how the stream ended.
READER = """
window.heard = [];
window.over = '';
window.leaving = new AbortController();
window.join = () => fetch('http://here/gradio_api/queue/join', { method: 'POST' }).then((answer) => answer.json());
window.listen = async () => {
  try {
    const answer = await fetch(new Request('http://here/gradio_api/queue/data', { signal: leaving.signal }));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) { window.over = 'ended'; return; }
      heard.push(...value.split('\\n\\n').filter(Boolean).map((text) => JSON.parse(text.slice(5)).msg));
    }
  } catch (error) { window.over = error.name; }
};
window.settle = () => new Promise((go) => setTimeout(go, 50));
"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    made = context.new_page()
    made.route(
        "http://here/", lambda route: route.fulfill(body="<title>here</title>", content_type="text/html")
    )
    made.goto("http://here/")
    for script in (SERVER, (HERE / "stream.js").read_text(encoding="utf-8"), READER):
        made.evaluate(f"() => {{ {script} }}")
    yield made
    context.close()


def test_who_joins_while_the_stream_is_closed_is_answered(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          await join();
          listen();
          await settle();
          server.say({ msg: 'process_completed', event_id: 'event-1' });
          // The server has decided to close, its word is on the way, and the page, which believes it open, joins.
          await join();
          server.say({ msg: 'close_stream' });
          server.end();
          await settle();
          const again = server.streams;
          server.say({ msg: 'process_completed', event_id: 'event-2' });
          server.say({ msg: 'close_stream' });
          server.end();
          await settle();
          return { again, heard, over };
        }"""
    )
    assert found == {
        "again": 2,
        "heard": ["process_completed", "process_completed", "close_stream"],
        "over": "ended",
    }


def test_a_join_that_is_still_on_its_way_is_waited_for(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          await join();
          listen();
          await settle();
          const late = join();
          server.say({ msg: 'process_completed', event_id: 'event-1' });
          server.say({ msg: 'close_stream' });
          server.end();
          await late;
          await settle();
          return { streams: server.streams, heard };
        }"""
    )
    assert found == {"streams": 2, "heard": ["process_completed"]}


def test_a_page_that_is_left_ends_without_a_complaint(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          await join();
          listen();
          await settle();
          leaving.abort();
          await settle();
          return over;
        }"""
    )
    assert found == "ended"


def test_a_stream_that_breaks_is_told(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          await join();
          listen();
          await settle();
          server.fail();
          await settle();
          return over;
        }"""
    )
    assert found == "TypeError"
