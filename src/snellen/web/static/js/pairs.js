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

/** Images that one model gets right and no other; all must have been shown them. */
export function onlyRight(all, which, rightAt = (model, k) => model.right[k]) {
  const rows = [];
  for (let k = 0; k < all[which].right.length; k += 1) {
    const judged = all.map((model) => rightAt(model, k));
    if (judged.every((one) => one >= 0) && judged.every((one, m) => (m === which ? one === 1 : one === 0))) rows.push(k);
  }
  return rows;
}

/** 1 where at least one zoom is right, 0 where none is, −1 where that is not known. */
export const anyZoom = (model, k) => (!model.winning || model.winning[k] < 0 ? -1 : Math.min(1, model.winning[k]));
