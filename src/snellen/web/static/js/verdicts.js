// What stands of the verdicts on a hard set, for pages that only show it.
import { useLoaded } from './loaded.js';
import { state } from './reviewapi.js';

/** The state of the verdicts; null until it is there, and where there is none. */
export function useVerdicts(site, wanted) {
  const name = wanted && site.kind === 'hard' ? 'verdicts' : null;
  return useLoaded(name, () => state(site, null).then(({ body }) => body)).value;
}
