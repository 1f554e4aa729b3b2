// Where the window of a view lies on its picture: the arithmetic of the renderer, as pure functions.

/** Rounds a half to the even side. */
function halfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** A rule with everything that is left out filled in as the study has it. */
export const ruleOf = (given) => ({
  size: 224, anchor: 'thirds', fit: 'shorter', flip: false, ...given, resize: given.resize ?? given.scale,
});

/** Width and height in pixels after the rule has resized an image. */
export function resized(rule, width, height) {
  if (rule.fit === 'squash') return [rule.resize, rule.resize];
  const longer = Math.trunc((rule.resize * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? [rule.resize, longer] : [longer, rule.resize];
}

/** Start of the window on an axis of the resized image; negative where it reaches over the image. */
export function start(rule, cell, length) {
  const { size } = rule;
  if (rule.anchor === 'thirds') {
    const third = Math.floor(length / 3);
    return cell * third + Math.floor(third / 2) - Math.floor(size / 2);
  }
  if (rule.anchor === 'floor') return [0, Math.floor((length - size) / 2), length - size][cell];
  if (length < size) return 0 - Math.floor((size - length) / 2);
  return [0, halfEven((length - size) / 2), length - size][cell];
}

/** Left and top of the window in a resized image. */
export const corner = (rule, width, height) => [start(rule, rule.col, width), start(rule, rule.row, height)];

/** The window as shares of the picture's width and height; below 0 or over 1 where it reaches over the picture. */
export function windowOn(given, width, height) {
  const rule = ruleOf(given);
  const [across, down] = resized(rule, width, height);
  const [left, top] = corner(rule, across, down);
  return { left: left / across, top: top / down, width: rule.size / across, height: rule.size / down };
}

/** The part of the plane that holds picture and window, in shares of the picture; a window is shown up to `most` of it. */
export function field(box, most = 1) {
  const left = Math.max(-most, Math.min(0, box.left));
  const top = Math.max(-most, Math.min(0, box.top));
  const right = Math.min(1 + most, Math.max(1, box.left + box.width));
  const bottom = Math.min(1 + most, Math.max(1, box.top + box.height));
  return { left, top, width: right - left, height: bottom - top };
}
