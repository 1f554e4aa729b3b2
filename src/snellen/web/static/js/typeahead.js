// Finds classes as somebody types: by name, synonym and key (wnid), over all classes of a space; and the field for it.
import { html, useLayoutEffect, useRef } from './ui.js';

const MOST = 12;

const plain = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(/[\s_-]+/g, ' ').trim();

/** What is searched, made once for a class space: `{keys, names, synonyms}`. */
export function indexed({ keys, names, synonyms }) {
  return keys.map((key, id) => ({
    id, key: plain(key), name: plain(names[id] ?? ''), synonyms: (synonyms?.[id] ?? []).map(plain),
  }));
}

/**
 * Ids of the classes that a text may mean, the likeliest first, `most` at most.
 * Every word of the text has to begin a word of the key, the name or a synonym; failing that, to stand inside one.
 */
export function found(index, text, most = MOST) {
  const query = plain(text);
  if (!query) return [];
  const words = query.split(' ');
  const ranked = [];
  for (const entry of index) {
    const rank = rankOf(entry, query, words);
    if (rank !== null) ranked.push([rank, entry.name.length, entry.id]);
  }
  ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return ranked.slice(0, most).map(([, , id]) => id);
}

function rankOf({ key, name, synonyms }, query, words) {
  if (name === query || key === query) return 0;
  if (synonyms.includes(query)) return 1;
  if (name.startsWith(query)) return 2;
  if (synonyms.some((one) => one.startsWith(query))) return 3;
  if (key.startsWith(query)) return 4;
  const begins = (text, word) => text.startsWith(word) || text.includes(` ${word}`);
  if (words.every((word) => begins(name, word))) return 5;
  const all = [key, name, ...synonyms];
  if (words.every((word) => all.some((text) => begins(text, word)))) return 6;
  return words.every((word) => all.some((text) => text.includes(word))) ? 7 : null;
}

/**
 * The field for labels: a combobox.
 *
 * What is typed is in `picker` at once, not after the next drawing: keys may come faster than that.
 * picker: `{text, at}`; matches(): ids for its text; onPick(id), onRemoveLast(), onDone(), onLeave(), onType(),
 * onNone(text): what keys do.
 */
export function ClassField({ field, picker, matches, classes, onPick, onRemoveLast, onDone, onLeave, onType, onNone }) {
  const shown = matches();
  const list = useRef(null);
  useLayoutEffect(() => {
    list.current?.children[picker.at]?.scrollIntoView({ block: 'nearest' });
  });
  const pick = (id) => {
    picker.text = '';
    picker.at = 0;
    onPick(id);
  };
  const onKey = (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    picker.text = event.target.value;
    const ids = matches();
    const move = (step) => { picker.at = (picker.at + step + ids.length) % Math.max(1, ids.length); };
    const keys = {
      Enter: () => {
        if (!picker.text.trim()) onDone();
        else if (ids.length) pick(ids[Math.min(picker.at, ids.length - 1)]);
        else onNone(picker.text.trim());
      },
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      Escape: () => { picker.text = ''; picker.at = 0; onLeave(); },
    };
    if (event.key === 'Backspace' && !picker.text) {
      onRemoveLast();
      return;
    }
    if (!keys[event.key]) return;
    event.preventDefault();
    onType();
    keys[event.key]();
    event.target.value = picker.text;
  };
  const onInput = (event) => {
    picker.text = event.target.value;
    picker.at = 0;
    onType();
  };
  const option = (k) => `review-class-${k}`;
  return html`<div class="review-field">
    <input ref=${field} type="text" role="combobox" aria-label="labels: a class by name, synonym or key"
      aria-expanded=${shown.length ? 'true' : 'false'} aria-controls="review-classes" aria-autocomplete="list"
      aria-activedescendant=${shown.length ? option(picker.at) : null} autocomplete="off" autocapitalize="off"
      spellcheck="false" placeholder="another class …" value=${picker.text} onKeyDown=${onKey} onInput=${onInput} />
    <ul id="review-classes" role="listbox" aria-label="classes" ref=${list} hidden=${!shown.length}>
      ${shown.map((id, k) => html`<li key=${id} id=${option(k)} role="option" aria-selected=${k === picker.at ? 'true' : 'false'}
        onMouseDown=${(event) => { event.preventDefault(); pick(id); }}>
        <b>${classes.names[id]}</b> <span class="soft">${classes.names[id].endsWith(`(${classes.keys[id]})`) ? '' : classes.keys[id]}</span>
        <span class="soft"> ${(classes.synonyms?.[id] ?? []).filter((one) => one !== classes.names[id]).join(', ')}</span>
      </li>`)}
    </ul>
  </div>`;
}
