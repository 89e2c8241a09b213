// What tail prints of a block: bytes unchanged in a pipe, nothing that acts on a terminal, JSON that parses back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { wantsColour } from '../../../cli/terminal/colour.ts';
import type { Block } from '../../../cli/tail/lines.ts';
import { LinePrinter, type Look } from '../../../cli/tail/print.ts';

const PIPE: Look = { json: false, prefix: true, colour: false, terminal: false, test: undefined };
const TERMINAL: Look = { ...PIPE, terminal: true };
const SOURCE = { host: 'web1', path: '/var/log/a$&.log', file: 'a-0' };
const PREFIX = 'web1 /var/log/a$&.log | ';

function block(bytes: Uint8Array | string, more: Partial<Block> = {}): Block {
  const data = Buffer.from(bytes as string);
  const isComplete = data.at(-1) === 10;
  return { source: SOURCE, offset: 0, bytes: data, begins: 'line', isComplete, atMs: 0, ...more };
}

const printed = (look: Look, ...blocks: readonly Block[]): string => {
  const printer = new LinePrinter(look);
  return Buffer.concat(blocks.map((one) => printer.print(one))).toString();
};

const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
/** Many newlines, ASCII or not, valid or not. */
const lineBytes = fc
  .array(fc.oneof(fc.constantFrom(10, 13, 27, 0x9b, 0xc2, 0xe2, 0x80, 0xae, 97, 36, 38), fc.nat(255)), {
    minLength: 1,
    maxLength: 40,
  })
  .map((bytes) => Uint8Array.from(bytes));

test('in a pipe without a prefix the bytes are unchanged, but for a newline at an unfinished end', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, lineBytes), (bytes) => {
      const out = new LinePrinter({ ...PIPE, prefix: false }).print(block(bytes));
      const end = bytes.at(-1) === 10 ? [] : [10];
      assert.deepEqual([...out], [...bytes, ...end]);
    }),
  );
});

test('with a prefix every line has it, whatever the bytes, and a path with $ is what it is', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, lineBytes), (bytes) => {
      const out = Buffer.from(new LinePrinter(PIPE).print(block(bytes))).toString('latin1');
      const text = Buffer.from(bytes).toString('latin1').replace(/\n$/, '');
      assert.equal(
        out,
        text
          .split('\n')
          .map((line) => `${PREFIX}${line}\n`)
          .join(''),
      );
    }),
  );
});

test('on a terminal nothing acts on it: no control character but tab and newline', () => {
  fc.assert(
    fc.property(lineBytes, (bytes) => {
      for (const look of [TERMINAL, { ...TERMINAL, test: () => true }, { ...TERMINAL, json: true }]) {
        const out = printed(look, block(bytes));
        assert.doesNotMatch(out, /(?![\t\n\u200C\u200D])[\p{Cc}\p{Cf}]/u);
        assert.ok(out.endsWith('\n'));
      }
    }),
  );
  const hostile = 'a\u001B[2Jb\u0007\u009B31m\u202Ec\td\r\n';
  assert.equal(printed(TERMINAL, block(hostile)), `${PREFIX}a\\x1b[2Jb\\x07\\x9b31m\\x202ec\td\n`);
  const name = { ...SOURCE, host: 'a\u001B[1m\n', path: '/x\ny' };
  assert.equal(printed(PIPE, block('z\n', { source: name })), 'a\\x1b[1m\\x0a /x\\x0ay | z\n');
});

test('JSON gives back each line with its offset, ASCII or not, valid or not, on a terminal too', () => {
  fc.assert(
    fc.property(lineBytes, fc.boolean(), (bytes, terminal) => {
      const data = Buffer.from(bytes);
      const out = printed({ ...PIPE, json: true, terminal }, block(data, { offset: 7, atMs: 1_500 }));
      const rows = out
        .trimEnd()
        .split('\n')
        .map((row): unknown => JSON.parse(row));
      const wanted = [];
      for (let at = 0; at < data.length;) {
        const newline = data.indexOf(10, at);
        const end = newline < 0 ? data.length : newline;
        const common = { time: '1970-01-01T00:00:01.500Z', host: 'web1', path: SOURCE.path };
        wanted.push({ ...common, offset: 7 + at, line: data.toString('utf8', at, end) });
        at = end + 1;
      }
      assert.deepEqual(rows, wanted);
    }),
  );
});

test('a test lets lines through, with the bytes they have; a CR at the end is not looked at', () => {
  const look = { ...PIPE, prefix: false, test: (line: string): boolean => /b$/.test(line) };
  const bytes = Buffer.concat([Buffer.from('ab\nac\n\nb\r\n'), Buffer.from([0xff, 98, 10])]);
  const passed = new LinePrinter(look).print(block(bytes));
  assert.deepEqual([...passed], [...Buffer.from('ab\nb\r\n'), 0xff, 98, 10]);
  assert.equal(printed({ ...look, prefix: true }, block('ab\nxb\n')), `${PREFIX}ab\n${PREFIX}xb\n`);
  assert.equal(new LinePrinter(look).print(block('a\nc\n')).length, 0);
});

test('an unfinished line on a terminal goes on where it stopped, unless another line came in between', () => {
  const other = { ...SOURCE, host: 'web2' };
  const parts = (mid: readonly Block[]): string => {
    const printer = new LinePrinter(TERMINAL);
    const out = [printer.print(block('start'), true), ...mid.map((one) => printer.print(one))];
    out.push(printer.print(block('ed\nx\n', { offset: 5, begins: 'inside' })), printer.end());
    return Buffer.concat(out).toString();
  };
  assert.equal(parts([]), `${PREFIX}started\n${PREFIX}x\n`);
  const between = block('o\n', { source: other });
  assert.equal(
    parts([between]),
    `${PREFIX}start\n${PREFIX.replace('web1', 'web2')}o\n${PREFIX}ed\n${PREFIX}x\n`,
  );
  const printer = new LinePrinter(TERMINAL);
  printer.print(block('start'), true);
  assert.equal(Buffer.from(printer.end()).toString(), '\n');
});

test('a colour is of a host for ever, and only where it is wanted', () => {
  const look = { ...TERMINAL, colour: true };
  const escape = '\u001B';
  const [one, again] = [printed(look, block('x\n')), printed(look, block('x\n'))];
  assert.equal(one, again);
  assert.match(
    one,
    new RegExp(`^${escape}\\[1;\\d\\dmweb1${escape}\\[0m ${escape}\\[\\d\\dm/var.*${escape}\\[0m \\| x\n$`),
  );
  const colours = new Set(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((host) =>
      /\[1;(\d+)m/.exec(printed(look, block('x\n', { source: { ...SOURCE, host } })))?.at(1),
    ),
  );
  assert.ok(colours.size > 2, [...colours].join());
  assert.ok(wantsColour({ isTTY: true }, {}));
  assert.ok(wantsColour({ isTTY: true }, { NO_COLOR: '' }));
  assert.ok(!wantsColour({ isTTY: true }, { NO_COLOR: '1' }));
  assert.ok(!wantsColour({ isTTY: true }, { TERM: 'dumb' }));
  assert.ok(!wantsColour({}, {}));
});
