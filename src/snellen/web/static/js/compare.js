// Two and more models: how far they agree, what they take for each other's answers, images that only one gets right.
import { wilson } from './curves.js';
import { agreement, anyZoom, confusion, mcnemar, onlyRight } from './pairs.js';
import { NO_LINES, PairTable, Thumbs } from './pairtable.js';
import { go } from './route.js';
import { Bar, countText, html, intervalText, percentText, useMemo } from './ui.js';

/** How often two say the same, with its interval. */
function Same({ k, n }) {
  if (!n) return html`<${Bar} value=${NaN} />`;
  const [low, high] = wilson(k, n);
  return html`<${Bar} value=${k / n} low=${low} high=${high} text=${`${percentText(k / n)} (${intervalText({ low, high })})`} />`;
}

const pText = (p) => (p < 0.001 ? '< 0.001' : p.toFixed(3));

const pairsOf = (models) => models.flatMap((one, k) => models.slice(k + 1).map((other) => [one, other]));

function Agreement({ pairs, pair, change }) {
  const counted = useMemo(() => pairs.map(([a, b]) => agreement(a.columns, b.columns)), [pairs]);
  return html`<section><h2>Agreement at the 1-crop</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Agreement"><table class="numbers">
      <thead><tr><th scope="col">Models</th><th scope="col">Same answer</th><th scope="col">Both right</th><th scope="col">Only the first</th>
        <th scope="col">Only the second</th><th scope="col">McNemar's p</th><th scope="col">Both wrong</th><th scope="col">of these the same</th><th scope="col">Images</th></tr></thead>
      <tbody>${pairs.map(([a, b], k) => {
        const one = counted[k];
        const cell = (count) => html`<td>${countText(count)}</td>`;
        return html`<tr key=${`${a.key},${b.key}`}>
          <th scope="row">${pairs.length > 1
            ? html`<button type="button" class="quiet" aria-pressed=${k === pair} onClick=${() => change({ pair: `${a.key},${b.key}` })}>${a.name} and ${b.name}</button>`
            : `${a.name} and ${b.name}`}</th>
          <td><${Same} k=${one.same} n=${one.n} /></td>
          ${cell(one.bothRight)}${cell(one.onlyFirst)}${cell(one.onlySecond)}
          <td>${one.n ? pText(mcnemar(one.onlyFirst, one.onlySecond)) : '–'}</td>${cell(one.bothWrong)}${cell(one.sameWrong)}${cell(one.n)}
        </tr>`;
      })}</tbody></table></div>
    <p class="soft">In brackets: 95 % interval. p: McNemar's exact test of the images that only one gets right${pairs.length > 1 ? ', each pair by itself' : ''}.</p></section>`;
}

function Confusion({ set, columns, classes, pair: [a, b], query, change }) {
  const found = useMemo(() => confusion(a.columns, b.columns), [a, b]);
  const link = (one) => ({ models: `${a.key},${b.key}`, said: `${a.key}-${one.first},${b.key}-${one.second}` });
  return html`<section><h2>Confusion between ${a.name} and ${b.name}</h2>
    ${found.length === 0 ? html`<p>They say the same of every image that both were shown.</p>` : html`
      <p class="soft">Different answers at the 1-crop, the most frequent first.</p>
      <${PairTable} name="Confusion" set=${set} columns=${columns} classes=${classes} pairs=${found} query=${query} change=${change}
        heads=${[a.name, b.name]} between="or" link=${link} />`}
  </section>`;
}

function OnlyOne({ set, columns, classes, models, query, change }) {
  const zooms = query.by === 'zooms';
  const lists = useMemo(() => models.map((_, k) => onlyRight(models.map((one) => one.columns), k, zooms ? anyZoom : undefined)), [models, zooms]);
  const link = { models: models.map((model) => model.key).join(','), only: zooms ? 'zooms' : 'crop' };
  return html`<section><h2>Images that only one gets right</h2>
    <p class="choice"><button type="button" aria-pressed=${!zooms} onClick=${() => change({ by: null })}>at the 1-crop</button>
      <button type="button" aria-pressed=${zooms} onClick=${() => change({ by: 'zooms' })}>at any zoom</button></p>
    ${models.map((model, k) => html`<div key=${model.key}><h3>Only ${model.name}: ${countText(lists[k].length)}</h3>
      <${Thumbs} set=${set} columns=${columns} classes=${classes} rows=${lists[k]} query=${{ ...link, m: model.key }} label=${`Only ${model.name}`} /></div>`)}
  </section>`;
}

export function ComparePage({ set, columns, classes, models, pending, route }) {
  const { query } = route;
  const chosen = models.map((model) => model.key);
  const change = (changes, replace = false) => go({ ...route, query: { ...query, ...changes } }, { replace });
  const toggle = (key) => {
    const next = set.models.map((model) => model.key).filter((one) => (one === key ? !chosen.includes(one) : chosen.includes(one)));
    if (next.length) change({ models: next.join(','), pair: null, ...NO_LINES });
  };
  const pairs = useMemo(() => pairsOf(models), [models]);
  const pair = Math.max(0, pairs.findIndex(([a, b]) => `${a.key},${b.key}` === query.pair));
  return html`<h1>Compare models</h1>
    ${set.models.length > 2 && html`<fieldset class="models"><legend>Models</legend>${set.models.map((model) => html`<label key=${model.key}>
      <input type="checkbox" checked=${chosen.includes(model.key)} disabled=${!model.ready} onChange=${() => toggle(model.key)} /> ${model.name}</label>`)}</fieldset>`}
    ${pending ? html`<p class="soft">Loading …</p>` : models.length < 2 ? html`<p>Two models or more can be compared.</p>` : html`
      <${Agreement} pairs=${pairs} pair=${pair} change=${(changes) => change({ ...changes, ...NO_LINES })} />
      <${OnlyOne} set=${set} columns=${columns} classes=${classes} models=${models} query=${query} change=${change} />
      <${Confusion} set=${set} columns=${columns} classes=${classes} pair=${pairs[pair]} query=${query} change=${change} />`}`;
}
