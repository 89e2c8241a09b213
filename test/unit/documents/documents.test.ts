// The documents lead somewhere: every link within the project is to a file that is there, and each promise of the README
// names the tests that prove it.

import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../support/paths.ts';

const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'bench/README.md',
  'test/README.md',
  ...readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** What a text links to, without what lies elsewhere. */
function linksOf(text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g), ...text.matchAll(/^\[[^\]]+\]: (\S+)$/gm)];
  return links.map((link) => link[1] ?? '').filter((link) => !/^[a-z]+:/.test(link));
}

/** The anchors of a document, as they are made of its headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map((heading) =>
    (heading[1] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

for (const document of DOCUMENTS)
  test(`${document} links to what is there`, () => {
    const text = readFileSync(path.join(ROOT, document), 'utf8');
    for (const link of linksOf(text)) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path.join(ROOT, document) : path.join(ROOT, path.dirname(document), file);
      assert.ok(existsSync(target), `${document}: ${link}`);
      if (anchor !== undefined && target.endsWith('.md'))
        assert.ok(anchorsOf(readFileSync(target, 'utf8')).includes(anchor), `${document}: ${link}`);
    }
  });

/** History speaks of files as they were. */
const PATHS_OF_TODAY = DOCUMENTS.filter((document) => document !== 'CHANGELOG.md');
/** A source file or a folder of ours in backticks; `*` for several. */
const OWN_PATH =
  /`(?<own>(?:\.ci|bench|cli|common|deploy|docs|receiver|shipper|test)\/[\w./*-]*(?:\.ts|\/))`/g;

for (const document of PATHS_OF_TODAY)
  test(`${document} names files and folders that are there`, () => {
    const text = readFileSync(path.join(ROOT, document), 'utf8');
    for (const { groups } of text.matchAll(OWN_PATH)) {
      const own = groups?.['own'] ?? '';
      const found = [ROOT, path.join(ROOT, path.dirname(document))].some(
        (from) => globSync(own, { cwd: from }).length > 0,
      );
      assert.ok(found, `${document}: ${own}`);
    }
  });

test('each promise of the README names tests', () => {
  const text = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const table = text.slice(
    text.indexOf('## What it promises'),
    text.indexOf('A byte counts as delivered when'),
  );
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (What happens|---)/.test(line));
  assert.ok(rows.length > 10);
  for (const row of rows)
    assert.ok(
      linksOf(row).some((link) => link.startsWith('test/')),
      row,
    );
});
