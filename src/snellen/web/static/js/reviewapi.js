// What the review page says to the server, and hears: the state of the log, and that verdicts are on the disk.

const PATIENCE = 30000; // ms; sending again does no harm

/** A UUID; also where the browser keeps `randomUUID` to itself, which is without https. */
export function newClient() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** What stands: `{tag, body}`; null where it is what `tag` named. */
export async function state(site, tag) {
  const answer = await fetch(site.live ? 'api/verdicts' : 'data/verdicts.json', { cache: 'no-cache', signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw Object.assign(new Error(`The verdicts cannot be read: the server answered ${answer.status}.`), { told: true });
  const found = answer.headers.get('etag');
  return found !== null && found === tag ? null : { tag: found, body: await answer.json() };
}

/** Sends verdicts of one client: `{status, body}`; rejects where there is no answer. */
export async function post(verdicts) {
  const answer = await fetch('api/verdicts', {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Snellen': 'review' },
    body: JSON.stringify({ verdicts }), signal: AbortSignal.timeout(PATIENCE),
  });
  return { status: answer.status, body: await answer.json().catch(() => null) };
}

/** A store of the browser, or null where it has none. */
export function storeOf(name) {
  try {
    return window[name] ?? null;
  } catch {
    return null;
  }
}
