// Numbers that have changed go into the rows that stand there; the rows themselves stay under the reader's eyes.
watch('value', () => {
  const fresh = element.querySelector('[data-acts]'), table = document.querySelector('#evaluate-rows .tb-rows');
  if (!fresh || !table || fresh.dataset.acts !== table.dataset.acts || fresh.dataset.run !== table.dataset.run) return;
  table.dataset.found = fresh.dataset.found;
  for (const chip of fresh.querySelectorAll('.tb-chip')) {
    const { act, id } = chip.dataset;
    const old = [...table.querySelectorAll('.tb-chip')].find((each) => each.dataset.act === act && each.dataset.id === id);
    if (old) old.innerHTML = chip.innerHTML;
  }
  const pager = table.querySelector('.tb-row-pager'), other = fresh.querySelector('.tb-row-pager');
  // Whoever is about to turn the page keeps what he has in his hand.
  if (!pager || !other || pager.contains(document.activeElement)) return;
  pager.replaceWith(other.cloneNode(true));
});
