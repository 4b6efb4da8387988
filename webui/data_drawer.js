// The data drawer in the browser: it opens without the server, sends what is dropped and shows how far that is, and asks
// again while something goes on. Gradio calls this with `element`, `trigger` and `watch`, and patches the HTML in place.
const say = (key, values) => window.tuneboard.say('data.' + key, values);
const find = (selector) => element.querySelector(selector);
const aside = () => find('.tb-data');
const KEPT = 'tuneboard.data';
const kept = {
  get: () => { try { return localStorage.getItem(KEPT) || ''; } catch { return ''; } },
  set: (token) => {
    try { if (token) localStorage.setItem(KEPT, token); else localStorage.removeItem(KEPT); } catch { /* private window */ }
  },
};

// ---- open and closed -----------------------------------------------------------------------------------------------
let opener = null;
let asked = false;
const isOpen = () => element.dataset.open === 'yes';
const open = () => {
  opener = document.activeElement;
  element.dataset.open = 'yes';
  requestAnimationFrame(() => find('[data-act=close].tb-button')?.focus());
  trigger('click', { act: 'open', id: kept.get() });
  asked = true;
};
const close = () => {
  if (!isOpen()) return;
  element.dataset.open = 'no';
  if (opener) opener.focus();
};
document.addEventListener('keydown', (event) => {
  if (!isOpen()) return;
  if (event.key === 'Escape') close();
  if (event.key !== 'Tab') return;
  const stops = [...element.querySelectorAll('button, input, select, summary, [tabindex="0"]')].filter((each) => each.offsetParent);
  const end = event.shiftKey ? stops[0] : stops[stops.length - 1];
  if (document.activeElement === end || document.activeElement === aside()) {
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0])?.focus();
  }
});

// ---- sending a file -------------------------------------------------------------------------------------------------
let request = null;
let taken = [];
const size = (bytes) => {
  if (bytes < 2 ** 20) return Math.max(1, Math.round(bytes / 1024)) + ' KB';
  return bytes < 2 ** 30 ? Math.round(bytes / 2 ** 20) + ' MB' : (bytes / 2 ** 30).toFixed(1) + ' GB';
};
const clock = (seconds) => Math.floor(seconds / 60) + ':' + String(Math.floor(seconds % 60)).padStart(2, '0');
const sending = (title, share, text) => {
  element.dataset.sending = 'yes';
  find('.tb-sending b').textContent = title;
  find('.tb-sending .tb-bar').classList.toggle('tb-unknown', share === null);
  find('.tb-sending .tb-bar div').style.width = ((share ?? 0) * 100).toFixed(1) + '%';
  find('.tb-sending .tb-counts span').textContent = text;
  find('.tb-sending button').hidden = share === null;
};
const unsent = (text) => {
  request = null;
  element.dataset.sending = 'no';
  const place = find('.tb-unsent');
  if (place) place.textContent = text;
};
const send = (files) => {
  if (!files.length || element.dataset.sending === 'yes' || !find('.tb-drop')) return;
  unsent('');
  const limit = Number(aside().dataset.limit);
  const large = files.find((file) => file.size > limit);
  if (large) return unsent(say('too_large', { name: large.name, size: size(large.size), limit: size(limit) }));
  if (files.length > 900) return unsent(say('too_many', { count: files.length }));
  const form = new FormData();
  for (const file of files) form.append('files', file);
  const name = files.length === 1 ? files[0].name : say('files', { count: files.length });
  const began = performance.now();
  request = new XMLHttpRequest();
  request.upload.onprogress = (event) => {
    const share = event.total ? event.loaded / event.total : 0;
    const seconds = (performance.now() - began) / 1000;
    const left = share > 0.02 && seconds > 1 ? say('left', { time: clock((seconds * (1 - share)) / share) }) : '';
    sending(say('sending', { name }), share, [say('of', { done: size(event.loaded), total: size(event.total) }), left].filter(Boolean).join(' · '));
  };
  request.onload = () => {
    if (request.status !== 200) return unsent(say('unsent'));
    taken = JSON.parse(request.responseText).map((path, place) => (
      { path, orig_name: files[place].name, size: files[place].size, meta: { _type: 'gradio.FileData' } }
    ));
    request = null;
    sending(say('reading', { name }), null, '');
    trigger('upload', {});
  };
  request.onerror = () => unsent(say('unsent'));
  request.onabort = () => unsent('');
  sending(say('sending', { name }), 0, '');
  request.open('POST', 'gradio_api/upload');
  request.send(form);
};
const holdsFiles = (event) => [...(event.dataTransfer?.types || [])].includes('Files');
element.addEventListener('dragover', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  element.dataset.drag = 'yes';
});
element.addEventListener('dragleave', (event) => { if (!element.contains(event.relatedTarget)) element.dataset.drag = 'no'; });
element.addEventListener('drop', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  element.dataset.drag = 'no';
  send([...event.dataTransfer.files]);
});

// ---- presses ---------------------------------------------------------------------------------------------------------
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]:not(form)');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, id, value, busy } = button.dataset;
  if (act === 'close') return close();
  if (act === 'cancel') return request?.abort();
  if (act === 'use') { close(); return trigger('select', { name: id }); }
  if (act === 'download' || act === 'original') return trigger('submit', { name: id, what: act });
  if (busy) { button.textContent = busy; button.setAttribute('aria-disabled', 'true'); }
  trigger('click', { act, id, value });
});
element.addEventListener('change', (event) => {
  if (event.target.type === 'file') { send([...event.target.files]); event.target.value = ''; return; }
  const { change, id } = event.target.dataset;
  if (change) trigger('click', { act: change, id, value: event.target.value });
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const { act, id } = event.target.dataset;
  trigger('click', { act, id, value: event.target.querySelector('input').value });
});

// ---- after each answer --------------------------------------------------------------------------------------------------
let step = '';
let registered = '';
let newest = 0;
// A question that has just been raised is answered next, wherever the pressed button has gone; a refusal is seen.
const attend = (drawn) => {
  if (!isOpen()) return;
  const raised = find('form input[aria-invalid], form[data-act=save_name] input') || find('.tb-step [data-act=keep]');
  if (raised && raised.tbActs !== drawn.dataset.acts) {
    raised.tbActs = drawn.dataset.acts;
    raised.focus();
    raised.select?.();
  }
  if (document.activeElement === document.body) drawn.focus({ preventScroll: true });
  const told = find('.tb-told [role=alert]');
  if (told && told.tbActs !== drawn.dataset.acts) { told.tbActs = drawn.dataset.acts; told.scrollIntoView({ block: 'nearest' }); }
};
watch('value', () => {
  const drawn = aside();
  if (!drawn) return;
  // An answer that was overtaken by a later one shows what is over: the drawer is asked for once more.
  const acts = Number(drawn.dataset.acts);
  const overtaken = acts < newest;
  newest = acts;
  if (overtaken) return trigger('load', {});
  if (!request) element.dataset.sending = 'no';
  // What a person has chosen hides what the answer says it is; the attribute is the truth.
  for (const each of element.querySelectorAll('select[value]')) each.value = each.getAttribute('value');
  // Before it is opened for the first time nobody has asked for the file that was in hand when the page was left.
  if (asked) kept.set(drawn.dataset.token || '');
  const now = find('.tb-step').dataset.step;
  if (now !== step) drawn.scrollTop = 0;
  step = now;
  attend(drawn);
  const made = drawn.dataset.registered;
  if (made && made !== registered) { close(); trigger('select', { name: made }); }
  registered = made;
});
let slow = 0;
element.addEventListener('click', () => { slow = 0; });
setInterval(() => {
  const poll = aside()?.dataset.poll;
  if (poll === 'fast') return trigger('load', {});
  slow = (slow + 1) % 8;
  const typing = element.contains(document.activeElement?.closest('form'));
  if (poll === 'slow' && !slow && isOpen() && !document.hidden && !typing && element.dataset.sending !== 'yes') trigger('load', {});
}, 500);

window.tuneboardData = {
  open,
  taken: () => taken,
  save: (file) => {
    if (!file) return;
    const link = document.createElement('a');
    link.href = file.url;
    link.download = file.orig_name || '';
    document.body.append(link);
    link.click();
    link.remove();
  },
};
