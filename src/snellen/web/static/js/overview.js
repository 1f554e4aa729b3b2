// All that the folder holds: what each model reaches on the set, where it reads best, how far a run or a review is.
import { histogram } from './curves.js';
import { HardSet } from './hardset.js';
import { useModels } from './loaded.js';
import { PlaceMap, ZoomCurves } from './plots.js';
import { Bar, countText, html, intervalText, Link, percentText, useMemo } from './ui.js';

const MEASURES = [
  ['1-crop', 'The centre view at scale 256, alone'],
  ['best zoom', 'The best single zoom for these images'],
  ['top-36', 'At least one of the 36 zooms that reach most together'],
  ['upper bound', 'At least one of all zooms'],
];

function Numbers({ set, models }) {
  const shown = MEASURES.filter(([name]) => models.some((model) => model.columns.summary?.[name]));
  const loaded = new Map(models.map((model) => [model.key, model]));
  return html`<div class="wide" tabindex="0" role="region" aria-label=${`Numbers of ${set.name}`}><table class="numbers">
    <thead><tr><th scope="col">Model</th><th scope="col">Images</th>
      ${shown.map(([name, text]) => html`<th key=${name} scope="col" title=${text}>${name}</th>`)}
      <th scope="col">Look at</th></tr></thead>
    <tbody>${set.models.map((model) => {
      const held = loaded.get(model.key);
      const summary = held?.columns.summary;
      return html`<tr key=${model.key}>
        <th scope="row" title=${model.spec}>${model.name}<span class="soft"> ${model.precision}</span></th>
        <td><${Progress} set=${set} model=${model} held=${held} /></td>
        ${shown.map(([name]) => html`<td key=${name}><${Share} share=${summary?.[name]} /></td>`)}
        <td class="links"><${Link} to=${{ page: 'grid', set: set.key, query: { m: model.key, right: 0 } }}>wrong at 1-crop<//>
          ${model.zooms > 1 && html` <${Link} to=${{ page: 'grid', set: set.key, query: { m: model.key, wins: '0' } }}>no zoom helps<//>`}</td>
      </tr>`;
    })}</tbody>
  </table></div>`;
}

/** A share with its interval, and of how many images it is. */
function Share({ share }) {
  if (!share || !share.n) return html`<span class="soft">–</span>`;
  const between = intervalText(share);
  return html`<span title=${`${countText(share.k)} of ${countText(share.n)}, 95 % interval ${between} %`}>
    <${Bar} value=${share.value} low=${share.low} high=${share.high} /><small>${between} of ${countText(share.n)}</small></span>`;
}

function Progress({ set, model, held }) {
  if (model.error) return html`<span class="failed" title=${model.error}>cannot be read<small>${model.error}</small></span>`;
  if (!model.ready) return html`<span class="soft">reading …</span>`;
  const newest = !held || held.version === model.version;
  if (model.complete && newest) return countText(model.images);
  const of = held?.columns.summary?.['1-crop']?.n;
  const behind = Number.isFinite(of) && of !== model.images;
  return html`<span class="running">${countText(model.images)} of ${countText(set.images)}<small>${model.complete ? 'reading …' : 'running'}${behind ? `; numbers of ${countText(of)} so far` : ''}</small></span>`;
}

/** Winning zooms of all images, as rows of bars that lead to the images. */
function Winning({ set, model }) {
  const bins = useMemo(() => histogram(model.columns.winning, model.zooms, 6), [model.columns, model.zooms]);
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  return html`<table class="winning"><caption>${model.name}</caption><tbody>${bins.map((bin) => html`<tr key=${bin.from}>
    <th scope="row"><${Link} to=${{ page: 'grid', set: set.key, query: { m: model.key, wins: bin.to ? `${bin.from}-${bin.to}` : '0' } }}>
      ${bin.to ? `${bin.from}–${bin.to}` : 'none'}<//></th>
    <td><${Bar} value=${bin.count / most} text=${countText(bin.count)} kind=${bin.to ? 'accent' : 'wrong'} /></td></tr>`)}</tbody></table>`;
}

/** Origins of a set and how many images each has. */
function Origins({ set, columns }) {
  const counts = useMemo(() => {
    const found = new Array(columns.origins?.length ?? 0).fill(0);
    columns.origin?.forEach((at) => { if (at >= 0) found[at] += 1; });
    return found;
  }, [columns]);
  if (counts.length < 2) return null;
  return html`<section><h2>Origins</h2><table class="winning"><caption class="unseen">Images by origin</caption><tbody>
    ${columns.origins.map((name, k) => html`<tr key=${name}>
      <th scope="row"><${Link} to=${{ page: 'grid', set: set.key, query: { origin: name } }}>${name}<//></th>
      <td><${Bar} value=${counts[k] / columns.n} text=${`${countText(counts[k])} · ${percentText(counts[k] / columns.n)}`} /></td></tr>`)}
  </tbody></table></section>`;
}

/** Whether numbers of accuracy say something: on a hard set the miners are right at no zoom, which is no finding. */
const tells = (site, models) => site.kind !== 'hard' || models.some((model) => model.columns.summary?.['upper bound']?.k > 0);

/** The numbers of the other data sets. */
function Other({ set }) {
  const models = useModels(set, set.models.map((model) => model.key));
  return html`<h3><${Link} to=${{ page: 'overview', set: set.key }}>${set.name}<//></h3>
    ${set.models.length > 0 ? html`<${Numbers} set=${set} models=${models} />` : html`<p class="soft">${countText(set.images)} images</p>`}`;
}

export function Overview({ site, set, columns, classes, models, pending }) {
  const told = tells(site, models);
  const zoomed = told ? models.filter((model) => model.zooms > 1) : [];
  const failed = set.models.some((model) => model.error);
  const errors = Object.keys(columns.error ?? {}).length;
  return html`
    <h1>${set.name}</h1>
    <p class="lead"><${Link} to=${{ page: 'grid', set: set.key }}>${countText(columns.n)} images<//>${set.label_sources?.length > 0 && html`, labels: ${set.label_sources[0]}`}
      ${errors > 0 && html`, <${Link} to=${{ page: 'grid', set: set.key, query: { state: 'error' } }}>${countText(errors)} cannot be read<//>`}</p>
    ${site.kind === 'hard' && html`<${HardSet} site=${site} set=${set} columns=${columns} classes=${classes} models=${models} pending=${pending} />`}
    ${set.models.length > 0 && (told || failed) && html`<section><h2>What framing can reach</h2><${Numbers} set=${set} models=${models} /></section>`}
    <div class="pair">${zoomed.some((model) => model.columns.zooms) && html`<section><h2>By scale</h2><${ZoomCurves} models=${zoomed} /></section>`}
    ${zoomed.some((model) => model.columns.map) && html`<section><h2>By place</h2>
      <p class="soft">Share of images that at least one scale gets right with the window at that place.</p>
      <div class="maps">${zoomed.map((model) => html`<${PlaceMap} key=${model.key} name=${model.name} cells=${model.columns.map} />`)}</div></section>`}</div>
    ${zoomed.some((model) => model.columns.winning) && html`<section><h2>By number of winning zooms</h2>
      <div class="maps">${zoomed.map((model) => html`<${Winning} key=${model.key} set=${set} model=${model} />`)}</div></section>`}
    <${Origins} set=${set} columns=${columns} />
    ${site.sets.length > 1 && html`<section><h2>Other data sets</h2>
      ${site.sets.filter((one) => one.key !== set.key).map((one) => html`<${Other} key=${one.key} set=${one} />`)}</section>`}`;
}
