// The house rules of the source, checked on its imports (type imports too): which folder may use which, no circles, pure
// files without I/O, and no file that outgrows the rest. Reads the source as text; runs none of it.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../support/paths.ts';

const MOST_LINES = 300;
const MOST_ENTRIES = 20;

/** Longer than MOST_LINES for now, and how long. A line may only get a smaller number, or go. */
const TOO_LONG: Readonly<Record<string, number>> = {
  'receiver/term/writer.ts': 675,
  'shipper/sources/source.ts': 550,
  'shipper/session.ts': 615,
  'receiver/term/partition.ts': 554,
  'receiver/ledger/ledger.ts': 483,
  'shipper/sources/sources.ts': 520,
  'receiver/ownership/ownership.ts': 432,
  'receiver/disk/destination.ts': 401,
  'receiver/receive.ts': 393,
  'common/record/record.ts': 343,
  'common/stream/stream.ts': 375,
  'receiver/disk/segments.ts': 362,
  'shipper/cursor/tailer.ts': 341,
  'common/record/store.ts': 344,
  'receiver/read/reader.ts': 338,
  'common/nats/connection.ts': 333,
};

/** A room is a folder. These files are rooms of their own: everything in their folder may use them. */
const OWN_ROOMS = ['shipper/options.ts', 'receiver/options.ts'];

/** As many call themselves pure, at least: none may lose the word in silence. */
const LEAST_PURE = 70;

/** What a file that calls itself pure may take from Node: computing, no I/O, no clock. */
const PURE_MODULES = ['node:path', 'node:crypto', 'node:util'];
const IMPURE =
  /\b(?:setTimeout|setInterval|setImmediate|fetch)\(|\b(?:Date|performance)\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.|\bconsole\./;

const FILES = globSync('{cli,common,shipper,receiver}/**/*.ts', { cwd: ROOT }).toSorted();
const SOURCES = new Map(FILES.map((file) => [file, readFileSync(path.join(ROOT, file), 'utf8')]));
/** Which files each file imports, whether for types, values or later. */
const IMPORTS = new Map(FILES.map((file) => [file, importsOf(file)]));

function sourceOf(file: string): string {
  return SOURCES.get(file) ?? '';
}

function specifiersOf(file: string): string[] {
  return [...sourceOf(file).matchAll(/(?:^import |\bfrom |\bimport\()'(?<specifier>[^']+)'/gm)].map(
    ({ groups }) => groups?.['specifier'] ?? '',
  );
}

function importsOf(file: string): string[] {
  return specifiersOf(file)
    .filter((specifier) => /^\..*\.(?:ts|json)$/.test(specifier))
    .map((specifier) => path.join(path.dirname(file), specifier));
}

function roomOf(file: string): string {
  return OWN_ROOMS.includes(file) ? file : path.dirname(file);
}

/** A way from a node back to itself, if there is one. */
function circle(arrows: ReadonlyMap<string, Iterable<string>>): string[] | undefined {
  const done = new Set<string>();
  const walk = (at: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(at)) return [...way.slice(way.indexOf(at)), at];
    if (done.has(at)) return undefined;
    for (const next of arrows.get(at) ?? []) {
      const found = walk(next, [...way, at]);
      if (found !== undefined) return found;
    }
    done.add(at);
    return undefined;
  };
  for (const start of arrows.keys()) {
    const found = walk(start, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

test('imports lead to files that exist', () => {
  for (const [file, imported] of IMPORTS)
    for (const target of imported)
      assert.ok(SOURCES.has(target) || target === 'package.json', `${file} imports ${target}`);
});

test('no file imports itself through others, types included', () => {
  assert.equal(circle(IMPORTS)?.join(' -> '), undefined);
});

test('arrows between folders run one way', () => {
  const rooms = new Map<string, Set<string>>();
  for (const [file, imported] of IMPORTS)
    for (const target of imported) {
      const [from, to] = [roomOf(file), roomOf(target)];
      if (from !== to) rooms.set(from, (rooms.get(from) ?? new Set()).add(to));
    }
  assert.equal(circle(rooms)?.join(' -> '), undefined);
});

test('common knows neither side, the sides do not know each other, and nobody knows cli', () => {
  const allowed: Readonly<Record<string, readonly string[]>> = {
    common: ['common'],
    shipper: ['common', 'shipper'],
    receiver: ['common', 'receiver'],
    cli: ['common', 'shipper', 'receiver', 'cli'],
  };
  for (const [file, imported] of IMPORTS)
    for (const target of imported) {
      const [from = '', to = ''] = [file.split('/')[0], target.split('/')[0]];
      assert.ok(target === 'package.json' || allowed[from]?.includes(to), `${file} imports ${target}`);
    }
});

test('cli uses only the files at the top of shipper and receiver', () => {
  for (const [file, imported] of IMPORTS)
    for (const target of imported)
      if (file.startsWith('cli/') && /^(?:shipper|receiver)\//.test(target))
        assert.match(target, /^[^/]+\/[^/]+$/, `${file}: what it needs belongs into a file at the top`);
});

test('files that call themselves pure do no I/O and ask no clock', () => {
  const pure = FILES.filter((file) => /\bPure\b/.test(openingOf(file)));
  assert.ok(pure.length >= LEAST_PURE, `only ${pure.length} files call themselves pure`);
  for (const file of pure) {
    for (const specifier of specifiersOf(file)) {
      const isAllowed = !/^(?:node:|@nats-io\/)/.test(specifier) || PURE_MODULES.includes(specifier);
      assert.ok(isAllowed || isForTypes(file, specifier), `${file} imports ${specifier}`);
    }
    assert.doesNotMatch(codeOf(file), IMPURE, `${file} is not pure`);
  }
});

test('log files are reached through one port', () => {
  const isTailing = (file: string): boolean =>
    /^shipper\/(?:cursor|discovery|files|lane|sources)\//.test(file);
  const direct = FILES.filter(
    (file) => isTailing(file) && specifiersOf(file).some((specifier) => specifier.startsWith('node:fs')),
  );
  // What is watched is told, and its limit asked, by the system itself.
  assert.deepEqual(direct.toSorted(), [
    'shipper/discovery/directories.ts',
    'shipper/discovery/watch.ts',
    'shipper/files/disk.ts',
  ]);
});

/** The comment with which a file begins. */
function openingOf(file: string): string {
  return /^(?:#!.*\n)?(?:\/\/.*\n)+/.exec(sourceOf(file))?.[0] ?? '';
}

function isForTypes(file: string, specifier: string): boolean {
  return sourceOf(file)
    .split(';\n')
    .filter((statement) => statement.endsWith(`from '${specifier}'`))
    .every((statement) => /^\s*import type\b/.test(statement));
}

/** Without comments. */
function codeOf(file: string): string {
  return sourceOf(file).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

test('no file is longer than others can read', () => {
  for (const file of FILES) {
    const lines = sourceOf(file).split('\n').length - 1;
    const most = TOO_LONG[file] ?? MOST_LINES;
    assert.ok(lines <= most, `${file} has ${lines} lines, of at most ${most}: split it by idea`);
  }
  for (const [file, most] of Object.entries(TOO_LONG)) {
    const lines = sourceOf(file).split('\n').length - 1;
    assert.ok(lines > MOST_LINES, `${file} has ${lines} lines: take it off the list`);
    assert.equal(lines, most, `${file} is shorter now: write ${lines} into the list`);
  }
});

test('no folder holds more than one can take in', () => {
  const folders = Map.groupBy(FILES, (file) => path.dirname(file));
  for (const [folder, files] of folders)
    assert.ok(
      files.length <= MOST_ENTRIES,
      `${folder} has ${files.length} files, of at most ${MOST_ENTRIES}`,
    );
});
