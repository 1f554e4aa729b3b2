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

/** Pairs of different answers at the 1-crop, most frequent first: {first, second, rows}. */
export function confusion(a, b) {
  const found = new Map();
  for (let k = 0; k < a.crop.length; k += 1) {
    if (a.crop[k] < 0 || b.crop[k] < 0 || a.crop[k] === b.crop[k]) continue;
    const name = `${a.crop[k]} ${b.crop[k]}`;
    if (!found.has(name)) found.set(name, { first: a.crop[k], second: b.crop[k], rows: [] });
    found.get(name).rows.push(k);
  }
  return [...found.values()].sort((x, y) => y.rows.length - x.rows.length || x.first - y.first || x.second - y.second);
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
