// Which images are shown and in which order: pure functions over columns, from the query of a link.
//
// q free text over image names, class names, synonyms and keys · label, says: class keys · origin · m: the model that
// right, wins, says and confidence are about · right: 1, 0, -1 (at 1-crop) · wins: from-to · differ: answer, right ·
// only: the model alone is right, at the crop or at some of its zooms · said: what models answer at the 1-crop,
// as `m0-12,m1-40` · mistake: a label and what the model takes it for, `crop-12-40` or `zooms-12-40` · suspect: least score · kind · verdict · state: error, duplicates · sort, down.

import { anyZoom, atCrop, isAlone, isMistake, mistakeFrom } from './pairs.js';
import { isUnsure } from './standing.js';

export const FILTERS = ['q', 'label', 'origin', 'right', 'wins', 'says', 'differ', 'only', 'said', 'mistake', 'suspect', 'kind', 'verdict', 'state'];
export const SORTS = {
  '': 'as in the data set',
  label: 'label',
  name: 'file name',
  origin: 'origin',
  wins: 'winning zooms',
  confidence: 'confidence at 1-crop',
  agree: 'agreement of the zooms',
  sensitivity: 'sensitivity to framing',
  differ: 'disagreement of the models',
  suspect: 'suspect score',
};

/** A text as it is compared: without capitals and marks. */
export const fold = (text) => text.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '');

/** `make(object)`, made once for each object. */
function onceFor(make) {
  const made = new WeakMap();
  return (object) => {
    if (!made.has(object)) made.set(object, make(object));
    return made.get(object);
  };
}
const foldedOf = onceFor((texts) => texts.map((text) => fold(String(text))));

/** What each class can be found by. */
export const classTexts = onceFor((classes) => classes.keys.map((key, id) =>
  fold([key, classes.names?.[id] ?? '', ...(classes.synonyms?.[id] ?? [])].join('\n'))));

/** Ids by key. */
export const classIds = onceFor((classes) => new Map(classes.keys.map((key, id) => [key, id])));

/** A class as it is written in a field. */
export function classText(classes, id) {
  const [name, key] = [classes.names?.[id], classes.keys[id]];
  return name?.endsWith(`(${key})`) ? name : [name, key].filter(Boolean).join(' · ');
}

/** Ids of the classes that a field may mean by its text: a class as it is written there, a key, a name, a synonym. */
export function classesNamed(classes, text) {
  const asked = fold(text.trim());
  if (!asked) return [];
  const where = (test) => [...classes.keys.keys()].filter(test);
  const exact = where((id) => [classText(classes, id), classes.keys[id], classes.names?.[id] ?? ''].some((one) => fold(one) === asked));
  return exact.length ? exact : where((id) => classes.synonyms?.[id]?.some((one) => fold(one) === asked));
}

/** The key of the class that a field names; null where that is none, or one of several. */
export function findClass(classes, text) {
  const ids = classesNamed(classes, text);
  return ids.length === 1 ? classes.keys[ids[0]] : null;
}

/** From and to of a range as written in a link, `3-9`, `3-` or `5`; whole range where it says nothing. */
export function range(text) {
  const found = /^(\d+)?(-)?(\d+)?$/.exec(text ?? '');
  if (!found || !text) return [-Infinity, Infinity];
  const from = found[1] === undefined ? -Infinity : Number(found[1]);
  if (found[2] === undefined) return [from, from];
  return [from, found[3] === undefined ? Infinity : Number(found[3])];
}

/** The model that a query is about: the one it names, else the first; undefined where that is not there (yet). */
export const focus = (models, query) => (query.m ? models.find((model) => model.key === query.m) : models[0]);

const OF_MODELS = ['right', 'wins', 'says', 'differ', 'only', 'said', 'mistake'];
const ORDERS_OF_MODELS = ['wins', 'confidence', 'agree', 'sensitivity', 'differ'];

/** Whether a query cannot be answered yet. pending: answers of models that the page is about are still to come. */
export const waits = ({ columns, verdicts }, query, pending) =>
  Boolean((query.verdict && columns.key && !verdicts)
    || (pending && (OF_MODELS.some((name) => query[name]) || ORDERS_OF_MODELS.includes(query.sort))));

/** Models and the ids that they are asked to answer at the 1-crop; models that are not there say nothing. */
export const saidBy = (models, query) => (query.said ?? '').split(',')
  .map((text) => [models.find((one) => one.key === text.split('-')[0]), Number(text.split('-')[1])])
  .filter(([one]) => one);

/** A test per image for each filter of the query that says something here. */
function tests({ columns, classes, models, verdicts }, query) {
  const found = [];
  const model = focus(models, query)?.columns;
  const { labels, id: names } = columns;
  for (const word of fold(query.q ?? '').split(/\s+/).filter(Boolean)) {
    const hits = new Set();
    classTexts(classes).forEach((text, id) => text.includes(word) && hits.add(id));
    const texts = names && foldedOf(names);
    const origins = (columns.origins ?? []).map((origin) => fold(origin).includes(word));
    found.push((k) => labels?.[k]?.some((label) => hits.has(label)) || texts?.[k].includes(word)
      || (origins.length > 0 && origins[columns.origin[k]]));
  }
  if (query.label) {
    const id = classIds(classes).get(query.label);
    found.push((k) => labels?.[k]?.includes(id));
  }
  if (query.origin && columns.origins) {
    const at = columns.origins.indexOf(query.origin);
    found.push((k) => columns.origin[k] === at);
  }
  if (model && query.right) found.push((k) => String(model.right[k]) === query.right);
  if (model?.winning && query.wins) {
    const [from, to] = range(query.wins);
    found.push((k) => model.winning[k] >= Math.max(0, from) && model.winning[k] <= to);
  }
  if (model?.consensus && query.says) {
    const id = classIds(classes).get(query.says);
    found.push((k) => model.consensus[k] === id);
  }
  if (query.differ && models.length > 1) {
    const count = query.differ === 'right' ? (k) => distinct(models, 'right', k) : (k) => distinct(models, 'crop', k);
    found.push((k) => count(k) > 1);
  }
  if (query.only && models.length > 1) {
    const which = models.indexOf(focus(models, query));
    const all = models.map((one) => one.columns);
    const rightAt = query.only === 'zooms' ? anyZoom : atCrop;
    found.push((k) => isAlone(all, which, k, rightAt));
  }
  if (query.said) {
    const asked = saidBy(models, query);
    found.push((k) => asked.every(([one, id]) => one.columns.crop[k] === id));
  }
  const mistake = model && labels && mistakeFrom(query.mistake);
  if (mistake) found.push((k) => isMistake(labels, model, k, mistake));
  if (query.suspect && columns.suspect) {
    const least = Number(query.suspect);
    found.push((k) => columns.suspect[k] >= least);
  }
  if (query.kind && columns.kind) found.push((k) => columns.kind[k] === query.kind);
  if (query.verdict && columns.key) {
    const conflicts = new Set((verdicts?.conflicts ?? []).map((conflict) => conflict.id));
    const of = {
      conflict: (key) => conflicts.has(key),
      unsure: (key) => isUnsure(verdicts?.images?.[key]),
    }[query.verdict] ?? ((key) => (verdicts?.images?.[key]?.status ?? 'undecided') === query.verdict);
    found.push((k) => of(columns.key[k]));
  }
  if (query.state === 'error') found.push((k) => columns.error?.[k] !== undefined);
  if (query.state === 'duplicates') found.push((k) => columns.duplicates?.[k] !== undefined);
  return found;
}

/** How many different values the models have at an image; those that were not shown it do not count. */
export function distinct(models, column, k) {
  const seen = new Set();
  for (const { columns } of models) {
    const value = columns[column]?.[k];
    if (value !== undefined && columns.right[k] !== -1) seen.add(value);
  }
  return seen.size;
}

/** Places of texts in alphabetical order. */
const ranks = onceFor((texts) => {
  const order = Int32Array.from(texts.keys());
  const keys = foldedOf(texts);
  order.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
  const rank = new Int32Array(texts.length);
  order.forEach((at, place) => { rank[at] = place; });
  return rank;
});

/** What an image is sorted by: a number, NaN where it has none; null in the order of the data set. */
function measure({ columns, classes, models }, query) {
  const model = focus(models, query)?.columns;
  const known = (column) => column && ((k) => (column[k] < 0 ? NaN : column[k]));
  switch (query.sort) {
    case 'label': {
      if (!columns.labels) return null;
      const rank = ranks(classes.names ?? classes.keys);
      return (k) => rank[columns.labels[k]?.[0]] ?? NaN;
    }
    case 'name': {
      if (!columns.id) return null;
      const rank = ranks(columns.id);
      return (k) => rank[k];
    }
    case 'origin': {
      if (!columns.origins) return null;
      const rank = ranks(columns.origins);
      return (k) => rank[columns.origin[k]] ?? NaN;
    }
    case 'wins': return known(model?.winning);
    case 'confidence': return known(model?.crop_p);
    case 'agree': return known(model?.consensus_share);
    case 'sensitivity': return known(model?.sensitivity);
    case 'suspect': return known(columns.suspect);
    case 'differ': return models.length > 1 ? (k) => distinct(models, 'crop', k) : null;
    default: return null;
  }
}

/**
 * Positions of the images that a query leaves, in its order: Int32Array.
 * `data`: {columns, classes, models: [{key, columns}], verdicts}. Images without a value come last, ties in the order
 * of the data set.
 */
export function select(data, query) {
  const { n } = data.columns;
  const all = tests(data, query);
  const kept = new Int32Array(n);
  let count = 0;
  next: for (let k = 0; k < n; k += 1) {
    for (const test of all) if (!test(k)) continue next;
    kept[count] = k;
    count += 1;
  }
  const rows = kept.subarray(0, count);
  const value = measure(data, query);
  if (!value) return query.down ? rows.reverse() : rows;
  const values = new Float64Array(n);
  for (const k of rows) values[k] = value(k);
  const way = query.down ? -1 : 1;
  return rows.sort((a, b) => {
    const x = values[a];
    const y = values[b];
    if (x === y) return a - b;
    if (Number.isNaN(x)) return Number.isNaN(y) ? a - b : 1;
    if (Number.isNaN(y)) return -1;
    return way * (x < y ? -1 : 1);
  });
}
