// The rows of an evaluation: presses go to the server, a row opens and closes here.
// A drawing replaces the one before it: what had the focus gets it back, and rows that were open stay so.
let opened = new Set(), run = '', focused = '';
const nameOf = (item) => item && item.dataset && item.dataset.act ? item.dataset.act + ' ' + item.dataset.id : '';
const open = (body, on) => {
  body.classList.toggle('tb-open', on);
  const button = body.querySelector('[data-act=whole]');
  if (button) button.setAttribute('aria-expanded', String(on));
  if (on) opened.add(body.dataset.row); else opened.delete(body.dataset.row);
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]:not(form)');
  if (!button) {
    const body = event.target.closest('tbody[data-row]');
    if (body && event.target.closest('.tb-clip') && !String(getSelection())) open(body, !body.classList.contains('tb-open'));
    return;
  }
  if (button.getAttribute('aria-disabled') === 'true') return;
  const { act, id } = button.dataset;
  focused = nameOf(button);
  if (act === 'whole') { const body = button.closest('tbody'); return open(body, !body.classList.contains('tb-open')); }
  if (act === 'chat') return trigger('select', { act, id });
  trigger('click', { act, id });
});
element.addEventListener('change', (event) => {
  if (event.target.matches('[data-turn-to]')) trigger('click', { act: 'turn', id: event.target.value });
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const { act, id } = event.target.dataset, given = new FormData(event.target);
  const button = event.target.querySelector('[type=submit]');
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  trigger('click', { act, id, answer: String(given.get('answer')), name: String(given.get('name')) });
});
watch('value', () => {
  const table = element.querySelector('.tb-rows');
  if (table && table.dataset.run !== run) { run = table.dataset.run; opened = new Set(); }
  element.querySelectorAll('tbody[data-row]').forEach((body) => { if (opened.has(body.dataset.row)) open(body, true); });
  const form = element.querySelector('form[data-act=correct]');
  if (form && !form.tbSeen && document.activeElement?.closest('form') !== form) {
    form.tbSeen = true;
    form.querySelector('textarea').focus({ preventScroll: true });
  } else if (focused && (document.activeElement === document.body || !document.activeElement)) {
    [...element.querySelectorAll('[data-act]')].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
  }
});
