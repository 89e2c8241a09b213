// Which version of logferry this is, as package.json says.

import manifest from '../../package.json' with { type: 'json' };

/** A semantic version. */
export function packageVersion(): string {
  return manifest.version;
}
