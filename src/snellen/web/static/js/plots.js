// Curves by Observable Plot, which is fetched only where one is drawn; and 3 × 3 maps of places.
import { byScale } from './curves.js';
import { countText, html, intervalText, percentText, useEffect, useRef, useState } from './ui.js';

const VENDOR = new URL('../vendor/', import.meta.url);
const COLOURS = ['var(--line-1)', 'var(--line-2)', 'var(--line-3)', 'var(--line-4)', 'var(--line-5)', 'var(--line-6)'];
const DASHES = [null, '6 3', '2 3', '8 3 2 3', '12 4', '4 2'];
let plot = null;

function script(name) {
  return new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = new URL(name, VENDOR).href;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${name} could not be loaded`));
    document.head.append(element);
  });
}

/** Observable Plot, loaded once. */
function loadPlot() {
  plot ??= script('d3.min.js').then(() => script('plot.umd.min.js')).then(() => globalThis.Plot);
  plot.catch(() => { plot = null; });
  return plot;
}

export const colourOf = (k) => COLOURS[k % COLOURS.length];

/** Accuracy over the scales at the centre, with the span over the nine places: a line for each model. */
export function ZoomCurves({ models }) {
  const place = useRef(null);
  const [width, setWidth] = useState(0);
  const [failed, setFailed] = useState(null);
  const series = models.map((model, k) => ({ name: model.name, k, n: model.columns.zooms?.n, points: byScale(model.grid, model.columns.zooms) }))
    .filter((one) => one.points.length > 1);
  const name = JSON.stringify(series);
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(Math.min(900, Math.floor(place.current.clientWidth))));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    let current = true;
    if (!width || !series.length) return undefined;
    loadPlot().then((Plot) => {
      if (!current) return;
      const drawn = Plot.plot({
        className: 'plot',
        width,
        height: Math.max(220, Math.round(width * 0.36)),
        marginTop: 30,
        marginLeft: 44,
        marginBottom: 38,
        ariaLabel: 'Accuracy by scale',
        ariaDescription: series.map((one) => describe(one)).join(' '),
        x: { type: 'log', label: 'scale, shorter side in pixels', tickFormat: (scale) => String(scale), ticks: width < 500 ? 4 : 8 },
        y: { label: 'right, %', percent: true, domain: [0, 100], grid: true },
        marks: [
          ...series.map((one) => Plot.areaY(one.points, { x: 'scale', y1: 'worst', y2: 'best', fill: colourOf(one.k), fillOpacity: 0.1 })),
          ...series.map((one) => Plot.lineY(one.points, {
            x: 'scale', y: 'centre', stroke: colourOf(one.k), strokeWidth: 1.75, strokeDasharray: DASHES[one.k % DASHES.length],
          })),
          ...series.map((one) => Plot.ruleX(one.points.filter((point) => point.low !== null), {
            x: 'scale', y1: 'low', y2: 'high', stroke: colourOf(one.k), strokeWidth: 1.25,
          })),
        ],
      });
      // Plot writes rules of its own into the drawing, which the page's security policy forbids; style.css has them.
      for (const style of drawn.querySelectorAll('style')) style.remove();
      // The drawing has one description; those of its parts name only the kind of mark.
      for (const part of drawn.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label');
      drawn.setAttribute('role', 'img');
      place.current.replaceChildren(drawn);
    }, (error) => current && setFailed(error.message));
    return () => { current = false; };
  }, [name, width]);
  return html`<figure class="curves">
    <div ref=${place} class="plot-place"></div>
    ${failed && html`<p>${failed}</p>`}
    <figcaption>Share of images that the centre view gets right at each scale; the band is the span over the nine places,
      an upright stroke the 95 % interval of the centre.
      <span class="key">${series.map((one) => html`<span key=${one.name}><svg width="28" height="8" aria-hidden="true"><line x1="0" x2="28" y1="4" y2="4"
        stroke-width="2" style=${{ stroke: colourOf(one.k), strokeDasharray: DASHES[one.k % DASHES.length] ?? 'none' }} /></svg> ${one.name}, ${countText(one.n)} images</span>`)}</span>
    </figcaption>
  </figure>`;
}

function describe({ name, n, points }) {
  const best = points.reduce((a, b) => ((b.centre ?? 0) > (a.centre ?? 0) ? b : a));
  return `${name}: at its best at scale ${best.scale}, ${percentText(best.centre)}, 95 % interval ${intervalText(best)} %, ${countText(n)} images.`;
}

/** Shares by place, 3 × 3, the darker the more; `cells` as {n, value, low, high}. */
export function PlaceMap({ name, cells }) {
  if (!Array.isArray(cells) || cells.length !== 3) return null;
  const shares = cells.flat().map((cell) => cell.value);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  const depth = (share) => (most > least ? 0.08 + (0.36 * (share - least)) / (most - least) : 0.2);
  return html`<table class="place-map"><caption>${name}<small>${countText(cells[0][0].n)} images, 95 % intervals in %</small></caption><tbody>
    ${cells.map((line, row) => html`<tr key=${row}>${line.map((cell, col) => html`<td key=${col}>
      <span class="shade" style=${{ opacity: depth(cell.value) }} aria-hidden="true"></span>
      <span>${percentText(cell.value)}<small>${intervalText(cell)}</small></span></td>`)}</tr>`)}
  </tbody></table>`;
}
