// Two and more models beside each other, from their columns alone.

/** Whether both were shown an image, and both can be judged. */
const both = (a, b, k) => a.right[k] >= 0 && b.right[k] >= 0;

/** How often two models are right or wrong together at the 1-crop, and how often they say the same. */
export function agreement(a, b) {
  const found = { n: 0, bothRight: 0, onlyFirst: 0, onlySecond: 0, bothWrong: 0, same: 0, sameWrong: 0 };
  for (let k = 0; k < a.right.length; k += 1) {
    if (!both(a, b, k)) continue;
    const kind = a.right[k] ? (b.right[k] ? 'bothRight' : 'onlyFirst') : (b.right[k] ? 'onlySecond' : 'bothWrong');
    found.n += 1;
    found[kind] += 1;
    if (a.crop[k] === b.crop[k]) {
      found.same += 1;
      found.sameWrong += kind === 'bothWrong';
    }
  }
  return found;
}

/**
 * McNemar's exact, two-sided p of two models, of which each alone is right so many times: how often a fair coin falls
 * as unevenly, or more so. Logarithms, since 2^n does not fit a number.
 */
export function mcnemar(onlyFirst, onlySecond) {
  const n = onlyFirst + onlySecond;
  const few = Math.min(onlyFirst, onlySecond);
  if (2 * few === n) return 1;
  let log = -n * Math.LN2; // of the chance of exactly `few`
  for (let k = 1; k <= few; k += 1) log += Math.log((n - few + k) / k);
  let sum = 0;
  for (let k = few, term = 1; k >= 0 && term > 1e-17 * sum; k -= 1) {
    sum += term; // of k, as a multiple of the chance of `few`
    term *= k / (n - k + 1);
  }
  return Math.min(1, 2 * Math.exp(log) * sum);
}

const IDS = 2 ** 24; // more than a class space has

/** Rows by a pair of classes, the most frequent pair first: {first, second, rows}. */
class Pairs {
  #found = new Map();

  add(first, second, row) {
    const name = first * IDS + second; // a number is a faster key than a text
    const pair = this.#found.get(name);
    if (pair) pair.rows.push(row);
    else this.#found.set(name, { first, second, rows: [row] });
  }

  sorted() {
    return [...this.#found.values()].sort((x, y) => y.rows.length - x.rows.length || x.first - y.first || x.second - y.second);
  }
}

/** Pairs of different answers at the 1-crop, most frequent first: {first, second, rows}. */
export function confusion(a, b) {
  const found = new Pairs();
  for (let k = 0; k < a.crop.length; k += 1) {
    if (a.crop[k] >= 0 && b.crop[k] >= 0 && a.crop[k] !== b.crop[k]) found.add(a.crop[k], b.crop[k], k);
  }
  return found.sorted();
}

/** What a model answers, and whether that is right (1, 0 or −1): at the 1-crop, or at most zooms; null without several. */
const said = (model, zooms) => (zooms ? model.consensus && [model.consensus, model.consensus_right] : [model.crop, model.right]);

/**
 * What a model takes the classes for: {pairs, counts, judged, wrong}. A pair is the first label of an image and an answer
 * that is none of its labels: {first, second, rows}. counts: images of each first label that are judged, by id.
 * An image without an answer is wrong, and in no pair. zooms: the answer of most zooms counts, not that at the 1-crop.
 */
export function mistakes(labels, model, zooms = false) {
  const found = new Pairs();
  const counts = new Map();
  let [judged, wrong] = [0, 0];
  const [answer, right] = said(model, zooms) ?? [[], []];
  for (let k = 0; k < answer.length; k += 1) {
    if (right[k] < 0 || !labels[k]?.length) continue;
    const label = labels[k][0];
    judged += 1;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (right[k] === 1) continue;
    wrong += 1;
    if (answer[k] >= 0) found.add(label, answer[k], k);
  }
  return { pairs: found.sorted(), counts, judged, wrong };
}

/** Whether an image is one of a pair of `mistakes`. */
export function isMistake(labels, model, k, { zooms, first, second }) {
  const [answer, right] = said(model, zooms) ?? [];
  return Boolean(answer) && right[k] === 0 && labels[k]?.[0] === first && answer[k] === second;
}

/** A pair of `mistakes` as it stands in a link, and back; null where that is none. */
export const mistakeText = ({ zooms, first, second }) => `${zooms ? 'zooms' : 'crop'}-${first}-${second}`;
export function mistakeFrom(text) {
  const found = /^(crop|zooms)-(\d{1,8})-(\d{1,8})$/.exec(text ?? '');
  return found && { zooms: found[1] === 'zooms', first: Number(found[2]), second: Number(found[3]) };
}

/** Whether one model gets an image right and no other; all must have been shown it. */
export const isAlone = (all, which, k, rightAt = atCrop) =>
  all.every((model, m) => rightAt(model, k) === (m === which ? 1 : 0));

/** The images that one model gets right and no other. */
export function onlyRight(all, which, rightAt = atCrop) {
  const rows = [];
  for (let k = 0; k < all[which].right.length; k += 1) if (isAlone(all, which, k, rightAt)) rows.push(k);
  return rows;
}

/** 1 right, 0 wrong, −1 not shown, at the 1-crop. */
export const atCrop = (model, k) => model.right[k];

/** 1 where at least one zoom is right, 0 where none is, −1 where that is not known. */
export const anyZoom = (model, k) => (!model.winning || model.winning[k] < 0 ? -1 : Math.min(1, model.winning[k]));
