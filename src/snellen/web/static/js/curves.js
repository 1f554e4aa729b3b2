// Numbers of the plots: accuracy by scale from the counts of single zooms; pure.

/** Right answers at each scale of a grid of nine anchors: `[{scale, centre, best, worst}]`, shares, scales ascending. */
export function byScale(grid, zooms) {
  if (!grid?.length || !zooms?.n || grid.length !== zooms.k.length) return [];
  const found = new Map();
  grid.forEach(({ scale, row, col }, zoom) => {
    const share = zooms.k[zoom] / zooms.n;
    const point = found.get(scale) ?? { scale, centre: null, best: -Infinity, worst: Infinity };
    if (row === 1 && col === 1) point.centre = share;
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
