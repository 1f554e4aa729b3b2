// Loads the data files and keeps them. Every address is relative and the same behind a server and in an export.

const kept = new Map(); // address → promise
const CHUNKS_KEPT = 24;
const chunks = new Map(); // address → promise, the latest used last
let site = null;

const INTEGERS = ['row', 'width', 'height', 'origin', 'crop', 'winning', 'consensus', 'best'];
const FLOATS = ['suspect', 'crop_p', 'consensus_share', 'sensitivity'];
const SIGNS = ['right', 'consensus_right'];

async function asked(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error('The server does not answer.');
  }
}

async function fetched(address) {
  const answer = await asked(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`.trim());
  return answer;
}

function once(address, read) {
  if (!kept.has(address)) {
    const promise = fetched(address).then(read);
    kept.set(address, promise);
    promise.catch(() => kept.delete(address)); // a later call tries again
  }
  return kept.get(address);
}

/** Only the newest version of a file stays in memory. */
function newest(address, version, read) {
  const full = `${address}?v=${encodeURIComponent(version ?? '')}`;
  const promise = once(full, read);
  promise.then(() => {
    for (const other of kept.keys()) if (other !== full && other.startsWith(`${address}?`)) kept.delete(other);
  }, () => {});
  return promise;
}

/** JSON columns as typed arrays: integers with −1, shares with NaN, right with −1, where there is no value. */
export function typed(record) {
  const made = { ...record };
  const fill = (names, Type, none) => {
    for (const name of names) {
      if (Array.isArray(record[name])) made[name] = Type.from(record[name], (value) => value ?? none);
    }
  };
  fill(INTEGERS, Int32Array, -1);
  fill(FLOATS, Float32Array, NaN);
  fill(SIGNS, Int8Array, -1);
  return made;
}

const json = (answer) => answer.json();
const columns = async (answer) => typed(await answer.json());

/** Puts the view rules of each model's grid in the place of the grid's key: the same list for the same key. */
async function withGrids(found) {
  const models = found.sets.flatMap((set) => set.models);
  await Promise.all(models.map(async (model) => {
    model.grid = await once(`data/grid-${encodeURIComponent(model.grid)}.json`, json);
  }));
  return found;
}

/** What there is: `data/site.json`, with the grids that it names. */
export function loadSite() {
  site ??= fetched('data/site.json').then(json).then(withGrids);
  site.catch(() => { site = null; });
  return site;
}

/** The same, fetched again. */
export async function reload() {
  const answer = await asked('data/site.json', { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`data/site.json: ${answer.status}`);
  const found = await withGrids(await answer.json());
  site = Promise.resolve(found);
  return found;
}

/** The columns of a set's images. */
export const loadSet = (set) => newest(`data/${set.key}/images.json`, set.version, columns);

/** The columns and the summary of one model on a set. */
export const loadModel = (set, model) => newest(`data/${set.key}/${model.key}.json`, model.version, columns);

/** Keys (wnids), names and synonyms of a class space. */
export const loadClasses = (space) => once(`data/classes-${encodeURIComponent(space)}.json`, json);

/** How many examples there are of each class that has any, by key. */
export const loadReferences = () => once('data/references.json', json);

/** The answers to one row at every zoom: ids Int16 [zooms × 5], ps Float32 [zooms × 5], right Uint8 [zooms]. */
export async function loadAnswers(set, model, row) {
  const chunk = Math.floor(row / set.chunk);
  const version = encodeURIComponent(model.version ?? '');
  const address = `data/${set.key}/${model.key}/answers/${chunk}.bin?v=${version}`;
  const promise = chunks.get(address) ?? fetched(address).then((answer) => answer.arrayBuffer());
  chunks.delete(address);
  chunks.set(address, promise);
  promise.catch(() => chunks.delete(address));
  if (chunks.size > CHUNKS_KEPT) chunks.delete(chunks.keys().next().value);
  const [buffer, { decode }] = await Promise.all([promise, import('./answers.js')]);
  return decode(buffer, model.zooms, row % set.chunk);
}

const versioned = (address, set) => `${address}?v=${encodeURIComponent(set.version ?? '')}`;
export const thumbUrl = (set, row) => versioned(`thumbs/${set.key}/${row}.jpg`, set);
export const pictureUrl = (set, row) => versioned(`pictures/${set.key}/${row}.jpg`, set);
export const viewUrl = (set, row, zoom, model) =>
  `views/${set.key}/${row}/${zoom}.png?v=${encodeURIComponent(set.version ?? '')}${model ? `&model=${model.key ?? model}` : ''}`;
export const referenceUrl = (key, k) => `references/${encodeURIComponent(key)}/${k}.jpg`;
