// The map of one model's answers to an image: a line for each scale, nine places, right or wrong and how sure.
import { NOT_SHOWN, RIGHT, topOf } from './answers.js';
import { placeText, zoomText } from './picture.js';
import { html, nameOf, useEffect, useMemo, useRef } from './ui.js';

const SIGNS = ['wrong', 'right', 'none'];
const WORDS = ['wrong', 'right', 'not shown'];

const isCrop = ({ scale, row, col, flip }) => scale === 256 && row === 1 && col === 1 && !flip;

/** Lines of the map: zooms by scale, in the order of rows and columns. */
export function linesOf(grid) {
  const lines = new Map();
  grid.forEach((rule, zoom) => {
    if (!lines.has(rule.scale)) lines.set(rule.scale, []);
    lines.get(rule.scale).push(zoom);
  });
  return [...lines].sort((a, b) => a[0] - b[0])
    .map(([scale, zooms]) => ({ scale, zooms: zooms.sort((a, b) => 3 * (grid[a].row - grid[b].row) + grid[a].col - grid[b].col) }));
}

/** The zoom that a key leads to from `zoom`, or null for a key that means nothing here. */
export function moved(lines, zoom, key) {
  const line = lines.findIndex((one) => one.zooms.includes(zoom));
  const col = line < 0 ? 0 : lines[line].zooms.indexOf(zoom);
  const at = (row, place) => {
    const zooms = lines[Math.max(0, Math.min(lines.length - 1, row))].zooms;
    return zooms[Math.max(0, Math.min(zooms.length - 1, place))];
  };
  switch (key) {
    case 'ArrowUp': return at(line - 1, col);
    case 'ArrowDown': return at(line + 1, col);
    case 'ArrowLeft': return at(line, col - 1);
    case 'ArrowRight': return at(line, col + 1);
    case 'Home': return at(line, 0);
    case 'End': return at(line, Infinity);
    case 'PageUp': return at(0, col);
    case 'PageDown': return at(Infinity, col);
    default: return null;
  }
}

/** Whether every line has the nine places, in order: then its columns can be named. */
export const hasPlaces = (grid, lines) => lines.every(({ zooms }) => zooms.length === 9
  && zooms.every((zoom, place) => 3 * grid[zoom].row + grid[zoom].col === place));

/** What a cell says. */
export function cellText(grid, answers, zoom, classes) {
  const best = topOf(answers, zoom)[0];
  const said = best ? `: ${nameOf(classes, best.id)}, ${Math.round(100 * best.p)} %` : '';
  return `${zoomText(grid[zoom])}, ${WORDS[answers.right[zoom]]}${said}${isCrop(grid[zoom]) ? ', 1-crop' : ''}`;
}

/** Nine small pictures of where a column looks. */
function Head({ grid, zooms }) {
  return html`<div role="row" class="heat-line">
    <span role="columnheader" class="heat-scale">scale</span>
    ${zooms.map((zoom, place) => html`<span role="columnheader" key=${place} class=${`heat-place${place % 3 === 0 ? ' first' : ''}`}
      title=${placeText(grid[zoom])}><span class="unseen">${placeText(grid[zoom])}</span><svg viewBox="0 0 13 13" width="13" height="13" aria-hidden="true">
        <rect class="frame" x=".5" y=".5" width="12" height="12" />
        <rect x=${1 + 4 * grid[zoom].col} y=${1 + 4 * grid[zoom].row} width="3" height="3" /></svg></span>`)}
  </div>`;
}

function Line({ line, grid, answers, classes, chosen, focus, pinned }) {
  return useMemo(() => html`<div role="row" class="heat-line">
    <span role="rowheader" class=${line.scale === 224 ? 'heat-scale same' : 'heat-scale'}>${line.scale}</span>
    ${line.zooms.map((zoom, place) => {
      const sign = SIGNS[answers.right[zoom]];
      const sure = answers.right[zoom] === NOT_SHOWN ? 0 : answers.ps[5 * zoom];
      return html`<span role="gridcell" key=${zoom} data-zoom=${zoom} class=${`heat-cell ${sign}${place % 3 === 0 ? ' first' : ''}${isCrop(grid[zoom]) ? ' crop' : ''}${pinned && zoom === chosen ? ' pinned' : ''}`}
        tabindex=${zoom === focus ? 0 : -1} aria-selected=${zoom === chosen ? 'true' : 'false'}
        aria-label=${cellText(grid, answers, zoom, classes)} style=${{ '--sure': `${Math.round(15 + 85 * sure)}%` }}></span>`;
    })}
  </div>`, [line, answers, classes, chosen, focus, pinned]);
}

/**
 * choose(zoom) is called as the pointer or the keys move; while a zoom is pinned, by the keys alone. pin(zoom) is called
 * by a click or Enter: a click on the one that is pinned lets it go. Without it nothing can be pinned.
 */
export function Heat({ name, grid, answers, classes, zoom, choose, pinned = false, pin = null }) {
  const lines = useMemo(() => linesOf(grid), [grid]);
  const root = useRef(null);
  const moving = useRef(false);
  const focus = zoom >= 0 ? zoom : lines[0].zooms[0];
  useEffect(() => {
    if (!moving.current) return;
    moving.current = false;
    root.current?.querySelector(`[data-zoom="${focus}"]`)?.focus();
  }, [focus]);
  const under = (event) => event.target.closest?.('[data-zoom]');
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !under(event)) return;
    const at = Number(under(event).dataset.zoom);
    const pins = pin && (event.key === 'Enter' || event.key === ' ');
    const next = pins ? at : moved(lines, at, event.key);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation(); // the page has the arrows for other images
    if (pins) pin(at);
    if (pins || next === focus) return;
    moving.current = true;
    choose(next);
  };
  const onPoint = (event) => !pinned && under(event) && choose(Number(under(event).dataset.zoom));
  const onClick = (event) => pin && under(event) && pin(Number(under(event).dataset.zoom));
  const own = (zooms) => (zooms.includes(zoom) ? zoom : -1);
  return html`<div class="heat" role="grid" aria-label=${`Answers of ${name}, a line for each scale`} ref=${root}
      onKeyDown=${onKey} onPointerOver=${onPoint} onPointerDown=${onPoint} onfocusin=${onPoint} onClick=${onClick}>
    ${hasPlaces(grid, lines) && html`<${Head} grid=${grid} zooms=${lines[0].zooms} />`}
    ${lines.map((line) => html`<${Line} key=${line.scale} line=${line} grid=${grid} answers=${answers} classes=${classes}
      chosen=${own(line.zooms)} focus=${line.zooms.includes(focus) ? focus : -1} pinned=${pinned && line.zooms.includes(zoom)} />`)}
  </div>`;
}

/** How many zooms are right, of how many shown. */
export function tallyOf(answers) {
  let right = 0;
  let shown = 0;
  for (const one of answers.right) {
    right += one === RIGHT;
    shown += one !== NOT_SHOWN;
  }
  return { right, shown };
}
