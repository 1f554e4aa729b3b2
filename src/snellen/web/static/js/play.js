// Plays through the scales of a grid: one step after another at the same place, and round again.
import { html, Icon, useEffect } from './ui.js';

/** The zoom after this one at the same row and column, in the order of scales; the first after the last. */
export function following(grid, zoom, by = 1) {
  const here = grid[zoom];
  const line = grid.map((rule, k) => [rule, k]).filter(([rule]) => rule.row === here.row && rule.col === here.col
    && Boolean(rule.flip) === Boolean(here.flip))
    .sort((a, b) => a[0].scale - b[0].scale).map(([, k]) => k);
  return line[(line.indexOf(zoom) + by + line.length) % line.length];
}

const PACE = 450; // milliseconds a scale

/** A button that starts and stops; `step` is called for each scale. */
export function Play({ step, playing, setPlaying }) {
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => step(1), PACE);
    return () => clearInterval(timer);
  }, [playing, step]);
  return html`<button type="button" onClick=${() => setPlaying(!playing)}>
    <${Icon} name=${playing ? 'pause' : 'play'} /> ${playing ? 'Stop' : 'Play through the scales'}
  </button>`;
}
