// What every page uses: the drawing functions of Preact, names of classes, links, bars, keys, announcements.
import {
  html, render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from '../vendor/preact-htm.js';
import { format, go } from './route.js';

export { html, render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState };

/** The name of a class by its id; its key where it has no name. */
export const nameOf = (classes, id) => classes?.names?.[id] || classes?.keys?.[id] || (id < 0 ? 'no answer' : `class ${id}`);

/** Specs of models without their options, as far as that tells them apart. */
export function shortSpecs(specs) {
  const short = specs.map((spec) => spec.split(/[@,]/)[0]);
  return short.map((one, k) => (short.filter((other) => other === one).length > 1 ? specs[k] : one));
}

/** A class as text: its name, with key and synonyms on hover. */
export function ClassName({ classes, id, mark = null }) {
  const key = classes?.keys?.[id];
  const more = [key, ...(classes?.synonyms?.[id] ?? [])].filter(Boolean).join(', ');
  return html`<span class=${`class ${mark ?? ''}`} title=${more}>${nameOf(classes, id)}</span>`;
}

/** Several classes, with commas between them. */
export const ClassNames = ({ classes, ids, mark = null }) =>
  html`${(ids ?? []).map((id, k) => html`${k ? ', ' : ''}<${ClassName} key=${id} classes=${classes} id=${id} mark=${mark} />`)}`;

/** A link to a state of the page. */
export function Link({ to, children, replace = false, ...rest }) {
  const follow = (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to, { replace });
  };
  return html`<a href=${format(to)} onClick=${follow} ...${rest}>${children}</a>`;
}

/** A share from 0 to 1 as a bar, with its interval where one is given. */
export function Bar({ value, low = null, high = null, text = null, kind = 'accent' }) {
  if (!Number.isFinite(value)) return html`<span class="soft">–</span>`;
  const percent = (share) => `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
  return html`<span class="bar">
    <span class="bar-track" aria-hidden="true">
      <span class=${`bar-fill ${kind}`} style=${{ width: percent(value) }}></span>
      ${low !== null && high !== null
        && html`<span class="bar-interval" style=${{ left: percent(low), width: percent(high - low) }}></span>`}
    </span>
    <span class="bar-text">${text ?? percentText(value)}</span>
  </span>`;
}

export const percentText = (share, digits = 1) => (Number.isFinite(share) ? `${(100 * share).toFixed(digits)} %` : '–');
/** The interval of a share, in percent without the sign. */
export const intervalText = ({ low, high }) => `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)}`;
export const countText = (count) => Number(count).toLocaleString('en-US');

// Paths on a 16 × 16 field.
const PATHS = {
  right: 'M3 8.5 6.5 12 13 4.5',
  wrong: 'M4 4l8 8M12 4l-8 8',
  none: 'M4 8h8',
  previous: 'M10 3 5 8l5 5',
  next: 'M6 3l5 5-5 5',
  play: 'M5 3l8 5-8 5z',
  pause: 'M5 3v10M11 3v10',
  undo: 'M6 3 3 6l3 3M3 6h6a4 4 0 0 1 0 8H7',
  close: 'M4 4l8 8M12 4l-8 8',
};

/** A small drawing; hidden from screen readers unless it has a label. */
export function Icon({ name, label = null }) {
  const named = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  return html`<svg class=${`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" ...${named}><path d=${PATHS[name]} /></svg>`;
}

/** Right (1), wrong (0) or not shown (−1), by sign and colour. */
export const Mark = ({ right }) =>
  right === 1 ? html`<${Icon} name="right" label="right" />`
    : right === 0 ? html`<${Icon} name="wrong" label="wrong" />`
      : html`<${Icon} name="none" label="not shown" />`;

/** Says a text to screen readers. */
export function announce(text) {
  const region = document.getElementById('announcer');
  region?.replaceChildren(text); // a new text each time: the same one twice is said twice
}

const bindings = new Set(); // lists of keys of the components on the page

/** The keys that work now: `{keys, text}`. */
export const activeKeys = () => [...bindings].flatMap((list) => list.current);

const isTyping = (target) => target?.closest?.('input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable], dialog');

/**
 * Keys of a component, while it is on the page: a list of `{keys: ['j', 'ArrowRight'], text, run}`.
 * `run(event)` is not called while something is typed in a field; without it the key is only listed under `?`.
 */
export function useKeys(list) {
  const held = useRef(list);
  held.current = list;
  useEffect(() => {
    const onKey = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const found = held.current.find((entry) => entry.run && entry.keys.includes(event.key));
      if (!found) return;
      event.preventDefault();
      found.run(event);
    };
    bindings.add(held);
    addEventListener('keydown', onKey);
    return () => {
      bindings.delete(held);
      removeEventListener('keydown', onKey);
    };
  }, []);
}
