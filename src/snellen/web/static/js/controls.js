// The filters and the order of the grid. Every change is a change of the link.
import { classesNamed, classIds, classText, FILTERS, findClass, focus, range, saidBy, SORTS } from './filter.js';
import { mistakeFrom } from './pairs.js';
import { ClassName, countText, html, useEffect, useMemo, useRef, useState } from './ui.js';

const PAUSE = 500; // milliseconds after the last key before it is said that a text is not understood
const TYPING = 120; // milliseconds after the last key before the list is filtered
const wide = () => matchMedia('(min-width: 60rem)').matches;

const Select = ({ label, value, options, set }) => html`<label class="field"><span>${label}</span>
  <select value=${value ?? ''} onChange=${(event) => set(event.target.value)}>
    ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === (value ?? '')}>${text}</option>`)}
  </select></label>`;

/** A field whose text goes into the link a moment after the last key; the text is kept while it is typed. */
export function Text({ label, value, set, ...rest }) {
  const [text, setText] = useState(value ?? '');
  const sent = useRef(value ?? '');
  const timer = useRef(null);
  useEffect(() => {
    if ((value ?? '') !== sent.current) setText(value ?? '');
    sent.current = value ?? '';
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const typed = (event) => {
    const next = event.target.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const replace = sent.current !== ''; // one entry of the history for one search
      sent.current = next.trim();
      set(next.trim(), replace);
    }, TYPING);
  };
  return html`<label class="field"><span>${label}</span><input type="search" value=${text} onInput=${typed} autocomplete="off" spellcheck=${false} ...${rest} /></label>`;
}

/** A field that takes a class by name or key. */
function ClassField({ label, classes, value, set }) {
  const id = value ? classIds(classes).get(value) : undefined;
  const known = id === undefined ? (value ?? '') : classText(classes, id);
  const [text, setText] = useState(known);
  useEffect(() => setText(known), [known]);
  const wrong = useMemo(() => text.trim() !== '' && findClass(classes, text) === null, [classes, text]);
  const [told, setTold] = useState(''); // what is no class, once nobody types any more
  useEffect(() => {
    const timer = setTimeout(() => setTold(wrong ? text.trim() : ''), wrong && text !== known ? PAUSE : 0);
    return () => clearTimeout(timer);
  }, [text, wrong]);
  const typed = (event) => {
    setText(event.target.value);
    if (!event.target.value.trim()) set(null);
    else {
      const key = findClass(classes, event.target.value);
      if (key) set(key);
    }
  };
  const still = !value ? 'Images are not filtered by it.'
    : id === undefined ? 'No image has it.' : `Shown are still those of “${known}”.`;
  const several = classesNamed(classes, told).slice(0, 4).map((one) => classText(classes, one));
  const why = several.length > 1 ? `may be ${several.join(', or ')}` : 'is not understood: it is no class’s name or key';
  const note = `not-understood-${label.replace(/\W+/g, '-')}`;
  return html`<label class="field"><span>${label}</span><input type="search" list="class-names" value=${text} onInput=${typed}
    aria-invalid=${wrong ? 'true' : null} aria-describedby=${note} autocomplete="off" spellcheck=${false} placeholder="name or key" /></label>
    <p id=${note} class="not-understood" role="status">${wrong && told && `“${told}” ${why}. ${still}`}</p>`;
}

function Wins({ zooms, value, set }) {
  const [from, to] = range(value);
  const text = (bound) => (Number.isFinite(bound) ? String(bound) : '');
  const change = (low, high) => set(low || high ? `${low}-${high}` : null);
  return html`<fieldset class="field range"><legend>Winning zooms</legend>
    <input type="number" min="0" max=${zooms} aria-label="from" placeholder="0" value=${text(from)}
      onChange=${(event) => change(event.target.value, text(to))} />
    <span aria-hidden="true">–</span>
    <input type="number" min="0" max=${zooms} aria-label="to" placeholder=${zooms} value=${text(to)}
      onChange=${(event) => change(text(from), event.target.value)} />
  </fieldset>`;
}

/** What the models are asked to have answered; a link from the page that compares them. */
const Said = ({ classes, asked, clear }) => html`<div class="field"><span>Answers at the 1-crop</span>
  ${asked.map(([model, id]) => html`<div key=${model.key}>${model.name}: <b><${ClassName} classes=${classes} id=${id} /></b></div>`)}
  <button type="button" class="quiet" onClick=${clear}>any answers</button></div>`;

/** The label that an answer is taken for; a link from the page of confusions. */
const Mistake = ({ classes, model, pair, clear }) => html`<div class="field"><span>Confusion ${pair.zooms ? 'of most zooms' : 'at the 1-crop'}</span>
  <div>${model.name}: <b><${ClassName} classes=${classes} id=${pair.first} /></b> taken for <b><${ClassName} classes=${classes} id=${pair.second} /></b></div>
  <button type="button" class="quiet" onClick=${clear}>any answers</button></div>`;

const any = (pairs) => [['', 'any'], ...pairs];

export function Controls({ site, set, columns, classes, models, query, count, change }) {
  const [open, setOpen] = useState(wide);
  const model = focus(models, query);
  const put = (name) => (value, replace) => change({ [name]: value || null }, replace);
  const active = FILTERS.filter((name) => query[name]).length;
  const kinds = useMemo(() => (columns.kind ? [...new Set(columns.kind)].filter(Boolean).sort() : []), [columns]);
  const list = useMemo(() => html`<datalist id="class-names">${classes.keys.map((key, id) =>
    html`<option key=${key} value=${classText(classes, id)}></option>`)}</datalist>`, [classes]);
  const sorts = Object.entries(SORTS).filter(([key]) => ({
    label: columns.labels, name: columns.id, origin: columns.origins, suspect: columns.suspect, differ: models.length > 1,
    wins: model, confidence: model, agree: model?.columns.consensus_share, sensitivity: model?.columns.sensitivity,
  })[key] ?? key === '');
  return html`<section class="controls" aria-label="Filters and order">
    <div class="search-row">
      <${Text} id="search" label="Search names" value=${query.q} set=${put('q')} placeholder="class, file, origin" />
      <button type="button" class="fold" aria-expanded=${String(open)} aria-controls="filters" onClick=${() => setOpen(!open)}>
        Filters${active ? ` (${active})` : ''}</button>
    </div>
    <p class="count"><b>${count === null ? '…' : countText(count)}</b> of ${countText(columns.n)} images
      ${active > 0 && html` <button type="button" class="quiet" onClick=${() => change(Object.fromEntries(FILTERS.map((name) => [name, null])))}>Show all</button>`}</p>
    ${models.length > 1 && html`<p class="count">Signs: ${models.map((one) => one.name).join(' · ')}</p>`}
    <div id="filters" hidden=${!open}>
      ${columns.labels && html`<${ClassField} label="Label" classes=${classes} value=${query.label} set=${put('label')} />`}
      ${columns.origins?.length > 1 && html`<${Select} label="Origin" value=${query.origin} set=${put('origin')}
        options=${any(columns.origins.map((name) => [name, name]))} />`}
      ${columns.key && html`<${Select} label="Verdict" value=${query.verdict} set=${put('verdict')}
        options=${any(['undecided', 'unsure', 'kept', 'dropped', 'relabelled', 'conflict'].map((name) => [name, name]))} />`}
      ${columns.suspect && html`<${Text} label="Suspect score, at least" value=${query.suspect} set=${put('suspect')} inputmode="decimal" placeholder="0" />`}
      ${kinds.length > 0 && html`<${Select} label="Kind of suspect" value=${query.kind} set=${put('kind')}
        options=${any(kinds.map((name) => [name, name]))} />`}
      ${model && html`
        ${set.models.length > 1 && html`<${Select} label="Model" value=${model.key} set=${put('m')}
          options=${set.models.map((one) => [one.key, one.name])} />`}
        <${Select} label="1-crop" value=${query.right} set=${put('right')} options=${any([['1', 'right'], ['0', 'wrong'], ['-1', 'not shown']])} />
        ${model.zooms > 1 && html`<${Wins} zooms=${model.zooms} value=${query.wins} set=${put('wins')} />`}
        ${model.columns.consensus && html`<${ClassField} label="Most zooms answer" classes=${classes} value=${query.says} set=${put('says')} />`}
        ${models.length > 1 && html`<${Select} label="Models disagree" value=${query.differ} set=${put('differ')}
          options=${[['', 'either'], ['answer', 'on the answer'], ['right', 'on being right']]} />
          <${Select} label="Only this model is right" value=${query.only} set=${put('only')}
            options=${[['', 'either'], ['crop', 'at the 1-crop'], ['zooms', 'at any zoom']]} />`}
        ${query.said && html`<${Said} classes=${classes} asked=${saidBy(models, query)} clear=${() => put('said')(null)} />`}
        ${mistakeFrom(query.mistake) && html`<${Mistake} classes=${classes} model=${model} pair=${mistakeFrom(query.mistake)} clear=${() => put('mistake')(null)} />`}`}
      ${(columns.error || columns.duplicates) && html`<${Select} label="Files" value=${query.state} set=${put('state')}
        options=${any([['error', 'cannot be read'], ['duplicates', 'have duplicates']])} />`}
      <div class="order">
        <${Select} label="Order" value=${query.sort} set=${put('sort')} options=${sorts} />
        <button type="button" aria-pressed=${String(Boolean(query.down))} title="Turn the order round"
          onClick=${() => change({ down: query.down ? null : 1 })}>${query.down ? '↓' : '↑'}<span class="unseen"> descending</span></button>
      </div>
      <${Select} label="Pictures" value=${query.size ?? 'medium'} set=${(value) => change({ size: value === 'medium' ? null : value })}
        options=${[['small', 'small'], ['medium', 'medium'], ['large', 'large']]} />
    </div>
    ${list}
  </section>`;
}
