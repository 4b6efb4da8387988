// The buttons below the columns and in the status line. Copying needs no server; plain http has no clipboard of its own.
const copy = async (text) => {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = document.createElement('textarea');
    area.value = text; document.body.append(area); area.select(); document.execCommand('copy'); area.remove();
  }
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, busy } = button.dataset;
  const before = button.textContent;
  if (busy) button.textContent = busy;
  if (act === 'copy') {
    copy(button.dataset.copy);
    setTimeout(() => { if (button.textContent === busy) button.textContent = before; }, 1500);
    return;
  }
  trigger({ stop: 'stop', retry: 'retry', clear: 'clear', unload: 'click' }[act], { act });
});
element.addEventListener('scroll', (event) => {
  const box = event.target;
  box.tbAway = box.scrollHeight - box.clientHeight - box.scrollTop > 40;
}, true);
watch('value', () => {
  for (const box of element.querySelectorAll('.tb-talk')) if (!box.tbAway) box.scrollTop = box.scrollHeight;
});
// While something is being loaded, by whichever page, the line is asked for again: it ends when that does, even if the
// answer that says so was overtaken by one that was asked before.
setInterval(() => {
  if (!document.hidden && element.querySelector('.tb-chat-status[data-state=loading]')) trigger('load', {});
}, 2000);
