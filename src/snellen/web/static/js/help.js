// The keys of the page, shown by `?`.
import { activeKeys, html, useEffect, useKeys, useRef, useState } from './ui.js';

const NAMES = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc' };

export function Help() {
  const [open, setOpen] = useState(false);
  const dialog = useRef(null);
  useKeys([{ keys: ['?'], text: 'Show the keys', run: () => setOpen(true) }]);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
  }, [open]);
  const close = () => {
    dialog.current?.close();
    setOpen(false);
  };
  return html`
    <button type="button" class="quiet" aria-haspopup="dialog" title="Keys of this page" onClick=${() => setOpen(true)}>Keys</button>
    ${open && html`<dialog ref=${dialog} class="help" aria-labelledby="help-title" onClose=${close}>
      <h2 id="help-title">Keys</h2>
      <dl>${activeKeys().map((entry) => html`<div key=${entry.keys.join()}>
        <dt>${entry.keys.map((key, k) => html`${k ? ' ' : ''}<kbd>${NAMES[key] ?? key}</kbd>`)}</dt><dd>${entry.text}</dd>
      </div>`)}</dl>
      <button type="button" onClick=${close}>Close</button>
    </dialog>`}`;
}
