// What one model takes the classes for: the label of an image and the answer that is none of its labels.
import { wilson } from './curves.js';
import { mistakes, mistakeText } from './pairs.js';
import { NO_LINES, PairTable } from './pairtable.js';
import { go } from './route.js';
import { Bar, countText, html, intervalText, percentText, useMemo } from './ui.js';

const SOURCES = [['', 'at the 1-crop'], ['zooms', 'by most zooms']];

const bounds = (k, n) => {
  const [low, high] = wilson(k, n);
  return { low, high };
};

function Found({ set, columns, classes, model, query, change }) {
  const zooms = query.by === 'zooms';
  const { pairs, counts, judged, wrong } = useMemo(
    () => mistakes(columns.labels ?? [], model.columns, zooms), [columns, model.columns, zooms]);
  const several = useMemo(() => Boolean(columns.labels?.some((labels) => labels.length > 1)), [columns]);
  if (!judged) return html`<p>No image has both a label and ${zooms ? 'an answer of most zooms: only images that were shown every zoom have one' : 'an answer at the 1-crop'}.</p>`;
  const link = (one) => ({ m: model.key, mistake: mistakeText({ ...one, zooms }) });
  const share = ({ first, rows }) => html`<${Bar} value=${rows.length / counts.get(first)} kind="wrong"
    ...${bounds(rows.length, counts.get(first))} text=${`${percentText(rows.length / counts.get(first))} of ${countText(counts.get(first))}`} />`;
  return html`<h2>${model.name}</h2><p>${countText(wrong)} of ${countText(judged)} images are wrong (${percentText(wrong / judged)}, 95 % interval ${intervalText(bounds(wrong, judged))}).</p>
    ${several && html`<p class="soft">An answer is right if it is any label of the image. An image of several labels counts under the first of them.</p>`}
    ${pairs.length > 0 && html`<${PairTable} name="Confusions with the labels" set=${set} columns=${columns} classes=${classes}
      pairs=${pairs} query=${query} change=${change} heads=${['Label', 'Answer']} between="taken for" link=${link}
      shareHead="Of the label’s images" share=${share} />`}`;
}

export function ConfusionsPage({ set, columns, classes, models, pending, route }) {
  const { query } = route;
  const model = models[0];
  const failed = set.models.find((one) => one.error && one.key === query.m) ?? (set.models.every((one) => one.error) && set.models[0]);
  const change = (changes, replace = false) => go({ ...route, query: { ...query, ...changes } }, { replace });
  const several = model?.columns.consensus;
  return html`<h1>Confusions with the labels</h1>
    <p class="lead">What a model takes the images of each class for. Labels: ${set.label_sources?.[0] ?? 'none'}.</p>
    ${set.models.length > 1 && html`<fieldset class="models"><legend>Model</legend>${set.models.map((one) => html`<label key=${one.key}>
      <input type="radio" name="model" checked=${one.key === (model?.key ?? query.m)} disabled=${!one.ready}
        onChange=${() => change({ m: one.key, ...NO_LINES })} /> ${one.name}</label>`)}</fieldset>`}
    ${failed ? html`<p class="failed">${failed.error}</p>` : pending || !model ? html`<p class="soft">Loading …</p>` : html`
      ${several && html`<p class="choice">${SOURCES.map(([by, text]) => html`<button key=${by} type="button" aria-pressed=${(query.by ?? '') === by}
        onClick=${() => change({ by: by || null, ...NO_LINES })}>${text}</button> `)}</p>`}
      <${Found} set=${set} columns=${columns} classes=${classes} model=${model} query=${several ? query : { ...query, by: null }} change=${change} />`}`;
}
