// What stands of an image: what the server told, and on top of it what was given in this browser and is not stored yet.
// Nothing here touches the page, the network or a store.

export const STATUSES = ['undecided', 'kept', 'dropped', 'relabelled'];
const STATUS_OF = { keep: 'kept', drop: 'dropped', relabel: 'relabelled' };

export const keyOf = (verdict) => `${verdict.client}/${verdict.seq}`;

/** The verdicts of one image that no other replaces: `stored` as the server tells them, `unsent` as they were given. */
export function standing(stored, unsent) {
  const found = new Map(stored.map((one) => [one.key, one]));
  for (const one of unsent) if (!found.has(keyOf(one))) found.set(keyOf(one), { ...one, key: keyOf(one) });
  for (const one of unsent) for (const key of one.based_on) found.delete(key);
  return [...found.values()];
}

/** What a verdict decides, as a text: the word, and the labels in one order. */
export const decision = ({ verdict, labels }) => [verdict, ...[...new Set(labels)].sort()].join(' ');

/** What standing verdicts make of an image: its status, and whether they contradict each other. */
export function decided(stand) {
  const deciding = stand.filter((one) => one.verdict !== 'unsure');
  const conflict = new Set(deciding.map(decision)).size > 1;
  return { status: deciding.length && !conflict ? STATUS_OF[deciding[0].verdict] : 'undecided', conflict };
}

const UNDONE = 'undone';
/** Whether a verdict is what undoing leaves where nothing stood: who gave it has said nothing of the image. */
export const isUndone = (one) => one.verdict === 'unsure' && one.reason === UNDONE;

/** Whether an image, as the server tells it, is undecided although somebody looked at it and was unsure. */
export const isUnsure = (image) => image?.status === 'undecided' && image.standing.some((one) => one.verdict === 'unsure' && !isUndone(one));

/** How far one reviewer is with an image: 0 nothing said, 1 unsure, 2 decided. */
export function progress(stand, reviewer) {
  const own = stand.filter((one) => one.reviewer === reviewer && !isUndone(one));
  return own.some((one) => one.verdict !== 'unsure') ? 2 : own.length ? 1 : 0;
}

/** The verdicts that a reviewer sees, which a new one replaces: their own, and those of others where they are shown. */
export const seen = (stand, reviewer, others) => stand.filter((one) => others || one.reviewer === reviewer);

/**
 * What is remembered of a verdict so that it can be undone.
 * before: the reviewer's own that it replaced, null where there was none, or more than one; others: it replaced theirs.
 */
export function remembered(verdict, replaced) {
  const own = replaced.filter((one) => one.reviewer === verdict.reviewer);
  const before = own.length === 1 ? own[0] : null;
  return {
    id: verdict.id, reviewer: verdict.reviewer, key: keyOf(verdict), others: own.length < replaced.length,
    before: before && { key: before.key, verdict: before.verdict, labels: [...before.labels], reason: before.reason },
  };
}

/**
 * What undoing says; the log only grows, so that it is a verdict like any other.
 * It is the verdict that stood before. Where none did, it is `unsure`, which decides nothing; and also where verdicts
 * of others were replaced: those cannot be given back, and the image must not look decided.
 */
export function undoing({ before, others }) {
  if (before && !others) return { verdict: before.verdict, labels: [...before.labels], reason: before.reason };
  return { verdict: 'unsure', labels: [], reason: UNDONE };
}

/** The next entry of a list after a place, round its end, for which a test holds; null where there is none. */
export function nextIn(list, place, test) {
  for (let k = 1; k <= list.length; k += 1) {
    const at = (place + k) % list.length;
    if (test(list[at])) return at;
  }
  return null;
}

/**
 * Positions to go through, in order. `of(position)` gives `{status, conflict, mine}`; suspect: scores or
 * undefined; stay: a Set of positions that are in it anyway.
 */
export function listed(count, show, sort, of, suspect, stay = new Set()) {
  const tests = {
    conflicts: (one) => one.conflict,
    undecided: (one) => one.status === 'undecided',
    unsure: (one) => one.mine === 1,
    mine: (one) => one.mine > 0,
  };
  const test = tests[show] ?? (STATUSES.includes(show) ? (one) => one.status === show : () => true);
  const list = Array.from({ length: count }, (_, k) => k).filter((k) => stay.has(k) || test(of(k)));
  if (sort === 'suspect' && suspect) {
    const score = (k) => (Number.isFinite(suspect[k]) ? suspect[k] : -Infinity);
    list.sort((a, b) => score(b) - score(a) || a - b);
  }
  return list;
}

/** What is wrong with a reviewer's name; "" where nothing is. there: names in use. */
export function nameFault(name, there) {
  const signs = [...name].length; // characters, not halves of surrogate pairs
  if (name !== name.trim() || signs < 1 || signs > 100 || /[\p{C}\p{Zl}\p{Zp}]/u.test(name)) {
    return 'A name is 1 to 100 characters on one line.';
  }
  const plain = (text) => text.toLowerCase().replace(/\s+/g, '');
  const near = there.find((one) => one !== name && plain(one) === plain(name));
  return near === undefined ? '' : `There is a reviewer “${near}”; write it so, or take another name.`;
}
