// A picture with the window of a view drawn on it. What the window takes in from beyond the picture is black.
import { html, useState } from './ui.js';
import { field, ruleOf, windowOn } from './window.js';

const FLATTEST = 2.5; // of a frame, so that what a window adds above and below a panorama can be seen

const percent = (share) => `${(100 * share).toFixed(3)}%`;

/** width, height: of the original, in pixels; those of the picture itself where they are not known. */
export function Picture({ src, alt, rule, width, height }) {
  const [own, setOwn] = useState(null);
  const [failed, setFailed] = useState(null);
  const across = width > 0 ? width : own?.[0];
  const down = height > 0 ? height : own?.[1];
  const box = rule && across && down ? windowOn(rule, across, down) : null;
  const whole = box ? field(box) : { left: 0, top: 0, width: 1, height: 1 };
  const style = (part) => ({
    left: percent((part.left - whole.left) / whole.width),
    top: percent((part.top - whole.top) / whole.height),
    width: percent(part.width / whole.width),
    height: percent(part.height / whole.height),
  });
  const ratio = across && down ? (whole.width * across) / (whole.height * down) : 4 / 3;
  const shape = across && down ? Math.min(FLATTEST, across / down) : 4 / 3;
  return html`<div class="picture-frame" style=${{ '--own': shape.toFixed(4) }}><div class=${own ? 'picture' : 'picture waiting'} style=${{ aspectRatio: String(ratio), '--ratio': ratio.toFixed(4) }}>
    ${failed === src
      ? html`<p class="soft">The picture cannot be shown.</p>`
      : html`<img src=${src} alt=${alt} style=${style({ left: 0, top: 0, width: 1, height: 1 })}
          onLoad=${(event) => setOwn([event.target.naturalWidth, event.target.naturalHeight])}
          onError=${() => setFailed(src)} />`}
    ${box && html`<div class="window" data-window=${[box.left, box.top, box.width, box.height].join(' ')} style=${style(box)}></div>`}
  </div></div>`;
}

const ROWS = ['top', 'middle', 'bottom'];
const COLS = ['left', 'centre', 'right'];
/** Where a zoom looks, in words. */
export const placeText = (rule) => `${ROWS[rule.row]} ${COLS[rule.col]}`;
/** A zoom in words. */
export const zoomText = (rule) => `scale ${rule.scale}, ${placeText(rule)}${rule.flip ? ', mirrored' : ''}`;

/** A zoom with its group, and how much lies outside the picture. */
export function describe(given, width, height) {
  const rule = ruleOf(given);
  if (!(width > 0 && height > 0)) return zoomText(rule);
  const box = windowOn(rule, width, height);
  const inside = (from, length) => Math.max(0, Math.min(1, from + length) - Math.max(0, from)) / length;
  const outside = 1 - inside(box.left, box.width) * inside(box.top, box.height);
  return `${zoomText(rule)}${outside > 0.0005 ? `; ${Math.round(100 * outside)} % of the view is black` : ''}`;
}
