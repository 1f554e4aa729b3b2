// Hooks that load data files and follow those that still change.
import { loadModel, loadSite, reload } from './data.js';
import { useEffect, useMemo, useState } from './ui.js';

const POLL = 2000; // milliseconds
const LOOK = 5000; // where nothing is being written at the moment: a study may go on, or another begin

const growing = (site) => site.sets.some((set) =>
  set.ready === false || set.models.some((model) => !model.ready || !model.complete));

/** What site.json says; the long lists of its grids are of runs, whose versions it names. */
const told = (site) => JSON.stringify(site, (name, value) => (name === 'grid' ? null : value));

let lookNow = () => {};
/** Asks now whether there is something else: what was asked for is not there any more. */
export const lookAgain = () => lookNow();

/** site.json, fetched again while it may change; and what went wrong with it. */
export function useSite() {
  const [site, setSite] = useState(null);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    let timer = null;
    let over = false;
    const take = (found) => {
      setFailure(null);
      lookNow = found.live ? again : lookNow;
      setSite((before) => (told(before) === told(found) ? before : found));
      if (!over && found.live && found.kind !== 'data') timer = setTimeout(again, growing(found) ? POLL : LOOK);
    };
    let asking = false;
    const again = () => {
      clearTimeout(timer);
      if (asking || over) return;
      asking = true;
      reload().finally(() => { asking = false; }).then(take, (error) => {
        setFailure(error.message);
        if (!over) timer = setTimeout(again, 2 * POLL);
      });
    };
    loadSite().then(take, (error) => {
      setFailure(error.message);
      timer = setTimeout(again, POLL);
    });
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);
  return [site, failure];
}

/** Calls `load` until it succeeds: `take(value)` once, `fail(error)` each time it does not. What it gives ends that. */
function persist(load, take, fail) {
  let over = false;
  let timer = null;
  const attempt = () => load().then((value) => over || take(value), (error) => {
    if (over) return;
    fail(error);
    timer = setTimeout(attempt, 2 * POLL);
  });
  attempt();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}

/**
 * What a promise gives, asked for again where it fails. `name` tells promises apart; the last value stays until there
 * is a new one; `error` says why there is none yet.
 */
export function useLoaded(name, load) {
  const [state, setState] = useState({ name: null, value: null, error: null });
  useEffect(() => (name === null ? undefined : persist(
    load,
    (value) => setState({ name, value, error: null }),
    (error) => setState((before) => ({ ...before, error: error.message })),
  )), [name]);
  return state;
}

/** Models with their columns, as they arrive; one of which there is a newer version is as it was until that is there. */
export function useModels(set, keys) {
  const [loaded, setLoaded] = useState({});
  const wanted = set ? set.models.filter((model) => model.ready && keys.includes(model.key)) : [];
  const name = wanted.map((model) => `${set.key}/${model.key}/${model.version}`).join(' ');
  useEffect(() => {
    const ends = wanted.map((model) => persist(
      () => loadModel(set, model),
      (columns) => setLoaded((before) => ({ ...before, [`${set.key}/${model.key}`]: { ...model, columns } })),
      (error) => console.warn(error.message),
    ));
    return () => ends.forEach((end) => end());
  }, [name]);
  return useMemo(
    () => wanted.map((model) => loaded[`${set.key}/${model.key}`]).filter(Boolean),
    [name, loaded],
  );
}
