// The keys of the review page. A key that is held down gives one verdict, not a row of them.

const once = (run) => (event) => {
  if (!event.repeat) run(event);
};

/** The list for `useKeys`. choices(): ids that the digits stand for; focusLabels(), focusReason(): go to the fields. */
export function reviewKeys(session, { choices, focusLabels, focusReason }) {
  const moves = [
    { keys: ['n'], text: 'Next one that waits for you', run: () => session.nextOpen() || session.tell('Nothing in this list waits for you.') },
    { keys: ['ArrowRight', 'j'], text: 'Next image', run: () => session.step(1) },
    { keys: ['ArrowLeft', 'h'], text: 'Image before', run: () => session.step(-1) },
    { keys: ['o'], text: 'Show what others said; a verdict then replaces it', run: once(() => session.toggleOthers()) },
  ];
  if (!session.canGive) return moves;
  const digits = Array.from('123456789');
  return [
    { keys: ['k'], text: 'Keep: it is hard, and its labels are right', run: once(() => session.give('keep')) },
    { keys: ['d'], text: 'Drop: it belongs in no hard set', run: once(() => session.give('drop')) },
    { keys: ['u'], text: 'Unsure: somebody else should look', run: once(() => session.give('unsure')) },
    { keys: ['r', '/'], text: 'Relabel: type a name, a synonym or a key; Enter chooses it, Enter again gives the verdict', run: once(focusLabels) },
    { keys: digits, text: 'Choose a label of the list, or take it out', run: once((event) => {
      const id = choices()[digits.indexOf(event.key)];
      if (id !== undefined) session.toggle(id);
    }) },
    { keys: ['Enter'], text: 'Give the labels that are chosen', run: once((event) => {
      if (!event.target.closest?.('button, a, summary')) session.give('relabel');
      else event.target.click();
    }) },
    { keys: ['c'], text: 'Write a reason', run: once(focusReason) },
    { keys: ['z'], text: 'Undo your last verdict', run: once(() => session.undo()) },
    ...moves,
  ];
}
