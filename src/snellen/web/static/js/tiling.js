// Where the cells of the grid lie: pure geometry. At most MOST_CELLS are on the page at once, whatever its size.

export const MOST_CELLS = 160;
// Widths of cells in pixels, where letters are of the usual size.
export const SIZES = { small: 110, medium: 160, large: 240 };
const SPARE = 2; // rows drawn beyond each edge of the window
const TEXT = 46; // of text under a picture

/**
 * Columns and height of a row for a window, cells about as wide as asked for but never too many of them.
 * scale: how many times the usual size letters are.
 */
export function tile(width, height, size, scale = 1) {
  let columns = Math.max(1, Math.floor(width / (scale * SIZES[Object.hasOwn(SIZES, size ?? '') ? size : 'medium'])));
  let rowHeight = 0;
  let rows = 0;
  for (;;) {
    rowHeight = Math.floor(width / columns + scale * TEXT);
    rows = Math.ceil(height / rowHeight) + 1 + 2 * SPARE;
    if (columns * rows <= MOST_CELLS || columns === 1) break;
    columns -= 1;
  }
  return { columns, rowHeight, rows };
}

/** First and last + 1 place of the cells to be drawn, of `count`, where the window begins `top` pixels down. */
export function visible({ columns, rowHeight, rows }, count, top) {
  const lines = Math.ceil(count / columns);
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - SPARE, lines - rows));
  return [first * columns, Math.min(count, (first + rows) * columns)];
}

/** Height of all cells together. */
export const fullHeight = ({ columns, rowHeight }, count) => Math.ceil(count / columns) * rowHeight;

/** Where the window must begin so that the cell at a place is seen, as near to `top` as can be. */
export function reveal({ columns, rowHeight }, place, top, height) {
  const start = Math.floor(place / columns) * rowHeight;
  if (start < top) return start;
  if (start + rowHeight > top + height) return start + rowHeight - height;
  return top;
}
