// Hooks that load data files and follow those that still change.
import { loadModel, loadSite, reload } from './data.js';
import { useEffect, useMemo, useState } from './ui.js';

const POLL = 2000; // milliseconds

const growing = (site) => site.sets.some((set) =>
  set.ready === false || set.models.some((model) => !model.ready || !model.complete));

/** site.json, fetched again while it may change; and what went wrong with it. */
export function useSite() {
  const [site, setSite] = useState(null);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    let timer = null;
    let over = false;
    const take = (found) => {
      setFailure(null);
      setSite((before) => (JSON.stringify(before) === JSON.stringify(found) ? before : found));
      if (!over && found.live && growing(found)) timer = setTimeout(again, POLL);
    };
    const again = () => reload().then(take, (error) => {
      setFailure(error.message);
      if (!over) timer = setTimeout(again, 2 * POLL);
    });
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

/** What a promise gives; the last value stays until there is a new one. `name` tells promises apart. */
export function useLoaded(name, load) {
  const [state, setState] = useState({ name: null, value: null, error: null });
  useEffect(() => {
    if (name === null) return undefined;
    let current = true;
    load().then(
      (value) => current && setState({ name, value, error: null }),
      (error) => current && setState({ name, value: null, error: error.message }),
    );
    return () => { current = false; };
  }, [name]);
  return state;
}

/** Columns of models by key, as they arrive. */
export function useModels(set, keys) {
  const [loaded, setLoaded] = useState({});
  const wanted = set ? set.models.filter((model) => model.ready && keys.includes(model.key)) : [];
  const name = wanted.map((model) => `${set.key}/${model.key}/${model.version}`).join(' ');
  useEffect(() => {
    let current = true;
    for (const model of wanted) {
      loadModel(set, model).then(
        (columns) => current && setLoaded((before) => ({ ...before, [`${set.key}/${model.key}`]: columns })),
        (error) => console.warn(error.message),
      );
    }
    return () => { current = false; };
  }, [name]);
  return useMemo(
    () => wanted.map((model) => ({ ...model, columns: loaded[`${set.key}/${model.key}`] })).filter((model) => model.columns),
    [name, loaded],
  );
}
