// All images of a set that a query leaves, as a grid of which only the cells in the window are drawn.
import { Controls } from './controls.js';
import { thumbUrl } from './data.js';
import { select, waits } from './filter.js';
import { format, go } from './route.js';
import { fullHeight, reveal, tile, visible } from './tiling.js';
import {
  announce, countText, html, Mark, nameOf, useCallback, useEffect, useKeys, useLayoutEffect, useMemo, useRef, useState,
} from './ui.js';
import { useVerdicts } from './verdicts.js';

const REST = 60; // milliseconds that a cell is in the window before its picture is fetched: a drag past fetches none
const WRITE = 250; // milliseconds of rest before the place is written into the link
const seen = new Set(); // addresses that the browser has fetched
const NONE = new Int32Array(0);

/** The small picture of a row; nothing is fetched for one that was only scrolled past. An older version stays until then. */
function Thumb({ address, error }) {
  const [source, setSource] = useState(seen.has(address) ? address : null);
  const [failed, setFailed] = useState(false);
  const image = useRef(null);
  useEffect(() => {
    if (source === address) return undefined;
    const timer = setTimeout(() => setSource(address), REST);
    return () => clearTimeout(timer);
  }, [address]);
  useEffect(() => () => image.current?.complete === false && image.current.removeAttribute('src'), []);
  if (error || failed) return html`<span class="thumb unread">${error ? 'cannot be read' : 'no picture'}</span>`;
  return html`<span class="thumb">${source && html`<img ref=${image} alt="" src=${source} draggable=${false}
    onLoad=${() => seen.add(source)} onError=${() => setFailed(true)} />`}</span>`;
}

/** What the models made of one image, by sign and number. */
function Signs({ models, row }) {
  return html`<span class="signs">${models.map((model) => {
    const right = model.columns.right[row] ?? -1;
    const wins = model.zooms > 1 && right !== -1 ? model.columns.winning[row] : null;
    const said = ['not shown', 'wrong', 'right'][right + 1] + (wins === null ? '' : ` at 1-crop, right at ${wins} of ${model.zooms} zooms`);
    return html`<span key=${model.key} class="sign" title=${`${model.name}: ${said}`}><${Mark} right=${right} />${wins}</span>`;
  })}</span>`;
}

function Cell({ set, columns, classes, models, row, place, count, style, focused, status, query }) {
  const labels = columns.labels?.[row] ?? [];
  const name = labels.map((label) => nameOf(classes, label)).join(', ') || columns.id?.[row] || `image ${row}`;
  const error = columns.error?.[row];
  return html`<li class="cell" style=${style} aria-posinset=${place + 1} aria-setsize=${count}>
    <a href=${format({ page: 'image', set: set.key, row, query })} data-place=${place} tabindex=${focused ? 0 : -1}
      title=${[columns.id?.[row], name, error].filter(Boolean).join('\n')}>
      <${Thumb} key=${row} address=${thumbUrl(set, row)} error=${error} />
      <span class="caption">${name}</span>
      <span class="under"><${Signs} models=${models} row=${row} />${status && html`<span class=${`status ${status}`}>${status}</span>`}</span>
    </a>
  </li>`;
}

/** Width and height of an element, as they change, and how many times 16 pixels letters are. */
function useSize(ref) {
  const [size, setSize] = useState([0, 0, 1]);
  useLayoutEffect(() => {
    const measure = () => setSize([ref.current.clientWidth, ref.current.clientHeight, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16]);
    const observer = new ResizeObserver(measure);
    observer.observe(ref.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return size;
}

export function Grid({ site, set, columns, classes, models, pending, route }) {
  const { query } = route;
  const { at, size, ...asked } = query;
  const verdicts = useVerdicts(site, columns.key !== undefined);
  const data = useMemo(() => ({ columns, classes, models, verdicts }), [columns, classes, models, verdicts]);
  const waiting = waits(data, asked, pending);
  const rows = useMemo(() => (waiting ? NONE : select(data, asked)), [data, waiting, format({ query: asked })]);
  const scroller = useRef(null);
  const [width, height, scale] = useSize(scroller);
  const [top, setTop] = useState(0);
  const [focus, setFocus] = useState(0);
  const tiling = tile(Math.max(1, width), height, size, scale);
  const [from, to] = visible(tiling, rows.length, top);
  const current = Math.min(focus, Math.max(0, rows.length - 1));
  const change = useCallback((changes, replace = false) => {
    go({ ...route, page: 'grid', row: null, query: { ...query, at: null, ...changes } }, { replace });
  }, [format(route)]);

  // A link, or the way back, says where the window begins; another list begins at its top.
  const list = `${format({ query: asked })} ${tiling.columns} ${waiting}`;
  // The window moves by half rows: nothing is drawn again for a pixel.
  const look = () => {
    const half = tiling.rowHeight / 2;
    setTop(Math.floor(scroller.current.scrollTop / half) * half);
  };
  const written = useRef(null);
  useLayoutEffect(() => {
    if (!width || waiting || written.current === `${list} ${at ?? ''}`) return;
    written.current = `${list} ${at ?? ''}`;
    const start = Math.floor(Number(at ?? 0) / tiling.columns) * tiling.rowHeight || 0;
    scroller.current.scrollTop = start;
    look();
    setFocus(Number(at ?? 0) || 0);
  }, [list, at, width > 0]);
  const write = () => {
    const place = Math.round(top / tiling.rowHeight) * tiling.columns;
    if (!width || waiting || place === Number(at ?? 0)) return;
    written.current = `${list} ${place || ''}`;
    go({ ...route, page: 'grid', query: { ...query, at: place || null } }, { replace: true });
  };
  useEffect(() => {
    const timer = setTimeout(write, WRITE);
    return () => clearTimeout(timer);
  }, [top]);
  useEffect(() => { if (!waiting) announce(`${countText(rows.length)} images`); }, [rows.length, waiting]);

  const moved = useRef(false);
  const move = (by) => {
    const next = Math.max(0, Math.min(rows.length - 1, current + by));
    moved.current = true;
    setFocus(next);
    const start = reveal(tiling, next, scroller.current.scrollTop, height);
    if (start !== scroller.current.scrollTop) scroller.current.scrollTop = start;
    look();
  };
  useLayoutEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    scroller.current.querySelector(`[data-place="${current}"]`)?.focus({ preventScroll: true });
  }, [current, top]);
  const page = tiling.columns * Math.max(1, Math.floor(height / tiling.rowHeight));
  useKeys([
    { keys: ['/'], text: 'Search', run: () => document.getElementById('search')?.focus() },
    { keys: ['ArrowLeft'], text: 'Previous image', run: () => move(-1) },
    { keys: ['ArrowRight'], text: 'Next image', run: () => move(1) },
    { keys: ['ArrowUp'], text: 'Image above', run: () => move(-tiling.columns) },
    { keys: ['ArrowDown'], text: 'Image below', run: () => move(tiling.columns) },
    { keys: ['PageUp'], text: 'A window up', run: () => move(-page) },
    { keys: ['PageDown'], text: 'A window down', run: () => move(page) },
    { keys: ['Home'], text: 'First image', run: () => move(-rows.length) },
    { keys: ['End'], text: 'Last image', run: () => move(rows.length) },
    { keys: ['Enter'], text: 'Open the image' },
  ]);
  const open = (event) => {
    const link = event.target.closest('a[data-place]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    write(); // the way back leads to this place
    go({ page: 'image', set: set.key, row: rows[Number(link.dataset.place)], query: asked });
  };

  const cells = [];
  const side = width / tiling.columns;
  for (let place = from; place < to; place += 1) {
    const row = rows[place];
    const style = {
      transform: `translate(${(place % tiling.columns) * side}px, ${Math.floor(place / tiling.columns) * tiling.rowHeight}px)`,
      width: `${side}px`,
      height: `${tiling.rowHeight}px`,
    };
    const status = columns.key && (verdicts?.images?.[columns.key[row]]?.status ?? null);
    cells.push(html`<${Cell} key=${row} set=${set} columns=${columns} classes=${classes} models=${models} row=${row} query=${asked}
      place=${place} count=${rows.length} style=${style} focused=${place === current || (place === from && (current < from || current >= to))}
      status=${status} />`);
  }
  return html`
    <h1 class="unseen">Images of ${set.name}</h1>
    <${Controls} site=${site} set=${set} columns=${columns} classes=${classes} models=${models} query=${query}
      count=${waiting ? null : rows.length} change=${change} />
    <div class="scroller" ref=${scroller} onScroll=${look}>
      ${waiting ? html`<p class="loading">Loading …</p>`
        : rows.length === 0 ? html`<p class="empty">No image is left by these filters.</p>`
        : html`<ul class="cells" style=${{ height: `${fullHeight(tiling, rows.length)}px` }} onClick=${open}>${cells}</ul>`}
    </div>`;
}
