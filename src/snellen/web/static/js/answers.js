// Decodes a chunk of answers: for each image ids, then probabilities in 65535ths, then right or wrong, at every zoom.

export const TOP = 5;
export const WRONG = 0;
export const RIGHT = 1;
export const NOT_SHOWN = 2;
const bytesOf = (zooms) => zooms * (TOP * 2 + TOP * 2 + 1);

/** The answers to the image at `place` of the chunk: ids and ps [zooms × 5], right [zooms]. */
export function decode(buffer, zooms, place) {
  const bytes = bytesOf(zooms);
  const at = bytes * place;
  if (at + bytes > buffer.byteLength) throw new Error('The file of answers is shorter than it should be; load the page again.');
  const view = new DataView(buffer, at, bytes); // little-endian whatever the machine is, and at odd places
  const ids = new Int16Array(zooms * TOP);
  const ps = new Float32Array(zooms * TOP);
  for (let k = 0; k < ids.length; k += 1) {
    ids[k] = view.getInt16(2 * k, true);
    ps[k] = view.getUint16(2 * (ids.length + k), true) / 65535;
  }
  return { ids, ps, right: new Uint8Array(buffer.slice(at + 4 * ids.length, at + bytes)) };
}

/** Class and probability of the best answers at a zoom, best first; none where it was not shown. */
export function topOf(answers, zoom) {
  const found = [];
  if (!answers || zoom < 0 || answers.right[zoom] === NOT_SHOWN) return found;
  for (let k = zoom * TOP; k < (zoom + 1) * TOP; k += 1) {
    if (answers.ids[k] >= 0) found.push({ id: answers.ids[k], p: answers.ps[k] });
  }
  return found;
}

/** Zooms whose answer is right, those nearest to `from` first: steps of scale, row and column. */
export function fixes(grid, right, from) {
  const scales = [...new Set(grid.map((rule) => rule.scale))].sort((a, b) => a - b);
  const middle = grid[from] ?? grid[0];
  const steps = (zoom) => Math.abs(scales.indexOf(grid[zoom].scale) - scales.indexOf(middle.scale))
    + Math.abs(grid[zoom].row - middle.row) + Math.abs(grid[zoom].col - middle.col);
  return grid.map((_, zoom) => zoom).filter((zoom) => right[zoom] === RIGHT)
    .map((zoom) => [steps(zoom), zoom]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, zoom]) => zoom);
}

/** The place of a rule in its own grid, or of the same framing in another; −1 where there is none. */
export function sameIn(grid, rule) {
  if (!rule) return -1;
  const own = grid.indexOf(rule);
  return own >= 0 ? own : grid.findIndex((one) => one.scale === rule.scale && one.row === rule.row && one.col === rule.col
    && Boolean(one.flip) === Boolean(rule.flip));
}

/** The place of the 1-crop in a grid, else the first zoom. */
export const oneCrop = (grid) => Math.max(0, sameIn(grid, { scale: 256, row: 1, col: 1 }));
