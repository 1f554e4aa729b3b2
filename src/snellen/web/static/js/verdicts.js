// What stands of the verdicts on a hard set, for pages that only show it.
import { useEffect, useState } from './ui.js';

/** The state of the verdicts; null until it is there, and where there is none. */
export function useVerdicts(site, wanted) {
  const [verdicts, setVerdicts] = useState(null);
  useEffect(() => {
    if (!wanted || site.kind !== 'hard') return undefined;
    let current = true;
    fetch(site.live ? 'api/verdicts' : 'data/verdicts.json')
      .then((answer) => (answer.ok ? answer.json() : null))
      .then((found) => current && setVerdicts(found), () => {});
    return () => { current = false; };
  }, [site.live, site.kind, wanted]);
  return verdicts;
}
