// The parts of the review page that only show: names, sums, what was said, candidates with examples, evidence, agreement.
import { wilson } from './curves.js';
import { loadReferences, referenceUrl } from './data.js';
import { useLoaded } from './loaded.js';
import { nameFault, STATUSES } from './standing.js';
import { announce, Bar, ClassName, html, intervalText, Link, percentText, shortSpecs, useEffect, useRef, useState } from './ui.js';

const EXAMPLES = 3;

/** Who reviews; asked for before anything can be given. */
export function Name({ session }) {
  const [text, setText] = useState(session.reviewer);
  const [open, setOpen] = useState(!session.reviewer);
  const field = useRef(null);
  useEffect(() => { // somebody gave a verdict without a name
    if (session.nameless) field.current?.focus();
  }, [session.nameless]);
  const fault = open && text ? nameFault(text, session.tally.reviewers) : '';
  const ready = session.heard.loaded && text && !fault; // until then nobody knows which names there are
  if (!open) {
    return html`<span class="review-name">Reviewer <b>${session.reviewer}</b>
      <button type="button" class="quiet" onClick=${() => setOpen(true)}>change</button></span>`;
  }
  const done = (event) => {
    event.preventDefault();
    if (!ready) return;
    session.setReviewer(text);
    for (const store of ['sessionStorage', 'localStorage']) {
      try {
        window[store].setItem('snellen-reviewer', text);
      } catch {
        // It is asked for again.
      }
    }
    document.activeElement?.blur();
    setOpen(false);
  };
  return html`<form class="review-name" onSubmit=${done}>
    <label>Reviewer <input ref=${field} type="text" list="review-names" value=${text}
      aria-invalid=${fault || (session.nameless && !text) ? 'true' : null} autocomplete="off"
      aria-describedby="review-name-fault" onInput=${(event) => setText(event.target.value)} /></label>
    <datalist id="review-names">${session.tally.reviewers.map((name) => html`<option key=${name} value=${name}></option>`)}</datalist>
    <button type="submit" disabled=${!ready}>Begin</button>
    <span id="review-name-fault" class="review-fault">${fault}</span>
  </form>`;
}

/** What the last action came to. The line has its place also while it is empty: nothing jumps. */
export const Note = ({ session }) => html`<p class="review-note" role="status">${session.note}</p>`;

/** Whether everything is stored, and what to do where it is not. */
export function Queue({ session }) {
  const { queue } = session;
  const [, tick] = useState(0);
  const told = useRef(false);
  useEffect(() => {
    if (queue.failures > 0 || told.current) announce(queue.failures ? 'Verdicts cannot be stored at the moment; they are sent later.' : 'Verdicts are stored again.');
    told.current = queue.failures > 0;
    const timer = queue.failures ? setInterval(() => tick((count) => count + 1), 1000) : null;
    return () => clearInterval(timer);
  }, [queue.failures > 0]);
  const count = queue.waiting.size;
  const wait = Math.max(0, Math.ceil((queue.nextTry - Date.now()) / 1000));
  return html`<span class="review-queue" data-waiting=${count}>
    ${!session.canGive ? 'read-only'
      : !count ? 'all stored'
        : queue.failures ? html`${count} not stored yet: ${queue.error}. ${queue.kept ? 'They are kept in this browser and sent' : 'Leave this page open; they are sent'}
            ${' '}again in ${wait} s. <button type="button" class="quiet" onClick=${() => queue.retry()}>try now</button>`
          : `${count} on the way`}
  </span>
  ${[...queue.refused].map(([key, { verdict, error }]) => html`<p key=${key} class="review-fault" role="alert">
    Not stored: ${verdict.verdict} ${verdict.labels.join(', ')} on ${session.columns.id[session.tally.at.get(verdict.id)] ?? verdict.id}: ${error}
    ${' '}<button type="button" onClick=${() => queue.dismiss(key)}>I have read it</button></p>`)}`;
}

/** How far the reviewer and everybody together are. */
export function Totals({ session }) {
  const said = session.tally.mine.reduce((sum, one) => sum + (one > 0), 0);
  const unsure = session.tally.mine.reduce((sum, one) => sum + (one === 1), 0);
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  let conflicts = 0;
  for (const { status, conflict } of session.tally.states) {
    counts[status] += 1;
    conflicts += conflict;
  }
  return html`<div class="review-totals">
    ${session.canGive && html`<${Bar} value=${session.count ? said / session.count : 0} text=${`${said} of ${session.count} judged by you${unsure ? `, ${unsure} unsure` : ''}`} />`}
    ${STATUSES.map((status) => html`<span key=${status} data-status=${status}><b>${counts[status]}</b> ${status}</span>`)}
    <span data-status="conflicts"><b>${conflicts}</b> in conflict</span>
  </div>`;
}

const words = (one, classes) => html`<b>${one.verdict}</b>${one.labels.map((key, k) => html`${k ? ', ' : ' '}<${ClassName}
  key=${key} classes=${classes} id=${classes.keys.indexOf(key)} />`)}${one.reason && html` <q>${one.reason}</q>`}`;

/** What was said of an image: by the reviewer, and by others where they are shown. */
export function Said({ session, row, classes }) {
  const stand = session.tally.standing(row);
  const others = session.canGive ? session.showsOthers() : true;
  const shown = stand.filter((one) => others || one.reviewer === session.reviewer);
  const why = others ? session.tally.conflictsOf(row) : [];
  const hidden = stand.length - shown.length;
  return html`<div class="review-said">
    ${shown.length > 0 && html`<ul>${shown.map((one) => html`<li key=${one.key}>${one.reviewer}: ${words(one, classes)}</li>`)}</ul>`}
    ${why.map((one) => html`<p key=${one.why} class="review-fault">Conflict: ${one.why}.</p>`)}
    ${hidden > 0 && html`<p class="soft">Others have judged it. <button type="button" class="quiet" onClick=${() => session.toggleOthers()}>show</button> <kbd>o</kbd></p>`}
    ${session.canGive && others && shown.some((one) => one.reviewer !== session.reviewer)
      && html`<p class="soft">A verdict of yours replaces what is shown here.</p>`}
  </div>`;
}

/** Labels that the image has or may have, with examples of their classes. */
export function Choices({ session, site, classes, ids, labels, settled, choose }) {
  const there = useLoaded(site.references ? 'references' : null, loadReferences).value ?? {};
  const examples = (key) => Math.min(EXAMPLES, Object.hasOwn(there, key) ? there[key] : 0);
  if (!ids.length) return null;
  return html`<ol class="review-choices" aria-label="Labels it has or may have">
    ${ids.slice(0, 9).map((id, k) => html`<li key=${id}>
      <button type="button" disabled=${!session.canGive} aria-pressed=${session.draft.labels.includes(classes.keys[id]) ? 'true' : 'false'}
        onClick=${choose(() => session.toggle(id))}><kbd>${k + 1}</kbd> ${classes.names[id]}
        ${k < labels && html`<span> (has it)</span>`}</button>
      ${settled && html`<${Examples} classes=${classes} id=${id} count=${examples(classes.keys[id])} />`}
    </li>`)}
  </ol>`;
}

const Examples = ({ classes, id, count }) => html`<span class="review-examples">${Array.from({ length: count }, (_, k) => html`<img
  key=${k} src=${referenceUrl(classes.keys[id], k)} alt=${`example ${k + 1} of ${classes.names[id]}`}
  onError=${(event) => { event.target.hidden = true; }} />`)}</span>`;

/** What the miners saw: at how many zooms each failed, and what it answered instead. */
export function Evidence({ set, columns, row, classes }) {
  const miners = columns.evidence?.miners?.[row] ?? [];
  const names = shortSpecs(miners);
  const failed = columns.evidence?.failed_zooms?.[row] ?? [];
  const answers = columns.evidence?.answers?.[row] ?? [];
  const suspect = columns.suspect?.[row];
  const twins = columns.duplicates?.[row] ?? [];
  return html`<div class="review-evidence">
    ${failed.length > 0 && html`<table><caption>Why it is hard</caption>
      <thead><tr><th scope="col">classifier</th><th scope="col">failed at</th><th scope="col">answers most</th></tr></thead>
      <tbody>${failed.map((count, k) => {
        const [id, share] = answers[k] ?? [-1, NaN];
        return html`<tr key=${k}><th scope="row" title=${miners[k]}>${names[k]}</th><td>${count} zooms</td>
          <td>${id >= 0 && html`<${ClassName} classes=${classes} id=${id} /> <${Bar} value=${share} />`}</td></tr>`;
      })}</tbody></table>`}
    ${Number.isFinite(suspect) && html`<p>Suspect: ${columns.kind?.[row] || 'label'}, score ${suspect.toFixed(3)}.</p>`}
    ${twins.length > 0 && html`<p>Duplicates: ${twins.map((one) => html`<${Link} key=${one} to=${{ page: 'review', set: set.key, row: one }}>${columns.id[one]}<//> `)}</p>`}
  </div>`;
}

/** How often two say the same, with its interval. */
const same = ({ observed, n }) => {
  const [low, high] = wilson(Math.round(observed * n), n);
  return `${percentText(observed)} (${intervalText({ low, high })} %, ${n} images)`;
};
const interval = (one) => (Number.isFinite(one?.value)
  ? `${one.value.toFixed(2)} (${one.low?.toFixed(2)} … ${one.high?.toFixed(2)}, ${one.n} images)` : 'undefined');

/** How reviewers agree, and the files to take away. */
export function Agreement({ session, site }) {
  const { agreement, alpha } = session.tally;
  const file = `api/review.csv${session.reviewer ? `?reviewer=${encodeURIComponent(session.reviewer)}` : ''}`;
  return html`<details class="review-agreement"><summary>Agreement and files</summary>
    ${agreement.length ? html`<table><caption>Pairs of reviewers, verdicts given without sight of another's</caption>
      <thead><tr><th scope="col">reviewers</th><th scope="col">same verdict</th><th scope="col">Cohen's kappa</th></tr></thead>
      <tbody>${agreement.map(({ a, b, kappa }) => html`<tr key=${`${a}/${b}`}><th scope="row">${a}, ${b}</th>
        <td>${same(kappa)}</td><td>${interval(kappa)}</td></tr>`)}</tbody></table>
      <p>All together, Krippendorff's alpha: ${interval(alpha)}.</p>`
      : html`<p class="soft">No two reviewers have an image in common yet.</p>`}
    ${session.tally.torn.length > 0 && html`<p class="review-fault">Cut off, and not counted: ${session.tally.torn.join(', ')}</p>`}
    ${site.live && html`<p><a href=${file} download>Your sheet (CSV)</a> · <a href="api/review.csv?conflicts" download>Conflicts (CSV)</a></p>`}
  </details>`;
}
