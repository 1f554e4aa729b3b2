// The page on which people decide over the images of a hard set.
import { pictureUrl, thumbUrl } from './data.js';
import * as api from './reviewapi.js';
import { journalHere } from './journal.js';
import { lookAgain } from './loaded.js';
import { Agreement, Choices, Evidence, Name, Note, Queue, Said, Totals } from './reviewparts.js';
import { reviewKeys } from './reviewkeys.js';
import { ZoomMaps } from './reviewzooms.js';
import { go, parse } from './route.js';
import { Session } from './session.js';
import { ClassField, found, indexed } from './typeahead.js';
import { announce, ClassNames, html, Link, useEffect, useKeys, useMemo, useReducer, useRef, useState } from './ui.js';

const POLL = 15000; // ms between looks at what others said
const LINK = 300; // ms after which the link names the image; browsers take no more than 200 changes in half a minute
const RETRY = 3000; // ms until a picture that did not come is asked for again; longer each time
const SETTLE = 120; // ms on an image before its picture and examples are asked for
const LISTS = {
  all: 'all images', undecided: 'undecided', conflicts: 'in conflict', unsure: 'I am unsure', mine: 'I have judged',
  kept: 'kept', dropped: 'dropped', relabelled: 'relabelled',
};

const sessions = new Map(); // one for a set, whatever pages are looked at between

function sessionOf(site, set, columns, classes) {
  const name = site.reviews ?? set.key;
  const known = sessions.get(name);
  if (known && known.count === columns.key.length && columns.key.every((key, row) => key === known.columns.key[row])) {
    known.columns = columns; // suspects may have come since
    return known;
  }
  const session = new Session({
    name, columns, classes, canGive: site.review && site.live, say: announce, locks: navigator.locks ?? null,
    api: { state: (tag) => api.state(site, tag), post: api.post },
    storage: site.live ? api.storeOf('localStorage') : null, journal: site.live && site.review ? journalHere() : null, memory: api.storeOf('sessionStorage'),
  });
  const remembered = (store) => api.storeOf(store)?.getItem('snellen-reviewer');
  session.setReviewer(remembered('sessionStorage') || site.reviewer || remembered('localStorage') || '');
  sessions.set(name, session);
  if (session.canGive) {
    addEventListener('storage', (event) => event.storageArea === api.storeOf('localStorage') && session.queue.onStorage(event));
    addEventListener('online', () => session.queue.retry());
    addEventListener('beforeunload', (event) => {
      if (!session.queue.kept && session.queue.waiting.size) event.preventDefault();
    });
    setInterval(() => session.queue.adopt(), POLL / 3);
    session.queue.adopt();
  }
  return session;
}

/** Draws again whenever the session changes, and keeps it fresh. */
function useSession(site, set, columns, classes) {
  const session = useMemo(() => sessionOf(site, set, columns, classes), [set.key, columns, classes]);
  const [, draw] = useReducer((count) => count + 1, 0);
  useEffect(() => session.subscribe(draw), [session]);
  useEffect(() => {
    session.heard.refresh();
    const timer = site.live ? setInterval(() => document.hidden || session.heard.refresh(), POLL) : null;
    return () => clearInterval(timer);
  }, [session]);
  return session;
}

/** The link names the image under the cursor, a while after it came to rest; a link that is followed moves it. */
function useLink(session, set, route) {
  const written = useRef(null);
  const followed = useRef(false); // before it was, nothing is written over it
  useEffect(() => {
    const show = Object.hasOwn(LISTS, route.query.show ?? '') ? route.query.show : 'all';
    const sort = route.query.sort === 'suspect' ? 'suspect' : 'order';
    if (!session.heard.loaded && show !== 'all') return; // which images are in conflict is not known yet
    if (show !== session.cursor.show || sort !== session.cursor.sort) session.setList(show, sort);
    if (route.row !== null && route.row !== written.current) session.goTo(route.row);
    written.current = route.row;
    followed.current = true;
  }, [session.heard.loaded, route.row, route.query.show, route.query.sort]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (!followed.current || !session.heard.loaded || session.row === null || session.row === route.row) return;
      if (parse(location.hash).row !== route.row) return; // a link was just followed, and is not drawn yet
      written.current = session.row;
      go({ ...route, set: set.key, row: session.row }, { replace: true });
    }, LINK);
    return () => clearTimeout(timer);
  }, [session.heard.loaded, session.row, route.row]);
}

/** Whether an image has been looked at for a moment. */
function useSettled(row) {
  const [settled, setSettled] = useState(row);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(row), SETTLE);
    return () => clearTimeout(timer);
  }, [row]);
  return settled === row;
}

export function ReviewPage({ site, set, columns, classes, route }) {
  if (!columns.key) return html`<p class="empty">Only a hard set can be reviewed: <code>snellen view HARD</code>.</p>`;
  return html`<${Review} ...${{ site, set, columns, classes, route }} />`;
}

function Review({ site, set, columns, classes, route }) {
  const session = useSession(site, set, columns, classes);
  useLink(session, set, route);
  const index = useMemo(() => indexed(classes), [classes]);
  const [field, reason] = [useRef(null), useRef(null)];
  const { row } = session;
  const choices = () => (session.row === null ? [] : [...columns.labels[session.row], ...(columns.candidates?.[session.row] ?? [])]);
  const leave = () => document.activeElement?.blur();
  // A button keeps the focus of those who go by keys; after a click the keys are the page's again.
  const pressed = (run) => (event) => {
    run();
    if (event.detail) leave();
  };
  const give = (word) => {
    if (session.give(word)) leave();
  };
  useKeys(reviewKeys(session, {
    choices, focusLabels: () => field.current?.focus(), focusReason: () => reason.current?.focus(),
  }));
  const filter = (name, value) => go({ ...route, set: set.key, row: null, query: { ...route.query, [name]: value } });
  const ids = session.draft.labels.map((key) => classes.keys.indexOf(key));
  const settled = useSettled(row);
  useEffect(() => { // the picture that comes next is there when it does
    const next = settled ? session.cursor.next() : null;
    if (next !== null) new Image().src = pictureUrl(set, session.cursor.list[next]);
  }, [settled, row]);
  return html`<div class="review">
    <h1 class="unseen">Review</h1>
    <div class="review-bar">
      ${session.canGive && html`<${Name} session=${session} />`}
      <label>Images <select value=${session.cursor.show} onChange=${(event) => filter('show', event.target.value)}>
        ${Object.entries(LISTS).filter(([key]) => session.canGive || !['mine', 'unsure'].includes(key)).map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
      </select></label>
      ${columns.suspect && html`<label>Order <select value=${session.cursor.sort} onChange=${(event) => filter('sort', event.target.value)}>
        <option value="order">of the hard set</option><option value="suspect">most suspect first</option>
      </select></label>`}
      <span class="review-place">${session.cursor.list.length ? session.cursor.place + 1 : 0} of ${session.cursor.list.length}</span>
      <${Queue} session=${session} />
    </div>
    <${Totals} session=${session} />
    ${session.heard.failure && html`<p class="review-fault" role="alert">${session.heard.failure}</p>`}
    ${row === null ? html`<p class="empty">There is no image in this list.</p><${Note} session=${session} />` : html`<div class="review-desk">
      <figure class="review-picture">
        <${Picture} key=${`${row} ${set.version}`} set=${set} row=${row} columns=${columns} settled=${settled} />
        <figcaption><${Link} to=${{ page: 'image', set: set.key, row }}>${columns.id[row]}<//>
          <span class="soft"> ${columns.origins?.[columns.origin?.[row]] ?? ''} ${columns.width ? `${columns.width[row]} × ${columns.height[row]}` : ''}</span>
        </figcaption>
      </figure>
      <section class="review-side" aria-label="Verdict">
        <p class="review-labels">It is labelled <b><${ClassNames} classes=${classes} ids=${columns.labels[row]} /></b>.</p>
        <${Said} session=${session} row=${row} classes=${classes} />
        ${session.canGive && html`<div class="review-words">
          ${[['keep', 'k'], ['drop', 'd'], ['unsure', 'u']].map(([word, key]) => html`<button key=${word} type="button"
            onClick=${pressed(() => session.give(word))}>${word} <kbd>${key}</kbd></button>`)}
          <button type="button" onClick=${pressed(() => session.undo())}>undo <kbd>z</kbd></button>
          <button type="button" onClick=${pressed(() => session.nextOpen() || session.tell('Nothing in this list waits for you.'))}>next <kbd>n</kbd></button>
        </div>`}
        <${Note} session=${session} />
        <${Choices} session=${session} site=${site} classes=${classes} ids=${choices()} labels=${columns.labels[row].length} settled=${settled} choose=${pressed} />
        ${session.canGive && html`<div class="review-chosen">
          <h2>Relabel <kbd>r</kbd></h2>
          <ul aria-label="Chosen labels">${ids.map((id) => html`<li key=${id}>
            <button type="button" title="take it out" onClick=${() => session.toggle(id)}>${classes.names[id]} ×</button></li>`)}</ul>
          <${ClassField} field=${field} picker=${session.picker} matches=${() => found(index, session.picker.text)}
            classes=${classes} onPick=${(id) => session.draft.labels.includes(classes.keys[id]) || session.toggle(id)}
            onRemoveLast=${() => session.removeLast()} onDone=${() => give('relabel')} onLeave=${leave} onType=${() => session.tell('')}
            onNone=${(text) => session.tell(`There is no class “${text}”.`)} />
          <button type="button" class="main" disabled=${!ids.length} onClick=${pressed(() => session.give('relabel'))}>relabel <kbd>↵</kbd></button>
          <label class="review-reason">Reason <kbd>c</kbd>
            <input ref=${reason} type="text" maxlength="10000" value=${session.draft.reason}
              onInput=${(event) => { session.draft.reason = event.target.value; }}
              onKeyDown=${(event) => { if (!event.isComposing && ['Enter', 'Escape'].includes(event.key)) { event.preventDefault(); leave(); } }} />
          </label>
        </div>`}
        <${Evidence} set=${set} columns=${columns} row=${row} classes=${classes} />
        <${ZoomMaps} key=${set.key} ...${{ site, set, row, classes, settled }} />
      </section>
    </div>`}
    <${Agreement} session=${session} site=${site} />
  </div>`;
}

/** The thumbnail at once, the picture when somebody stays. One that does not come may be of data that are not there any more. */
function Picture({ set, row, columns, settled }) {
  const [failed, setFailed] = useState(0);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!failed) return undefined;
    lookAgain();
    const timer = setTimeout(() => setAttempt((count) => count + 1), RETRY * Math.min(failed, 10));
    return () => clearTimeout(timer);
  }, [failed]);
  const wrong = columns.error?.[row];
  if (wrong) return html`<p class="review-none">${wrong}</p>`;
  return html`${failed > 0 && html`<p class="review-none">This image cannot be shown at the moment; it is asked for again.</p>`}
    <img key=${attempt} hidden=${failed > 0} onLoad=${() => setFailed(0)} src=${settled ? pictureUrl(set, row) : thumbUrl(set, row)} alt=${`image ${columns.id[row]}`}
    width=${columns.width?.[row] || null} height=${columns.height?.[row] || null} onError=${() => settled && setFailed((count) => count + 1)} />`;
}
