// One image: the picture with the window of a zoom, a map of each model's answers, the view and what was answered.
import { oneCrop, sameIn } from './answers.js';
import { loadAnswers, pictureUrl, viewUrl } from './data.js';
import { select, waits } from './filter.js';
import { Heat } from './heat.js';
import { Around, Facts, Fixes, Legend, TopFive } from './imageparts.js';
import { describe, Picture, zoomText } from './picture.js';
import { following, Play } from './play.js';
import { format, go } from './route.js';
import { announce, html, Icon, Link, useCallback, useEffect, useMemo, useRef, useState, useKeys } from './ui.js';
import { useVerdicts } from './verdicts.js';
import { ruleOf } from './window.js';

const WRITE = 400; // milliseconds until the link names the zoom
const REST = 60; // milliseconds that a zoom stays under the pointer before its view is asked for
const nameZoom = (rule) => `${rule.scale}-${rule.row}-${rule.col}${rule.flip ? '-mirrored' : ''}`;

/** The rule that a link names, as `640-0-2` or `640/0/2`, of the first grid that has it; null where none has. */
function ruleFrom(models, text) {
  const found = /^(\d+)([-/])([0-2])\2([0-2])([-/]mirrored)?$/.exec(text ?? '');
  if (!found) return null;
  const rule = { scale: Number(found[1]), row: Number(found[3]), col: Number(found[4]), flip: Boolean(found[5]) };
  for (const { grid } of models) {
    const at = sameIn(grid, rule);
    if (at >= 0) return grid[at];
  }
  return null;
}

/** The 1-crop of the first model that has zooms. */
function firstCrop(models) {
  const grid = models.find((model) => model.zooms > 1)?.grid ?? models[0]?.grid;
  return grid ? grid[oneCrop(grid)] : null;
}

/** Answers of each model to the image, by key, as they arrive; an Error where they cannot be had. */
function useAnswers(set, models, row) {
  const [state, setState] = useState({ name: null, found: {} });
  const name = `${set.key} ${row} ${models.map((model) => `${model.key}/${model.version}`).join(' ')}`;
  useEffect(() => {
    let current = true;
    for (const model of models) {
      const take = (value) => current && setState((before) => ({
        name, found: { ...(before.name === name ? before.found : {}), [model.key]: value },
      }));
      loadAnswers(set, model, row).then(take, take);
    }
    return () => { current = false; };
  }, [name]);
  return state.name === name ? state.found : {};
}

/** A value, once it has stayed the same for a moment. */
function useResting(value) {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), REST);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}

/** The view as the model got it; each grid has its own. */
function View({ set, row, model, zoom, named }) {
  const address = useResting(viewUrl(set, row, zoom, model));
  const [failed, setFailed] = useState(null);
  const [loaded, setLoaded] = useState(false); // until then there is nothing to see; later the view before stays
  return html`<figure class="view">
    ${failed === address
      ? html`<p class="soft">The view cannot be shown.</p>`
      : html`<img src=${address} alt=${`View at ${zoomText(model.grid[zoom])}`} width=${model.size ?? 224} height=${model.size ?? 224}
          class=${loaded ? '' : 'waiting'} onLoad=${() => setLoaded(true)} onError=${() => setFailed(address)} />`}
    <figcaption>The view exactly as ${named ? model.name : 'the models'} got it</figcaption>
  </figure>`;
}

/** The first model of each grid. */
function byGrid(models) {
  const found = new Map();
  for (const model of models) if (!found.has(model.grid)) found.set(model.grid, model);
  return [...found.values()];
}

export function ImagePage({ site, set, columns, classes, models, pending, route }) {
  const row = route.row ?? 0;
  const { zoom: asked, ...query } = route.query;
  const [rule, setRule] = useState(null);
  const [playing, setPlaying] = useState(false);
  const [pinned, setPinned] = useState(false); // while it is, the pointer chooses no zoom
  const named = useMemo(() => ruleFrom(models, asked), [models, asked]);
  const linked = useMemo(() => named ?? firstCrop(models), [models, named]);
  const chosen = rule ?? linked;
  const unknown = asked && models.length > 0 && !pending && !rule && !named;
  const answers = useAnswers(set, models, row);
  const verdicts = useVerdicts(site, columns.key !== undefined);
  const waiting = waits({ columns, verdicts }, query, pending);
  const rows = useMemo(
    () => (waiting ? [row] : select({ columns, classes, models, verdicts }, query)),
    [columns, classes, models, verdicts, waiting, waiting && row, format({ query })],
  );
  const place = rows.indexOf(row);
  const grids = useMemo(() => byGrid(models), [models]);
  const main = models.find((model) => sameIn(model.grid, chosen) >= 0);

  // What a link says holds, unless it was written here: by then another zoom may be under the pointer.
  const written = useRef(asked);
  useEffect(() => {
    if (asked !== written.current) setRule(null);
    written.current = asked;
  }, [asked]);
  useEffect(() => {
    if (!rule || playing || nameZoom(rule) === asked) return undefined;
    const timer = setTimeout(() => {
      written.current = nameZoom(rule);
      go({ ...route, row, query: { ...query, zoom: written.current } }, { replace: true });
    }, pinned ? 0 : WRITE);
    return () => clearTimeout(timer);
  }, [rule, playing, pinned, asked, row]);
  const choose = useCallback((next) => {
    setPlaying(false);
    setRule(next);
  }, []);
  const pin = (next) => {
    const free = pinned && nameZoom(next) === nameZoom(chosen);
    setPinned(!free);
    choose(next);
    announce(free ? 'Let go.' : `Pinned: ${zoomText(next)}`);
  };
  const letGo = () => {
    setPinned(false);
    announce('Let go.');
  };
  const beside = (here, by) => {
    const at = main ? sameIn(main.grid, here) : -1;
    return at < 0 ? here : main.grid[following(main.grid, at, by)];
  };
  const step = useCallback((by) => setRule((before) => beside(before ?? linked, by)), [main, linked]);
  const stepByKey = (by) => {
    if (!main) return;
    const next = beside(chosen, by);
    choose(next);
    announce(zoomText(next));
  };
  const to = (other) => ({ ...route, row: other, query: { ...query, zoom: chosen ? nameZoom(chosen) : null } });
  const walk = (by) => {
    const next = place < 0 ? rows[0] : rows[place + by];
    if (next === undefined) return announce('There is no other image in this direction.');
    return go(to(next));
  };
  useEffect(() => announce(`Image ${columns.id?.[row] ?? row}`), [row]);
  useKeys([
    { keys: ['ArrowLeft', 'k'], text: 'Previous image', run: () => walk(-1) },
    { keys: ['ArrowRight', 'j'], text: 'Next image', run: () => walk(1) },
    ...(models.length ? [
      { keys: ['p'], text: 'Play through the scales, or stop', run: () => setPlaying((before) => !before) },
      { keys: ['+'], text: 'Next scale', run: () => stepByKey(1) },
      { keys: ['-'], text: 'Scale before', run: () => stepByKey(-1) },
      { keys: ['Arrow keys'], text: 'In a map: another zoom' },
      { keys: ['Enter', 'Click'], text: 'In a map: pin the zoom; again: let go' },
    ] : []),
    { keys: ['Escape'], text: 'Let go of a pinned zoom; else back to the images',
      run: () => (pinned ? letGo() : go({ page: 'grid', set: set.key, query })) },
  ]);

  if (!(row >= 0 && row < columns.n)) {
    return html`<h1>No such image</h1><p>The set has ${columns.n} images; <${Link} to=${{ page: 'grid', set: set.key }}>look at all<//>.</p>`;
  }
  const [width, height] = [columns.width?.[row], columns.height?.[row]];
  const error = columns.error?.[row];
  return html`
    <div class="image-top">
      <${Link} to=${{ page: 'grid', set: set.key, query }}>All images<//>
      <button type="button" onClick=${() => walk(-1)} disabled=${place === 0}><${Icon} name="previous" /> Previous</button>
      <button type="button" onClick=${() => walk(1)} disabled=${place === rows.length - 1}>Next <${Icon} name="next" /></button>
      <span class="soft">${waiting ? '…' : place < 0 ? 'not among the images shown' : `${place + 1} of ${rows.length}`}</span>
    </div>
    <h1>${columns.id?.[row] ?? `Image ${row}`}</h1>
    ${error && html`<p class="failed" role="note">This image cannot be read: ${error}</p>`}
    <div class="image-parts">
      <section class="image-left" aria-label="Picture">
        ${main && html`<div class="image-tools">
          ${main.grid.length > 1 && html`<${Play} step=${step} playing=${playing} setPlaying=${setPlaying} />`}
          <span class="zoom-now">${describe(chosen, width, height)}</span>
          ${unknown && html`<span class="zoom-unknown" role="note">No zoom here is called “${asked}”: this is the 1-crop.</span>`}
        </div>`}
        <div class="stage">
          <${Picture} key=${row} src=${pictureUrl(set, row)} alt=${`Picture ${columns.id?.[row] ?? row}`} rule=${chosen && ruleOf(chosen)} width=${width} height=${height} />
          ${site.live && chosen && html`<div class="views">${grids.map((model) => {
            const at = sameIn(model.grid, chosen);
            return at < 0 ? null : html`<${View} key=${model.key} set=${set} row=${row} model=${model} zoom=${at} named=${grids.length > 1} />`;
          })}</div>`}
        </div>
        <${Facts} columns=${columns} classes=${classes} row=${row} set=${set} />
      </section>
      <div class="image-models">
        ${models.length > 0 && html`<${Legend} pinned=${pinned} />`}
        <div class="maps-beside">${models.map((model) => {
          const one = answers[model.key];
          const at = sameIn(model.grid, chosen);
          return html`<section key=${model.key} class="model" aria-label=${model.name}>
            <h2>${model.name}</h2>
            ${one instanceof Error ? html`<p class="soft">The answers cannot be had: ${one.message}</p>`
              : !one ? html`<p class="soft waiting">Loading …</p>`
                : html`
                  <${TopFive} answers=${one} zoom=${at} grid=${model.grid} classes=${classes} labels=${columns.labels?.[row] ?? []} />
                  <${Heat} name=${model.name} grid=${model.grid} answers=${one} classes=${classes} zoom=${at}
                    choose=${(zoom) => choose(model.grid[zoom])} pinned=${pinned} pin=${(zoom) => pin(model.grid[zoom])} />
                  <${Fixes} answers=${one} grid=${model.grid} choose=${(zoom) => choose(model.grid[zoom])} />`}
          </section>`;
        })}</div>
      </div>
    </div>
    <${Around} set=${set} columns=${columns} classes=${classes} rows=${rows} place=${place} row=${row} to=${to} />`;
}
