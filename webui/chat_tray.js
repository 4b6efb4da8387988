// Pictures for a message: chosen, dropped anywhere on the tab, or pasted; sent one batch after another, so that each
// answer of the server builds on the one before. Gradio calls this with `element`, `trigger` and `watch`.
const say = (key, values) => window.tuneboard.say('chat.pictures.' + key, values);
const find = (selector) => element.querySelector(selector);
const tray = () => find('.tb-tray');
const blind = () => find('[data-act=attach]')?.getAttribute('aria-disabled') === 'true';
const tell = (text) => {
  const place = find('.tb-tray-line .tb-hint');
  if (place) place.textContent = text || place.dataset.hint;
};

let waiting = [];
let sending = false;
let taken = [];
let removed = false;
const next = () => {
  if (sending || !waiting.length) return;
  const files = waiting.shift();
  const form = new FormData();
  for (const file of files) form.append('files', file);
  sending = true;
  element.dataset.sending = 'yes';
  const request = new XMLHttpRequest();
  const fail = () => { done(); tell(say('unsent')); };
  request.upload.onprogress = (event) => tell(say('sending', { percent: Math.floor((100 * event.loaded) / (event.total || 1)) }));
  request.onload = () => {
    if (request.status !== 200) return fail();
    taken = JSON.parse(request.responseText).map((path, place) => (
      { path, orig_name: files[place].name, size: files[place].size, meta: { _type: 'gradio.FileData' } }
    ));
    tell(say('reading'));
    trigger('upload', {});
  };
  request.onerror = fail;
  tell(say('sending', { percent: 0 }));
  request.open('POST', 'gradio_api/upload');
  request.send(form);
};
const done = () => {
  sending = false;
  element.dataset.sending = 'no';
  next();
};
const send = (files) => {
  if (!files.length || !tray()) return;
  if (blind()) return trigger('click', { act: 'blind' });
  const limit = Number(tray().dataset.limit);
  const large = files.find((file) => file.size > limit);
  if (large) return tell(say('large', { name: large.name, limit: Math.floor(limit / 2 ** 20) }));
  waiting.push(files);
  next();
};

// ---- from where files come -----------------------------------------------------------------------------------------
const here = (event) => element.offsetParent && element.closest('[role=tabpanel]')?.contains(event.target);
const holdsFiles = (data) => [...(data?.types || [])].includes('Files');
document.addEventListener('dragover', (event) => {
  const over = holdsFiles(event.dataTransfer) && here(event);
  element.dataset.drag = over ? 'yes' : 'no';
  if (over) event.preventDefault();
});
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) element.dataset.drag = 'no'; });
document.addEventListener('drop', (event) => {
  element.dataset.drag = 'no';
  if (!holdsFiles(event.dataTransfer) || !here(event)) return;
  event.preventDefault();
  send([...event.dataTransfer.files]);
});
document.addEventListener('paste', (event) => {
  // Programs that write put a picture of the text beside it: the text is meant.
  const data = event.clipboardData;
  if (!here(event) || !holdsFiles(data) || [...data.types].includes('text/plain')) return;
  event.preventDefault();
  send([...data.files]);
});
element.addEventListener('change', (event) => {
  if (event.target.type !== 'file') return;
  send([...event.target.files]);
  event.target.value = '';
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, id } = button.dataset;
  if (act === 'attach') return find('input[type=file]').click();
  button.setAttribute('aria-disabled', 'true');
  removed = true;
  trigger('click', { act, id });
});
watch('value', () => {
  if (sending && taken.length === 0) done();
  tell('');
  // The button that had the focus went with its picture.
  if (removed) find('[data-act=attach]')?.focus();
  removed = false;
});

// ---- a message is not sent without the files that are still on their way --------------------------------------------
const hold = (event) => {
  if (!sending) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(say('wait'));
};
document.addEventListener('click', (event) => { if (event.target.closest('#say-chat-send')) hold(event); }, true);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && event.target.closest('#say-chat-message')) hold(event);
}, true);

window.tuneboardTray = {
  taken: () => {
    const files = taken;
    taken = [];
    return files;
  },
};
