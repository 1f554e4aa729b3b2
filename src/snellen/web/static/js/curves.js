// Numbers of the plots: accuracy by scale from the counts of single zooms; pure.

const Z = 1.959963984540054; // of a two-sided interval of 95 %

/** Wilson's 95 % interval of a share of `k` in `n`: `[low, high]`; 0 … 1 where n is 0. */
export function wilson(k, n) {
  if (!n) return [0, 1];
  const centre = (k + Z ** 2 / 2) / (n + Z ** 2);
  const half = (Z / (n + Z ** 2)) * Math.sqrt((k * (n - k)) / n + Z ** 2 / 4);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/**
 * Right answers at each scale of a grid of nine anchors, as shares, scales ascending:
 * `[{scale, centre, low, high, best, worst}]`; low and high: the interval of the centre.
 */
export function byScale(grid, zooms) {
  if (!grid?.length || !zooms?.n || grid.length !== zooms.k.length) return [];
  const found = new Map();
  grid.forEach(({ scale, row, col }, zoom) => {
    const share = zooms.k[zoom] / zooms.n;
    const point = found.get(scale) ?? { scale, centre: null, low: null, high: null, best: -Infinity, worst: Infinity };
    if (row === 1 && col === 1) {
      point.centre = share;
      [point.low, point.high] = wilson(zooms.k[zoom], zooms.n);
    }
    point.best = Math.max(point.best, share);
    point.worst = Math.min(point.worst, share);
    found.set(scale, point);
  });
  return [...found.values()].sort((a, b) => a.scale - b.scale);
}

/** Counts of images by number of winning zooms, in `bins` equal parts of 1 … zooms after a part of its own for none. */
export function histogram(winning, zooms, bins) {
  const counts = [{ from: 0, to: 0, count: 0 }];
  for (let k = 0; k < bins; k += 1) {
    counts.push({ from: 1 + Math.floor((k * zooms) / bins), to: Math.floor(((k + 1) * zooms) / bins), count: 0 });
  }
  for (const wins of winning) {
    if (wins === 0) counts[0].count += 1;
    else if (wins > 0) counts[Math.min(bins, Math.ceil((wins * bins) / zooms))].count += 1;
  }
  return counts;
}
