// docs/warnings.md lists every message of level warn and error, each with what it means and what to do, and no other.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { type Message, messagesIn, messagesOf } from '../../support/messages-in-source.ts';
import { ROOT } from '../../support/paths.ts';

const SIDES = ['common', 'shipper', 'receiver', 'cli'];

/**
 * Where a message is logged that another file has made: nothing of it stands at the call. The first is the file that
 * made it, behind it what it says, with the level.
 */
const PASSED_ON: Readonly<Record<string, readonly [file: string, level: string, ...texts: string[]]>> = {
  // What restorer and #sayOnce are given is found where they are called.
  'common/record/begin.ts': ['common/stream/stream.ts', 'warn'],
  'common/stream/stream.ts': [
    'common/stream/stream.ts',
    'warn',
    'created again what had vanished: …, with … as before',
  ],
  'shipper/host/central.ts': ['shipper/host/central.ts', 'warn'],
  'shipper/session.ts': ['shipper/session.ts', 'warn'],
  // Found where it is called.
  'shipper/report/untold.ts': ['shipper/report/untold.ts', 'error'],
  'shipper/sources/sources.ts': [
    'shipper/discovery/circle.ts',
    'warn',
    "skipping …: it is this shipper's own log",
    "skipping what is below …: it is this shipper's own state",
    'skipping what is below …: a receiver writes there (…), and what it writes would go in a circle',
  ],
  'shipper/ship.ts': ['common/fleet/members.ts', 'error', '… was taken by a process on … (pid …)'],
  'receiver/receive.ts': ['common/fleet/members.ts', 'error', '… was taken by a process on … (pid …)'],
  ...Object.fromEntries(
    ['cli/daemon/receive.ts', 'cli/config/reload.ts', 'cli/daemon/ship.ts'].map((file) => [
      file,
      ['cli/config/secrets.ts', 'warn', '…: … holds a secret, and everybody may read …: chmod o= …'] as const,
    ]),
  ),
};

function key({ level, text }: Message): string {
  return `${level}: ${text}`;
}

/** What can be logged, by the files that say it. */
function logged(): string[] {
  const found = new Set<string>();
  for (const message of messagesIn(ROOT, SIDES)) {
    if (message.text !== '…') {
      found.add(key(message));
      continue;
    }
    const [, level, ...texts] = PASSED_ON[message.file] ?? [];
    assert.ok(
      level !== undefined,
      `${message.file} logs what others say: name them in PASSED_ON, or SPEAKERS`,
    );
    for (const text of texts) found.add(key({ level, text }));
  }
  return [...found].toSorted();
}

interface Row extends Message {
  readonly means: string;
  readonly todo: string;
}

function documented(): Row[] {
  const text = readFileSync(path.join(ROOT, 'docs/warnings.md'), 'utf8');
  return [...text.matchAll(/^\| `(.+?)` +\| (\w+) +\| (.*?) +\| (.*?) +\|$/gm)].map((row) => ({
    text: row[1] ?? '',
    level: row[2] ?? '',
    means: row[3] ?? '',
    todo: row[4] ?? '',
  }));
}

describe('docs/warnings.md', () => {
  test('has every message that can be logged, and no other', () => {
    assert.deepEqual(documented().map(key).toSorted(), logged());
  });

  test('says of each what it means and what to do', () => {
    for (const { text, level, means, todo } of documented()) {
      assert.ok(level === 'warn' || level === 'error', text);
      assert.ok(means.length > 5 && todo.length > 5, text);
    }
  });

  test('what is passed on is made where it is said to be', () => {
    for (const [file, ...rest] of Object.values(PASSED_ON)) {
      const source = readFileSync(path.join(ROOT, file), 'utf8');
      for (const words of rest.slice(1).flatMap((text) => text.split(/…|: /)))
        assert.ok(source.includes(words.trim()), `${file} does not say ${words}`);
    }
  });
});

describe('the reader of messages', () => {
  const read = (source: string, speakers: readonly string[] = []): string[] =>
    messagesOf(source, speakers).map(key);

  test('knows strings, templates, sums, conditions and constants', () => {
    assert.deepEqual(read("log.warn('a plain one')"), ['warn: a plain one']);
    assert.deepEqual(read('this.#log.error({ a: f(1, 2) }, `x ${y("}")} z`)'), ['error: x … z']);
    assert.deepEqual(read("options.log.warn(`a ${b}` +\n  'c' + `${d} e`)"), ['warn: a …c… e']);
    assert.deepEqual(read('const w = `in ${x}`; log.warn(`a ${w}; b`)'), ['warn: a in …; b']);
    assert.deepEqual(read("const w = f(x) ? 'one' : `two ${n}`;\nlog.warn(`${w}!`)"), [
      'warn: one!',
      'warn: two …!',
    ]);
    assert.deepEqual(read('log.warn(error.message)'), ['warn: …']);
    assert.deepEqual(read('log.warn(a ?? b?.c)'), ['warn: …']);
  });

  test('leaves the rest alone', () => {
    assert.deepEqual(read("log.info('x'); console.error('y'); catalog.warn('z')"), []);
    assert.deepEqual(read('const say = (line: string): void => {}; function say(line) {}', ['say']), []);
    assert.deepEqual(read("say('x'); this.say('a', `b ${c}`, 'info')", ['say']), ['warn: x']);
  });
});
