// Parts of the page of one image: the best answers, which zooms fix it, what is known of it, images around it.
import { fixes, NOT_SHOWN, oneCrop, RIGHT, topOf } from './answers.js';
import { thumbUrl } from './data.js';
import { tallyOf } from './heat.js';
import { zoomText } from './picture.js';
import { Bar, ClassName, ClassNames, html, Link, Mark, nameOf, useMemo } from './ui.js';

const NEAREST = 12;
const AROUND = 4;

/** The five best answers at a zoom. */
export function TopFive({ answers, zoom, grid, classes, labels }) {
  if (zoom < 0) return html`<div class="top-five"><p class="soft">This model has no such zoom.</p></div>`;
  const found = topOf(answers, zoom);
  const state = answers.right[zoom] === NOT_SHOWN ? -1 : answers.right[zoom];
  return html`<div class="top-five">
    <p><${Mark} right=${state} /> ${['not shown', 'wrong', 'right'][state + 1]} at ${zoomText(grid[zoom])}</p>
    <ol>${found.map(({ id, p }, k) => html`<li key=${k}>
      <${ClassName} classes=${classes} id=${id} mark=${labels.includes(id) ? 'right' : null} />
      ${labels.includes(id) && html`<span class="unseen"> (a label)</span>`}
      <${Bar} value=${p} kind=${labels.includes(id) ? 'right' : 'none'} />
    </li>`)}</ol>
  </div>`;
}

/** How many zooms are right, and buttons for those nearest to the 1-crop. */
export function Fixes({ answers, grid, choose }) {
  if (grid.length < 2) return null;
  const { right, shown } = tallyOf(answers);
  const crop = oneCrop(grid);
  const nearest = fixes(grid, answers.right, crop);
  const was = answers.right[crop];
  const title = was === RIGHT ? 'Right already at the 1-crop' : right ? 'Zooms that fix it' : 'No zoom fixes it';
  return html`<div class="fixes">
    <h3>${title}</h3>
    <p>${right} of ${shown} zooms ${shown < grid.length ? 'that were shown ' : ''}are right.</p>
    ${nearest.length > 0 && html`<p class="soft">Nearest to the 1-crop (scale, row, column):</p><p class="fix-list">${nearest.slice(0, NEAREST).map((zoom) => html`<button type="button"
      key=${zoom} aria-label=${zoomText(grid[zoom])} onClick=${() => choose(zoom)}>${grid[zoom].scale}/${grid[zoom].row}/${grid[zoom].col}</button>`)}</p>`}
  </div>`;
}

/** What the signs of a map mean, and whether a zoom is pinned. */
export const Legend = ({ pinned }) => html`<p class="legend">
  <span><span class="heat-cell right sample"></span> right</span>
  <span><span class="heat-cell wrong sample"></span> wrong</span>
  <span><span class="heat-cell none sample"></span> not shown</span>
  <span><span class="heat-cell none crop sample"></span> the 1-crop</span>
  <span class="soft">Stronger: more confident. Bold: the scale at which the view spans the shorter side.</span>
  <span class="pin-text">${pinned ? html`<b>Pinned.</b> A click on it again, or Esc, lets go.` : 'A click on a cell pins its zoom.'}</span>
</p>`;

function evidence(columns, row) {
  const { answers, failed_zooms: failed, miners } = columns.evidence ?? {};
  return { answers: answers?.[row] ?? [], failed: failed?.[row] ?? [], miners: miners?.[row] ?? [] };
}

/** Label set with names, keys and synonyms, and what else the set says of the image. */
export function Facts({ columns, classes, row, set }) {
  const labels = columns.labels?.[row] ?? [];
  const mined = evidence(columns, row);
  const size = columns.width?.[row] > 0 ? `${columns.width[row]} × ${columns.height[row]} pixels` : null;
  const term = (name, value) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    <div><dt>${labels.length > 1 ? 'Label set' : 'Label'}</dt><dd>${labels.length ? html`<ul>${labels.map((id) => html`<li key=${id}>
      <b>${nameOf(classes, id)}</b> <code>${classes.keys?.[id] ?? id}</code>
      <span class="soft"> ${(classes.synonyms?.[id] ?? []).filter((word) => word !== nameOf(classes, id)).join(', ')}</span></li>`)}</ul>` : 'none'}</dd></div>
    ${term('Label source', set.label_sources?.join(', '))}
    ${term('Origin', columns.origins?.[columns.origin?.[row]])}
    ${term('Size', size)}
    ${columns.candidates?.[row]?.length > 0 && term('Other labels it may have', html`<${ClassNames} classes=${classes} ids=${[...new Set(columns.candidates[row])]} />`)}
    ${columns.suspect && Number.isFinite(columns.suspect[row]) && term('Suspect score', `${columns.suspect[row].toFixed(3)} ${columns.kind?.[row] ?? ''}`)}
    ${mined.miners.length > 0 && term('Miners', mined.miners.map((name, k) => (mined.failed[k] === undefined ? name : `${name}: wrong at ${mined.failed[k]} zooms`)).join('; '))}
    ${mined.answers.length > 0 && term('Their answers', html`<ul>${mined.answers.map(([id, share]) => html`<li key=${id}>
      <${ClassName} classes=${classes} id=${id} /> <${Bar} value=${share} kind="wrong" /></li>`)}</ul>`)}
  </dl>`;
}

function Strip({ title, rows, current = null, set, columns, classes, to }) {
  if (!rows.length) return null;
  return html`<section class="strip"><h2>${title}</h2><ul>${rows.map((row) => {
    const name = columns.labels?.[row]?.map((id) => nameOf(classes, id)).join(', ') || columns.id?.[row] || `image ${row}`;
    return html`<li key=${row}><${Link} to=${to(row)} title=${columns.id?.[row]} aria-current=${row === current ? 'true' : null}>
      <img src=${thumbUrl(set, row)} alt="" loading="lazy" /><span>${name}</span><//></li>`;
  })}</ul></section>`;
}

/** The first other images that have a label of an image. */
function ofSameLabel(columns, row) {
  const label = columns.labels?.[row]?.[0];
  const found = [];
  for (let k = 0; label !== undefined && k < columns.n && found.length < 2 * AROUND; k += 1) {
    if (k !== row && columns.labels[k].includes(label)) found.push(k);
  }
  return found;
}

/** Duplicates, images of the same label, and the images before and after. */
export function Around({ set, columns, classes, rows, place, row, to }) {
  const near = place < 0 ? [] : [...rows.slice(Math.max(0, place - AROUND), place + AROUND + 1)];
  const alike = useMemo(() => ofSameLabel(columns, row), [columns, row]);
  const shared = { set, columns, classes, to };
  return html`
    <${Strip} title="Duplicates" rows=${columns.duplicates?.[row] ?? []} ...${shared} />
    <${Strip} title="Neighbours in this order" rows=${near} current=${row} ...${shared} />
    <${Strip} title="Of the same label" rows=${alike} ...${shared} />`;
}
