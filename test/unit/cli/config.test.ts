// Configuration files without any daemon: what is read, refused (and where), substituted, included, what beats what, and
// what is shown.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { Command } from 'commander';
import { type Document, isMap, isScalar, isSeq, parseDocument } from 'yaml';

import { allKeys, readConfig } from '../../../cli/config/read.ts';
import { fileSchema, jsonSchema } from '../../../cli/config/keys.ts';
import { masked } from '../../../cli/config/secrets.ts';
import type { Setting } from '../../../cli/config/setting.ts';
import { receiveSettings, shipSettings } from '../../../cli/config/settings.ts';
import { substitute } from '../../../cli/config/text.ts';
import { addFlags, commandLineOf, type CommandLine } from '../../../cli/flags/flag.ts';
import { receiveFlags } from '../../../cli/flags/receive.ts';
import { shipFlags } from '../../../cli/flags/ship.ts';
import { LogferryError, oneLine } from '../../../common/runtime/errors.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'logferry-config-'));
after(() => {
  rmSync(directory, { recursive: true });
});

/** Writes files below a new directory; returns the path of the first. */
function write(files: Record<string, string>): string {
  const root = mkdtempSync(path.join(directory, 'x-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text, { mode: 0o600 });
  }
  return path.join(root, Object.keys(files)[0] ?? '');
}

function lineOf(daemon: 'ship' | 'receive', args: readonly string[]): CommandLine {
  const schema = daemon === 'ship' ? shipFlags : receiveFlags;
  const command = new Command(daemon).argument('[glob...]').exitOverride();
  addFlags(command, schema);
  command.parse([...args], { from: 'user' });
  return commandLineOf(command, schema);
}

async function ship(file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  return await shipSettings(lineOf('ship', [...args, '--config', file]), env);
}

async function receive(file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  return await receiveSettings(lineOf('receive', [...args, '--config', file]), env);
}

function setting(settings: readonly Setting[], key: string): Setting {
  const found = settings.find((one) => one.key === key);
  assert.ok(found !== undefined, `no ${key}`);
  return found;
}

/** The one line that it is refused with, the directory left out of it. */
async function refusal(work: Promise<unknown>, file: string): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof LogferryError && error.code === 'usage', String(error));
    return oneLine(error).replaceAll(`${path.dirname(file)}/`, '');
  }
  return assert.fail('it was taken');
}

const SOURCE = 'sources: [{paths: /a}]';

test('everything that the flags can do, as the same options', async () => {
  const file = write({
    'x.yaml': [
      'server: {url: "nats://h", user: u, password: 007}',
      'stream: S1',
      'prefix: s.one',
      'log: {level: debug, file: /tmp/l}',
      'ship:',
      '  host: web1',
      '  state: /tmp/s',
      '  compression: none',
      '  max-rate: 10MB',
      '  once: true',
      '  timeout: 1m30s',
      '  hub-domain: central',
      '  lease: 5s',
      '  sources:',
      '    - paths: /a/*.log',
      '      from: end',
      '      exclude: [x, "*y"]',
      '      default-excludes: false',
      '      ignore-older: 7d',
      '      follow-symlinks: false',
      '      rotate-wait: 10s',
      '      path-prefix: /host',
    ].join('\n'),
  });
  const flags = [
    ...['/a/*.log', '--server', 'nats://h', '--user', 'u', '--password', '007', '--stream', 'S1'],
    ...[
      '--prefix',
      's.one',
      '--log-level',
      'debug',
      '--log-file',
      '/tmp/l',
      '--host',
      'web1',
      '--state',
      '/tmp/s',
    ],
    ...['--compression', 'none', '--max-rate', '10MB', '--once', '--timeout', '1m30s', '--lease', '5s'],
    ...['--hub-domain', 'central'],
    ...[
      '--from',
      'end',
      '--exclude',
      'x',
      '--exclude',
      '*y',
      '--no-default-excludes',
      '--ignore-older',
      '7d',
    ],
    ...['--no-follow-symlinks', '--rotate-wait', '10s', '--path-prefix', '/host'],
  ];
  const byFlags = await shipSettings(lineOf('ship', flags), {});
  assert.deepEqual((await ship(file)).options, byFlags.options);

  const central = write({
    'y.yaml': [
      'receive:',
      '  out: /tmp/o',
      '  id: r1',
      '  index: 1',
      '  of: 4',
      '  give-up-after: 1h',
      '  hand-over-after: off',
      '  rotate-size: off',
      '  rotate-interval: 6h',
      '  compress: gzip',
      '  keep-count: 5',
      '  keep-age: 30d',
      '  keep-total: 1.5GiB',
      '  file-mode: 0640',
      '  file-owner: 0:4',
    ].join('\n'),
  });
  const same = [
    ...['--out', '/tmp/o', '--id', 'r1', '--index', '1', '--of', '4', '--give-up-after', '1h'],
    ...['--hand-over-after', 'off', '--rotate-size', 'off', '--rotate-interval', '6h', '--compress', 'gzip'],
    ...['--keep-count', '5', '--keep-age', '30d', '--keep-total', '1.5GiB', '--file-mode', '0640'],
    ...['--file-owner', '0:4'],
  ];
  const { options } = await receiveSettings(lineOf('receive', same), {});
  assert.deepEqual((await receive(central)).options, options);
});

test('what is wrong is refused with file, line and column', async () => {
  const cases: [text: string, expected: string][] = [
    ['ship:\n  max-rte: 5MB\n', 'x.yaml:2:3: unknown key ship.max-rte: did you mean ship.max-rate?'],
    ['ship: {__proto__: 1}', 'x.yaml:1:8: unknown key ship.__proto__: did you mean ship.as?'],
    ['toString: 1', 'x.yaml:1:1: unknown key toString: did you mean log?'],
    ['"a\\e[31mb": 1', 'x.yaml:1:1: unknown key a\\x1b[31mb: did you mean include?'],
    ['include: "a\\eb"', 'there is no file a\\x1bb: give the path of a YAML file that this user may read'],
    ['sources: []\n', 'x.yaml:1:1: unknown key sources: it is ship.sources'],
    [
      'ship:\n  sources:\n    - paths: /a\n      ignore-odler: 7d\n',
      'x.yaml:4:7: unknown key ship.sources.ignore-odler: did you mean ship.sources.ignore-older?',
    ],
    ['server:\n  host: x\n', 'x.yaml:2:3: unknown key server.host: it is ship.host'],
    [
      'ship: {max-rate: fast}',
      'x.yaml:1:8: ship.max-rate: "fast" is not a size: write it like 100MiB or 2GB',
    ],
    [
      'log: {level: loud}',
      'x.yaml:1:7: log.level is "loud", expected trace or debug or info or warn or error or fatal or silent',
    ],
    ['ship: {once: yes}', 'x.yaml:1:8: ship.once is "yes", expected true or false'],
    ['ship:\n  host:\n', 'x.yaml:2:3: ship.host has no value: give one, or leave the key out'],
    ['ship: {host: [a, b]}', 'x.yaml:1:8: ship.host holds something else than a single value'],
    ['ship: 5', 'x.yaml:1:7: ship holds no keys: write them like "key: value"'],
    ['- a', 'x.yaml:1:1: the file holds no keys: write them like "key: value"'],
    ['ship: {sources: 5}', 'x.yaml:1:8: ship.sources is not a list: begin each source with "- paths:"'],
    [
      'ship: {sources: [{from: end}]}',
      `x.yaml:1:18: a source without paths: say which files, like paths: ['/var/log/*.log']`,
    ],
    ['ship: {sources: [/var/log]}', 'x.yaml:1:18: a source holds no keys: write them like "key: value"'],
    ['ship: {sources: [{paths: ""}]}', 'x.yaml:1:19: ship.sources.paths is "", expected a glob'],
    [
      `ship:\n  ${SOURCE}\n  ${SOURCE}\n`,
      "x.yaml:3:3: this key stands here a second time: quote a value with special characters, like '*.log'",
    ],
    [
      'ship: {sources: [{paths: *.log}]}',
      "x.yaml:1:26: an alias (*) without its anchor: quote a value that begins with *, like '*.log'",
    ],
    [
      'ship: {timeout: 5s, sources: [{paths: /a}]}',
      'ship.timeout (x.yaml:1:8) is for --once: add --once, or leave ship.timeout (x.yaml:1:8) out',
    ],
    [
      'ship: {as: /x, sources: [{paths: /a}]}',
      'ship.as (x.yaml:1:8) is for -, standard input: give - in place of the globs',
    ],
    [
      'server: {user: u}\nship: {sources: [{paths: /a}]}',
      'server.user (x.yaml:1:10) needs --password: give both, or neither',
    ],
    ['stream: a.b', 'x.yaml:1:1: stream is "a.b", expected a name of letters, digits, _ and -, at most 200'],
    ['', 'x.yaml has no ship.sources, and no glob is given: say which files are shipped, in one of the two'],
    ['include: y.yaml', 'there is no file y.yaml: give the path of a YAML file that this user may read'],
  ];
  for (const [text, expected] of cases) {
    const file = write({ 'x.yaml': text });
    assert.equal(await refusal(ship(file), file), expected, text);
  }
  const file = write({ 'x.yaml': 'receive: {out: /o, own: 0-3, index: 1, of: 2}' });
  assert.equal(
    await refusal(receive(file), file),
    'receive.own (x.yaml:1:20) and receive.index (x.yaml:1:30) contradict each other: give only one of them',
  );
});

test('what is no YAML is refused without a word of what the file says', async () => {
  const texts = [
    'server: {password: }hunter2',
    'server:\n  password: @hunter2',
    'server:\n  token: !hunter2 x',
  ];
  for (const text of [
    ...texts,
    'server: {token: *hunter2}',
    '%hunter2\n---\nship: {}',
    'a: hunter2: b',
    'x: "\\hunter2"',
  ]) {
    const file = write({ 'x.yaml': text });
    const line = await refusal(ship(file), file);
    assert.match(line, /^x\.yaml:\d+:\d+: /);
    assert.ok(!line.includes('hunter2'), line);
  }
  const binary = write({ 'x.yaml': '' });
  writeFileSync(binary, Buffer.from([0xff, 0xfe, 0x00]));
  assert.equal(await refusal(ship(binary), binary), 'x.yaml is not UTF-8: save it as UTF-8');
  assert.match(await refusal(ship(directory), directory), /is a directory/);
});

test('${NAME}, with a default, missing, empty, literal', async () => {
  const env = { A: 'a', EMPTY: '', YAML: '{x: [' };
  assert.equal(substitute('${A}-${B:-b}-${EMPTY:-c}-$${A}-$A-${C:-}', env, 'x'), 'a-b-c-${A}-$A-');
  for (const text of ['${', '${}', '${1}', '${A', '${A:b}', '${A-b}'])
    assert.throws(() => substitute(text, env, 'x'), /x: \$\{ begins no \$\{NAME\}/, text);
  const file = write({
    'x.yaml': `ship:\n  ${SOURCE}\n  host: web-\${A}\n  once: \${ONCE:-false}\n  state: "\${YAML}"\n`,
  });
  const { options } = await ship(file, [], env);
  assert.deepEqual([options.host, options.once, options.state], ['web-a', false, '{x: [']);
  for (const [variable, what] of [
    ['NONE', 'not set'],
    ['EMPTY', 'empty'],
  ] as const) {
    const bad = write({ 'x.yaml': `ship:\n  host: \${${variable}}\n` });
    assert.equal(
      await refusal(ship(bad, [], env), bad),
      `x.yaml:2:3: ship.host: the environment variable ${variable} is ${what}: set it, or write \${${variable}:-default}`,
    );
  }
});

test('includes: relative to their file, by name, each once, sources added up', async () => {
  const source = (name: string): string => `ship: {sources: [{paths: /${name}}]}\n`;
  const file = write({
    'x.yaml': `include: [conf.d/*.yaml, none.d/*.yaml]\n${source('x')}`,
    'conf.d/b.yaml': source('b'),
    'conf.d/a.yaml': `include: ['../deep/c.yaml', b.yaml]\n${source('a')}`,
    'conf.d/d.txt': 'no',
    'deep/c.yaml': `log: {level: warn}\n${source('c')}`,
  });
  const { options, log } = await ship(file);
  assert.deepEqual(
    options.sources.flatMap(({ globs }) => globs),
    ['/x', '/a', '/c', '/b'],
  );
  assert.equal(log.logLevel, 'warn');

  const twice = write({ 'x.yaml': 'include: y.yaml\nstream: A\n', 'y.yaml': '\nstream: A\n' });
  assert.equal(
    await refusal(ship(twice), twice),
    'y.yaml:2:1: stream is given a second time, first at x.yaml:2:1: give it in one of the files',
  );
  const circle = write({ 'x.yaml': 'include: y.yaml', 'y.yaml': 'log: {}\ninclude: "*.yaml"' });
  assert.match(
    await refusal(ship(circle), circle),
    /^y\.yaml:2:1: include goes in a circle: x\.yaml includes y\.yaml/,
  );
});

test('flag beats environment beats file beats default, and each says where it came from', async () => {
  const file = write({
    'x.yaml': `server: {url: "nats://file"}\nship:\n  max-rate: 5MB\n  compression: none\n  sources: [{paths: /a, exclude: x}]\n`,
  });
  const { options, settings } = await ship(file, ['--max-rate', '7MB', '--from', 'end', '--exclude', 'y'], {
    NATS_URL: 'nats://environment',
  });
  assert.equal(options.maxRate, 7_000_000);
  assert.equal(options.server.server, 'nats://environment:4222');
  assert.deepEqual([options.sources[0]?.from, options.sources[0]?.exclude], ['end', ['x', 'y']]);
  const origins = Object.fromEntries(
    [
      'ship.max-rate',
      'server.url',
      'ship.compression',
      'ship.lease',
      'ship.sources[0].paths',
      'ship.sources[0].from',
    ].map((key) => [key, setting(settings, key).from]),
  );
  assert.deepEqual(origins, {
    'ship.max-rate': { kind: 'flag', name: '--max-rate' },
    'server.url': { kind: 'environment', variable: 'NATS_URL' },
    'ship.compression': { kind: 'file', place: `${file}:4:3` },
    'ship.lease': { kind: 'default' },
    'ship.sources[0].paths': { kind: 'file', place: `${file}:5:14` },
    'ship.sources[0].from': { kind: 'flag', name: '--from' },
  });
  assert.equal((await ship(file, [], { NATS_URL: '' })).options.server.server, 'nats://file:4222');
  assert.match(
    await refusal(ship(file, ['/b']), file),
    /^\/b on the command line and ship\.sources \(x\.yaml:5:13\)/,
  );
  const plain = write({ 'x.yaml': 'ship: {max-rate: 5MB}' });
  assert.deepEqual((await ship(plain, ['/b'])).options.sources[0]?.globs, ['/b']);
  const pipe = write({ 'x.yaml': 'ship: {as: /x, spool-size: 2MiB}' });
  assert.deepEqual((await ship(pipe, ['-'])).options.stdin, { path: '/x', maxBytes: 2 * 1024 * 1024 });
});

test('secrets are masked, and a file of them that everybody may read is said', async () => {
  const source = `ship: {${SOURCE}}`;
  const cases: [server: string, secret: string | undefined][] = [
    ['{user: u, password: hunter2}', 'server.password'],
    ['{token: hunter2}', 'server.token'],
    ['{token: "${T}"}', undefined],
    ['{token: "${T}x"}', 'server.token'],
    ['{url: "nats://u:hunter2@h"}', 'server.url'],
    ['{url: "nats://hunter2@h"}', 'server.url'],
    ['{url: "nats://u:${T}@h"}', undefined],
    ['{url: "nats://h"}', undefined],
  ];
  for (const [server, secret] of cases) {
    const file = write({ 'x.yaml': `server: ${server}\n${source}\n` });
    for (const closed of [0o600, 0o640]) {
      chmodSync(file, closed);
      assert.deepEqual((await ship(file, [], { T: 'hunter2' })).warnings, []);
    }
    chmodSync(file, 0o644);
    const { warnings, settings } = await ship(file, [], { T: 'hunter2' });
    assert.equal(warnings.length, secret === undefined ? 0 : 1, server);
    if (secret !== undefined) assert.ok(warnings[0]?.includes(`${secret} holds a secret`), warnings[0]);
    const shown = JSON.stringify([settings.map((one) => [one.key, masked(one)]), warnings]);
    assert.ok(!shown.includes('hunter2'), shown);
    if (server.includes('hunter2') || server.includes('$')) assert.ok(shown.includes('***'), shown);
  }
});

/** By key, each plain value of a document; a source's behind ship.sources. */
function valuesOf(document: Document): Map<string, string> {
  const values = new Map<string, string>();
  const walk = (node: unknown, within: string): void => {
    if (isMap(node))
      for (const { key, value } of node.items) {
        const name = `${within}${isScalar(key) ? String(key.value) : ''}`;
        if (isScalar(value)) values.set(name, value.source ?? String(value.value));
        else if (isSeq(value) && !isMap(value.items[0])) values.set(name, JSON.stringify(value.toJSON()));
        else walk(value, `${name}.`);
      }
    if (isSeq(node)) for (const item of node.items) walk(item, within);
  };
  walk(document.contents, '');
  return values;
}

test('logferry.example.yaml is taken, has every key, and its defaults are the real ones', async () => {
  const example = new URL('../../../logferry.example.yaml', import.meta.url).pathname;
  const { options, settings } = await ship(example);
  const { options: received, settings: receiveShown } = await receive(example);
  assert.equal(options.sources.length, 1);
  assert.equal(received.out, '/srv/logs');

  const plain = await shipSettings(lineOf('ship', ['/var/log/*.log']), {});
  const plainReceive = await receiveSettings(lineOf('receive', ['--out', '/srv/logs']), {});
  const values = (all: readonly Setting[]): object =>
    Object.fromEntries(all.map(({ key, value }) => [key, value]));
  assert.deepEqual(values(settings), values(plain.settings));
  assert.deepEqual(values(receiveShown), values(plainReceive.settings));

  const whole = readFileSync(example, 'utf8').replaceAll(/^( *)#(?=[a-z-]+:)/gm, '$1');
  const sections = new Set(allKeys().filter((key) => allKeys().some((other) => other.startsWith(`${key}.`))));
  const leaves = allKeys().filter((key) => !sections.has(key));
  const given = valuesOf(parseDocument(whole));
  assert.deepEqual([...given.keys()].toSorted(), leaves.toSorted());
  // Each of them alone would be taken, too.
  for (const [key, value] of given) {
    if (key.startsWith('ship.sources.') || key === 'include') continue;
    const section = key.includes('.') ? key.slice(0, key.indexOf('.')) : '';
    const name = key.slice(key.indexOf('.') + 1);
    const text = section === '' ? `${name}: ${value}` : `${section}:\n  ${name}: ${value}`;
    await readConfig(write({ 'x.yaml': text }), {});
  }
});

test('docs/logferry.schema.json is what check-config --schema prints', () => {
  const committed = readFileSync(new URL('../../../docs/logferry.schema.json', import.meta.url), 'utf8');
  assert.deepEqual(JSON.parse(committed), JSON.parse(JSON.stringify(jsonSchema())));
  assert.deepEqual(Object.keys(fileSchema.shape).toSorted(), [
    ...['include', 'log', 'prefix', 'receive', 'server', 'ship', 'stream'],
  ]);
});
