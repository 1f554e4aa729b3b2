// Pairs of classes as a table that can be searched and made longer; the images of one open under its line.
import { Text } from './controls.js';
import { thumbUrl } from './data.js';
import { classTexts, fold } from './filter.js';
import { announce, ClassName, countText, html, Link, nameOf, useEffect, useLayoutEffect, useMemo, useRef } from './ui.js';

const SHOWN = 24; // pictures of a list
const LINES = 30; // pairs of classes at first; twice as many each time

/** What a link says of a table, of none. */
export const NO_LINES = { cell: null, lines: null, find: null };

/** The first pictures of a list, and the way to all of them; `query` leaves the list in the grid. */
export function Thumbs({ set, columns, classes, rows, query, label }) {
  if (!rows.length) return null;
  return html`<ul class="thumbs" aria-label=${label}>${rows.slice(0, SHOWN).map((row) => {
    const name = columns.labels?.[row]?.map((id) => nameOf(classes, id)).join(', ') || columns.id?.[row] || `image ${row}`;
    return html`<li key=${row}><${Link} to=${{ page: 'image', set: set.key, row, query }} title=${columns.id?.[row]}>
      <img src=${thumbUrl(set, row)} alt="" loading="lazy" /><span>${name}</span><//></li>`;
  })}</ul><p><${Link} to=${{ page: 'grid', set: set.key, query }} aria-label=${`${label}: all in the grid`}>All ${countText(rows.length)} in the grid<//></p>`;
}

/** The images of a pair, right under its line and in sight. */
function Opened({ title, span, ...list }) {
  const root = useRef(null);
  useEffect(() => root.current?.scrollIntoView({ block: 'nearest' }), []);
  return html`<tr class="opened" ref=${root}><td colspan=${span}><div><h3>${title}</h3><${Thumbs} ...${list} label="Images of this pair" /></div></td></tr>`;
}

/** Those pairs of which each word of a text stands in one of the two classes: in a name, a synonym or a key. */
export function pairsNamed(pairs, classes, text) {
  const words = fold(text ?? '').split(/\s+/).filter(Boolean);
  const texts = classTexts(classes);
  return pairs.filter(({ first, second }) => words.every((word) => texts[first]?.includes(word) || texts[second]?.includes(word)));
}

/**
 * Pairs, the first ones of those that `query.find` leaves. heads: of the two classes; between: a word between them.
 * share(pair): a cell of its own, with its head. link(pair): the query that leaves its images in the grid.
 */
export function PairTable({ name, set, columns, classes, pairs, query, change, heads, between, link, shareHead = null, share = null }) {
  const found = useMemo(() => pairsNamed(pairs, classes, query.find), [pairs, classes, query.find]);
  const lines = Math.max(LINES, Math.floor(Number(query.lines)) || 0);
  const shown = found.slice(0, lines);
  const body = useRef(null);
  const next = useRef(-1); // the line that gets the focus, once it is there
  useLayoutEffect(() => {
    if (next.current < 0) return;
    body.current?.querySelectorAll('button')[next.current]?.focus();
    next.current = -1;
  });
  const key = (one) => `${one.first}-${one.second}`;
  const text = (one) => `${nameOf(classes, one.first)} ${between} ${nameOf(classes, one.second)}`;
  const longer = () => {
    next.current = body.current.querySelectorAll('tr:not(.opened)').length;
    announce(`${Math.min(found.length, 2 * lines)} of ${found.length} pairs`);
    change({ lines: 2 * lines, cell: null }, true);
  };
  const count = query.find ? `${countText(found.length)} of ${countText(pairs.length)} pairs` : `${countText(pairs.length)} pairs`;
  return html`<div class="find-pairs"><${Text} label="Search the classes" value=${query.find} placeholder="name, synonym or key"
      set=${(value, replace) => change({ find: value || null, lines: null, cell: null }, replace)} />
      <p class="soft" role="status">${count}${shown.length < found.length ? `, the first ${countText(shown.length)} shown` : ''}</p></div>
    ${found.length > 0 && html`<div class="wide" tabindex="0" role="region" aria-label=${name}><table class="numbers confusion">
      <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}<th scope="col">Images</th>
        ${share && html`<th scope="col">${shareHead}</th>`}<th scope="col"><span class="unseen">In the grid</span></th></tr></thead>
      <tbody ref=${body}>${shown.map((one) => {
        const open = key(one) === query.cell;
        return html`<tr key=${key(one)}>
          <td><${ClassName} classes=${classes} id=${one.first} /></td><td><${ClassName} classes=${classes} id=${one.second} /></td>
          <td><button type="button" class="quiet" aria-expanded=${open} aria-label=${`${one.rows.length} images: ${text(one)}`}
            onClick=${() => change({ cell: open ? null : key(one) })}>${countText(one.rows.length)}</button></td>
          ${share && html`<td>${share(one)}</td>`}
          <td><${Link} to=${{ page: 'grid', set: set.key, query: link(one) }} aria-label=${`${text(one)}: in the grid`}><span class="wider">in the </span>grid<//></td></tr>
          ${open && html`<${Opened} key=${`images ${key(one)}`} title=${text(one)} span=${share ? 5 : 4}
            set=${set} columns=${columns} classes=${classes} rows=${one.rows} query=${link(one)} />`}`;
      })}</tbody>
    </table></div>`}
    ${shown.length < found.length && html`<p><button type="button" onClick=${longer}>Show ${countText(Math.min(lines, found.length - shown.length))} more</button></p>`}`;
}
