// What the classifiers answered to an image at every zoom, small, beside the verdict; the view under the pointer with it.
import { loadAnswers, viewUrl } from './data.js';
import { cellText, Heat } from './heat.js';
import { html, Link, useEffect, useState } from './ui.js';

const MOST = 3; // the image's own page shows the others

export function ZoomMaps({ site, set, row, classes, settled }) {
  const [known, setKnown] = useState({ row: -1, maps: [] });
  const [chosen, setChosen] = useState(null);
  const models = set.models.filter((model) => model.ready && model.grid);
  useEffect(() => {
    if (!settled || !models.length) return undefined;
    let current = true;
    setChosen(null);
    Promise.allSettled(models.slice(0, MOST).map((model) => loadAnswers(set, model, row).then((answers) => ({ model, answers }))))
      .then((all) => current && setKnown({ row, maps: all.filter((one) => one.status === 'fulfilled').map((one) => one.value) }));
    return () => { current = false; };
  }, [row, settled, models.length]);
  if (known.row !== row || !known.maps.length) return null;
  const shown = chosen && known.maps.find(({ model }) => model.key === chosen.key);
  return html`<section class="review-zooms" aria-label="Answers at every zoom">
    <div class="review-maps">${known.maps.map(({ model, answers }) => html`<figure key=${model.key}>
      <figcaption>${model.name}</figcaption>
      <${Heat} name=${model.name} grid=${model.grid} answers=${answers} classes=${classes}
        zoom=${chosen?.key === model.key ? chosen.zoom : -1} choose=${(zoom) => setChosen({ key: model.key, zoom })} />
    </figure>`)}
      ${shown && site.live && html`<img src=${viewUrl(set, row, chosen.zoom, shown.model)} class="review-view" width="224" height="224" alt="the view" />`}
    </div>
    <p class="soft">${shown ? cellText(shown.model.grid, shown.answers, chosen.zoom, classes) : 'Point at a zoom to see its view and answer.'}
      ${models.length > MOST && html` <${Link} to=${{ page: 'image', set: set.key, row }}>All ${models.length} classifiers<//>`}</p>
  </section>`;
}
