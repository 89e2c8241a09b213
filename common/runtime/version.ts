// Which version of logferry this is, as package.json says.

import { readFileSync } from 'node:fs';

/** The package's root is two levels up from common/runtime/, three from dist/common/runtime/. */
const ROOT = import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json';

/** A semantic version. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL(ROOT, import.meta.url), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version);
  throw new Error('BUG: package.json has no version');
}
