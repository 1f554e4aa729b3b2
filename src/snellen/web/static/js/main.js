// Starts the page: loads what there is, draws the frame around the pages, follows runs that are still written.
import { loadClasses, loadSet } from './data.js';
import { Help } from './help.js';
import { useLoaded, useModels, useSite } from './loaded.js';
import { useRoute } from './route.js';
import { announce, html, Link, render, useEffect, useErrorBoundary, useMemo, useRef } from './ui.js';

const PAGES = {
  overview: { title: 'Overview', load: () => import('./overview.js').then((module) => module.Overview) },
  grid: { title: 'Images', load: () => import('./grid.js').then((module) => module.Grid) },
  image: { title: 'Image', load: () => import('./image.js').then((module) => module.ImagePage) },
  confusions: { title: 'Confusions', load: () => import('./confusions.js').then((module) => module.ConfusionsPage) },
  compare: { title: 'Compare', load: () => import('./compare.js').then((module) => module.ComparePage) },
  review: { title: 'Review', load: () => import('./review.js').then((module) => module.ReviewPage) },
};

const SHOWN = 4;
/** Keys of the models that a page is about: those the link names, else the first ones; of the overview all, of confusions one. */
function shownKeys(set, page, query) {
  if (page === 'confusions') return [query.m ?? set?.models.find((model) => model.ready)?.key].filter(Boolean);
  if (page === 'overview') return (set?.models ?? []).map((model) => model.key);
  const named = (query.models ?? '').split(',').filter(Boolean);
  const first = named.length ? named : (set?.models ?? []).slice(0, SHOWN).map((model) => model.key);
  return query.m && !first.includes(query.m) ? [query.m, ...first] : first;
}

function Frame({ site, set, route, children }) {
  const tabs = [
    site.kind === 'data' ? null : { page: 'overview', title: 'Overview' },
    { page: 'grid', title: 'Images' },
    set.models.length > 0 ? { page: 'confusions', title: 'Confusions' } : null,
    set.models.length > 1 ? { page: 'compare', title: 'Compare' } : null,
    site.kind === 'hard' ? { page: 'review', title: 'Review' } : null,
  ].filter(Boolean);
  const current = (page) => (route.page === page || (page === 'grid' && route.page === 'image') ? 'page' : null);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>Skip to the content</a>
    <header class="top">
      <${Link} class="brand" to=${{ page: site.kind === 'data' ? 'grid' : 'overview', set: set.key }}>Snellen<//>
      <nav aria-label="Pages">
        ${tabs.map((tab) => html`<${Link} key=${tab.page} to=${{ page: tab.page, set: set.key }} aria-current=${current(tab.page)}>${tab.title}<//>`)}
      </nav>
      ${site.sets.length > 1 && html`<nav class="sets" aria-label="Data sets">
        ${site.sets.map((one) => html`<${Link} key=${one.key} to=${{ page: route.page === 'image' ? 'grid' : route.page, set: one.key }}
          aria-current=${one.key === set.key ? 'true' : null}>${one.name}<//>`)}
      </nav>`}
      <span class="title" title=${site.title}>${site.title}</span>
      <${Help} />
    </header>
    ${children}`;
}

const Message = ({ title, text }) => html`<main id="main" tabindex="-1" class="message"><h1>${title}</h1><p>${text}</p></main>`;

function Page({ component: Component, ...props }) {
  const [error, reset] = useErrorBoundary((problem) => console.error(problem));
  useEffect(() => { if (error) reset(); }, [props.route.page, props.route.row]);
  if (error) return html`<${Message} title="This page failed" text=${String(error.message ?? error)} />`;
  return html`<main id="main" tabindex="-1" class=${`page page-${props.route.page}`}><${Component} ...${props} /></main>`;
}

function App() {
  const [site, failure] = useSite();
  const asked = useRoute();
  const set = site?.sets.find((one) => one.key === asked.set) ?? site?.sets[0] ?? null;
  const page = site?.kind === 'data' && asked.page === 'overview' ? 'grid' : asked.page;
  const query = set?.models.some((model) => model.key === asked.query.m) ? asked.query : { ...asked.query, m: null };
  const route = { ...asked, page, query, set: set?.key ?? null };
  const columns = useLoaded(set && `${set.key} ${set.version}`, () => loadSet(set));
  // Pictures are those of the columns that are shown, also while newer columns are on their way.
  const shownSet = useMemo(() => set && { ...set, version: columns.name?.slice(set.key.length + 1) }, [set, columns.name]);
  const classes = useLoaded(set?.space ?? null, () => loadClasses(set.space));
  const shown = shownKeys(set, page, query);
  const models = useModels(set, shown);
  const pending = (set?.models ?? []).filter((one) => shown.includes(one.key) && !one.error).length > models.length;
  const component = useLoaded(page, () => PAGES[page].load().then((found) => ({ found })));
  const error = columns.error ?? classes.error ?? component.error;
  const here = Boolean(set && columns.name?.startsWith(`${set.key} `) && columns.value && component.name === page && component.value
    && (!set.space || classes.name === set.space));
  const before = useRef(null);
  useEffect(() => {
    document.title = [PAGES[page].title, set?.name, 'Snellen'].filter(Boolean).join(' · ');
  }, [page, set?.name]);
  useEffect(() => {
    if (!here) return; // the focus would go with what says that it is loading
    if (before.current && before.current !== page) {
      document.getElementById('main')?.focus({ preventScroll: true });
      announce(PAGES[page].title);
    }
    before.current = page;
  }, [page, here]);

  if (!site) return failure && html`<${Message} title="Nothing to show" text=${failure} />`;
  if (!set) return html`<${Message} title="Nothing to show" text=${site.live ? 'There is no finished part of a run yet.' : 'There is no data set here.'} />`;
  return html`<${Frame} site=${site} set=${set} route=${route}>
    ${failure && html`<p class="notice" role="status">The server does not answer. The page tries again by itself.</p>`}
    ${here ? html`<${Page} key=${`${set.key} ${page}`} component=${component.value.found} site=${site} set=${shownSet} columns=${columns.value}
        classes=${classes.value ?? { keys: [], names: [], synonyms: [] }} models=${models} pending=${pending} route=${route} />`
      : error ? html`<${Message} title="Nothing to show" text=${error} />`
        : html`<main id="main" tabindex="-1"><p class="loading">Loading …</p></main>`}
  <//>`;
}

const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
