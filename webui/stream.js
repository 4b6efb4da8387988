// Gradio answers all events of a page over one stream, which its server closes as soon as no event is open. An event that
// joins in that very moment would be answered where nobody listens, until some later event opens the next stream: to the
// person the press is lost. What Gradio's page reads is therefore a stream of ours. It lasts over as many of the
// server's as it takes until everything that joined has been answered, and it ends without a complaint when the page does.
(() => {
  "use strict";
  const ask = window.fetch.bind(window);
  const joining = new Set();
  const unanswered = new Set();
  // Ends that were read before the answer to the join that begot them.
  const ended = new Set();

  const join = async (resource, options) => {
    const answer = await ask(resource, options);
    if (!answer.ok) return answer;
    const { event_id: id } = await answer.clone().json();
    if (id && !ended.delete(id)) unanswered.add(id);
    return answer;
  };
  const joined = (resource, options) => {
    const answer = join(resource, options);
    const settled = answer.catch(() => {}).then(() => joining.delete(settled));
    joining.add(settled);
    return answer;
  };
  const isOwed = async () => {
    await Promise.all(joining);
    return unanswered.size > 0;
  };

  // The messages of one of the server's streams, each as its text and what it says.
  const messages = async function* (answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const text of parts) {
        const data = text.startsWith("data:") ? JSON.parse(text.slice(5)) : {};
        yield { text: text + "\n\n", data };
      }
    }
  };
  const hear = (data) => {
    if (data.msg === "process_completed" && data.event_id && !unanswered.delete(data.event_id)) ended.add(data.event_id);
  };
  const relay = async (answer, again, out) => {
    const encoder = new TextEncoder();
    for (;;) {
      let closing = null;
      for await (const { text, data } of messages(answer)) {
        hear(data);
        if (data.msg === "close_stream") { closing = text; break; }
        out.enqueue(encoder.encode(text));
      }
      if (closing === null) return;
      if (!(await isOwed())) return out.enqueue(encoder.encode(closing));
      answer = await ask(again());
      if (!answer.ok) throw new TypeError(`The stream of events was refused: ${answer.status}`);
    }
  };
  const close = (out) => {
    try { out.close(); } catch { /* whoever read it has turned away */ }
  };
  const lasting = async (resource, options) => {
    const request = new Request(resource, options);
    const again = () => request.clone();
    const gone = () => request.signal.aborted;
    let answer;
    try {
      answer = await ask(again());
    } catch (error) {
      if (gone()) return new Response("");
      throw error;
    }
    if (!answer.ok) return answer;
    const body = new ReadableStream({
      start: (out) => {
        relay(answer, again, out).then(() => close(out)).catch((error) => (gone() ? close(out) : out.error(error)));
      },
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  };

  window.fetch = (resource, options) => {
    const path = new URL(resource instanceof Request ? resource.url : String(resource), document.baseURI).pathname;
    if (path.endsWith("/queue/join")) return joined(resource, options);
    if (path.endsWith("/queue/data")) return lasting(resource, options);
    return ask(resource, options);
  };
})();
