// The configurations in deploy/nats, for a test to start servers from.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

/** One of them, without where clients connect, which the test gives itself; with these texts replaced. */
export async function deployed(name: string, changes: Readonly<Record<string, string>>): Promise<string> {
  let text = await readFile(new URL(`../../deploy/nats/${name}`, import.meta.url), 'utf8');
  assert.match(text, /^listen: /m);
  text = text.replace(/^listen: .*$/m, '');
  for (const [from, to] of Object.entries(changes)) {
    assert.ok(text.includes(from), `${name} does not say ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
