// What the overview says of a hard set: how far the review is, how it was mined, what the miners answer instead, suspects.
import { wilson } from './curves.js';
import { isUnsure } from './standing.js';
import { Bar, ClassName, countText, html, intervalText, Link, percentText, shortSpecs, useMemo } from './ui.js';
import { useVerdicts } from './verdicts.js';

const ANSWERS = 10; // the most frequent ones
const VERDICTS = ['kept', 'dropped', 'relabelled', 'undecided'];

/** Counts as bars, each a way to its images: `{name, text, query, count}`. */
const Counts = ({ caption, set, rows, total, kind = 'accent', unseen = false }) => html`<table class="winning">
  <caption class=${unseen ? 'unseen' : ''}>${caption}</caption><tbody>${rows.map((row) => html`<tr key=${row.name}>
    <th scope="row"><${Link} to=${{ page: 'grid', set: set.key, query: row.query }}>${row.text ?? row.name}<//></th>
    <td><${Bar} value=${total ? row.count / total : 0} text=${countText(row.count)} kind=${row.kind ?? kind} /></td></tr>`)}</tbody></table>`;

function Review({ site, set }) {
  const verdicts = useVerdicts(site, true);
  if (!verdicts) return null;
  const total = Object.values(verdicts.counts).reduce((sum, count) => sum + count, 0);
  const rows = VERDICTS.map((name) => ({ name, query: { verdict: name }, count: verdicts.counts[name] ?? 0, kind: name === 'undecided' ? 'none' : 'accent' }));
  const unsure = Object.values(verdicts.images).filter(isUnsure).length;
  rows.push({ name: 'unsure', text: 'of these unsure', query: { verdict: 'unsure' }, count: unsure, kind: 'none' });
  const conflicts = verdicts.conflicts?.length ?? 0;
  return html`<section><h2>Review</h2>
    <${Counts} caption="Verdicts" unseen=${true} set=${set} rows=${rows} total=${total} />
    <p class="under-table">${conflicts > 0 && html`<${Link} to=${{ page: 'grid', set: set.key, query: { verdict: 'conflict' } }}>${countText(conflicts)} ${conflicts === 1 ? 'conflict' : 'conflicts'}<//> · `}
      <${Link} to=${{ page: 'review', set: set.key }}>${site.review ? 'Go on reviewing' : 'Look at the verdicts'}<//></p>
  </section>`;
}

// Columns of the funnel; the last ones only where there is something to say.
const FUNNEL = [
  ['shown', 'Shown', 'Images that could be hard when the turn of the miner came'],
  ['read', 'Right at a zoom', 'Of these, right at one zoom at least'],
  ['failed', 'Wrong at all', 'Of these, wrong at every zoom'],
];
const RARE = [['unanswered', 'Without an answer'], ['unreadable', 'Cannot be read']];

function Funnel({ mining }) {
  const { funnel } = mining;
  const names = shortSpecs(funnel.map((row) => row.miner));
  const rare = RARE.filter(([name]) => funnel.some((row) => row[name] > 0));
  const cell = (count) => html`<td>${count === null ? '–' : countText(count)}</td>`;
  return html`<div class="wide" tabindex="0" role="region" aria-label="The funnel of mining"><table class="numbers funnel">
    <thead><tr><th scope="col">Miner</th>${FUNNEL.map(([name, text, title]) => html`<th key=${name} scope="col" title=${title}>${text}</th>`)}
      <th scope="col" title="Images that can still be hard after it">Left</th>${rare.map(([name, text]) => html`<th key=${name} scope="col">${text}</th>`)}
      <th scope="col" title="Views that mining showed it">Forward passes</th><th scope="col" title="All zooms of all images">A study takes</th></tr></thead>
    <tbody>${funnel.map((row, k) => html`<tr key=${row.miner}><th scope="row" title=${row.miner}>${names[k]}</th>
      ${FUNNEL.map(([name]) => cell(row[name]))}
      <td><${Bar} value=${funnel[0].shown ? row.left / funnel[0].shown : 0} text=${countText(row.left)} kind="wrong" /></td>
      ${rare.map(([name]) => cell(row[name]))}${cell(row.forwards)}${cell(row.exhaustive)}</tr>`)}</tbody>
  </table></div>`;
}

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);

/** What all miners together took. */
function Cost({ funnel }) {
  const [forwards, studied, exhaustive] = ['forwards', 'studied', 'exhaustive'].map((name) => sum(funnel, name));
  const fewer = !studied && forwards > 0 ? `: ${(exhaustive / forwards).toFixed(1)} times as many` : '';
  return html`<p class="under-table">${countText(forwards)} forward passes. Studies by all these miners take ${countText(exhaustive)}${fewer}.
    ${studied > 0 && ` The answers to ${countText(studied)} more views were there from studies.`}</p>`;
}

/** How many images of each data set are hard. */
function Sources({ set, columns, sources }) {
  return html`<div class="wide" tabindex="0" role="region" aria-label="Data sets"><table class="numbers">
    <thead><tr><th scope="col">Data set</th><th scope="col">Images</th><th scope="col">Without a label</th><th scope="col">Cannot be read</th>
      <th scope="col">Hard</th><th scope="col" title="Of the images that have a label and can be read">Share</th></tr></thead>
    <tbody>${sources.map((one) => {
      const n = one.images - one.unlabelled - one.unreadable;
      const [low, high] = wilson(one.hard, n);
      return html`<tr key=${one.name}><th scope="row">${columns.origins?.includes(one.name)
        ? html`<${Link} to=${{ page: 'grid', set: set.key, query: { origin: one.name } }}>${one.name}<//>` : one.name}</th>
        <td>${countText(one.images)}</td><td>${countText(one.unlabelled)}</td><td>${countText(one.unreadable)}</td><td>${countText(one.hard)}</td>
        <td>${n > 0 ? html`<${Bar} value=${one.hard / n} low=${low} high=${high} text=${`${percentText(one.hard / n)} (${intervalText({ low, high })})`} kind="wrong" />` : '–'}</td></tr>`;
    })}</tbody></table></div>`;
}

function Mining({ set, columns, mining }) {
  const { funnel, sources, required, zooms } = mining;
  if (!funnel.length) return null;
  const who = required && required < funnel.length ? `at least ${required} of the ${funnel.length} miners are` : 'each miner is';
  return html`<section><h2>How it was mined</h2>
    <p class="soft">Hard is an image that ${who} wrong on at every one of ${zooms ? countText(zooms) : 'the'} zooms. In brackets: 95 % interval.</p>
    <${Funnel} mining=${mining} /><${Cost} funnel=${funnel} />
    ${sources.length > 0 && html`<${Sources} set=${set} columns=${columns} sources=${sources} />`}
  </section>`;
}

/** How often each class is what most zooms answer, most frequent first: `[[id, count], …]`. */
export function frequent(consensus, most) {
  const counts = new Map();
  for (const id of consensus) if (id >= 0) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, most);
}

function Answers({ set, columns, classes, models, pending }) {
  const asked = models.filter((model) => model.columns.consensus?.some((id) => id >= 0));
  if (!asked.length) return pending && html`<p class="soft">reading …</p>`;
  return html`<section><h2>What most zooms answer</h2>
    <div class="maps">${asked.map((model) => html`<${Counts} key=${model.key} set=${set} total=${columns.n} kind="wrong" caption=${model.name}
      rows=${frequent(model.columns.consensus, ANSWERS).map(([id, count]) => ({
        name: id, text: html`<${ClassName} classes=${classes} id=${id} />`, query: { m: model.key, says: classes.keys[id] }, count,
      }))} />`)}${pending && html`<p class="soft">reading …</p>`}</div>
    <p class="under-table"><${Link} to=${{ page: 'confusions', set: set.key, query: { m: asked[0].key, by: 'zooms' } }}>All, beside the labels<//></p></section>`;
}

function Suspects({ set, columns }) {
  const rows = useMemo(() => {
    const counts = new Map();
    for (const kind of columns.kind ?? []) if (kind) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => ({ name, query: { kind: name, sort: 'suspect', down: 1 }, count }));
  }, [columns]);
  const twins = Object.keys(columns.duplicates ?? {}).length;
  if (!rows.length && !twins) return null;
  return html`<section><h2>Suspects</h2>
    ${rows.length > 0 && html`<${Counts} caption="Suspects by kind" unseen=${true} set=${set} rows=${rows} total=${columns.n} />`}
    ${twins > 0 && html`<p class="under-table"><${Link} to=${{ page: 'grid', set: set.key, query: { state: 'duplicates' } }}>${countText(twins)} images have duplicates<//></p>`}
  </section>`;
}

export function HardSet({ site, set, columns, classes, models, pending }) {
  return html`<div class="pair"><${Review} site=${site} set=${set} /><${Suspects} set=${set} columns=${columns} /></div>
    ${set.mining && html`<${Mining} set=${set} columns=${columns} mining=${set.mining} />`}
    <${Answers} set=${set} columns=${columns} classes=${classes} models=${models} pending=${pending} />`;
}
