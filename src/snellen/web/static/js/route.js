// The state of the page as a link: `#/SET/PAGE/ROW?key=value`. Back and forward are the browser's own.
import { useEffect, useState } from '../vendor/preact-htm.js';

export const PAGES = ['overview', 'grid', 'image', 'confusions', 'compare', 'review'];
const listeners = new Set();

const decode = (text) => {
  try {
    return decodeURIComponent(text.replace(/\+/g, ' '));
  } catch {
    return text;
  }
};
const encode = (text) => encodeURIComponent(text).replace(/%20/g, '+').replace(/%2C/g, ',');

/** The state that a hash stands for; what it does not say is null, an unknown page is the overview. */
export function parse(hash) {
  const text = hash.replace(/^#?\/?/, '');
  const cut = text.indexOf('?');
  const path = cut < 0 ? text : text.slice(0, cut);
  const [set, page, row] = path.split('/').map(decode);
  const query = {};
  for (const pair of cut < 0 ? [] : text.slice(cut + 1).split('&')) {
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    if (name && name !== '__proto__') query[name] = at < 0 ? '' : decode(pair.slice(at + 1));
  }
  return {
    page: PAGES.includes(page) ? page : 'overview',
    set: set || null,
    row: /^\d{1,9}$/.test(row ?? '') ? Number(row) : null,
    query,
  };
}

/** The hash of a state. Empty values are left out, so that a state has one link. */
export function format({ page = 'overview', set = null, row = null, query = {} }) {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encode(name)}=${encode(String(value))}`);
  const path = set ? [set, page, ...(row === null ? [] : [row])].map((part) => encode(String(part))) : [];
  return `#/${path.join('/')}${pairs.length ? `?${pairs.join('&')}` : ''}`;
}

/** Goes to a state: a new entry of the browser's history, or in place of the present one. */
export function go(state, { replace = false } = {}) {
  const hash = format(state);
  if (hash === location.hash) return;
  const before = parse(location.hash).page;
  history[replace ? 'replaceState' : 'pushState'](null, '', hash);
  if (!replace && parse(hash).page !== before) scrollTo(0, 0);
  for (const listener of [...listeners]) listener();
}

/** The present state; the component is drawn again when it changes. */
export function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const listener = () => setHash(location.hash);
    listeners.add(listener);
    addEventListener('hashchange', listener);
    addEventListener('popstate', listener);
    listener();
    return () => {
      listeners.delete(listener);
      removeEventListener('hashchange', listener);
      removeEventListener('popstate', listener);
    };
  }, []);
  return parse(hash);
}
