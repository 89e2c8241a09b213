// What anybody may publish as a message that is none: each has the right checksum, and one thing that is wrong.

import { zstdCompressSync } from 'node:zlib';

import { MAX_CHUNKS, MAX_TABLE_BYTES } from '../../common/wire/bundle.ts';
import { MAX_CHUNK_BYTES, type Row } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { made, madePacked, type MadeUp, type Parts, rows } from './made-up.ts';

export const TEXT = Buffer.from('a foreign line\n');
/** A row that is right, of bytes that are shared. */
export const ROW: Row = ['d', '/foreign', 'f-0', 0, TEXT.length, 0, tailOf(TEXT), 0];

type Add = (name: string, message: MadeUp) => void;

/** Tables and rows: what is no list, what is none of its fields, what is too much. */
function addTables(add: Add): void {
  const shared = { shared: TEXT };
  for (const text of [
    '',
    ' ',
    'x',
    '{}',
    'null',
    '7',
    '"rows"',
    '[]',
    '[',
    '[[]]',
    '[null]',
    '[{}]',
    '[7]',
    '\u0000',
  ])
    add(JSON.stringify(text), made(text, shared));
  for (const text of [
    '{"length":1,"0":[]}',
    '{"__proto__":[]}',
    '[{"__proto__":[],"length":8}]',
    '[["__proto__"]]',
  ])
    add(text, made(text, shared));
  add('a table with a byte order mark', made(`\uFEFF${rows(ROW)}`, shared));
  add('a table that is no UTF-8', made(Buffer.from([0x5b, 0xff, 0xfe, 0x5d]), shared));

  const own = (length: number): Row => ROW.with(7, length) as unknown as Row;
  const at = (index: number, value: unknown): unknown[] => (ROW as readonly unknown[]).with(index, value);
  const wrong: [name: string, row: unknown][] = [
    ...['', '/\uD800', 'x'.repeat(4_097), `/${'é'.repeat(2_048)}`].map((path): [string, unknown] => [
      `the path ${JSON.stringify(path.slice(0, 10))}`,
      at(1, path),
    ]),
    ...['', 'F-0', '../x', 'a/b', 'f 0', 'f-0\n', 'x'.repeat(81), '%2E', '__proto__'].map(
      (file): [string, unknown] => [`the file id ${JSON.stringify(file.slice(0, 10))}`, at(2, file)],
    ),
    ...[-1, 0.5, 1e300, 2 ** 53, null, '0', [], {}, true].flatMap((value): [string, unknown][] =>
      [3, 4, 5, 7].map((index) => [`field ${index} with ${JSON.stringify(value)}`, at(index, value)]),
    ),
    ['a row of nine', [...ROW, 'f-1']],
    ['a row of eleven', [...ROW, 'f-1', 5, 5]],
    ['a row of seven', ROW.slice(0, 7)],
    ['a generation before with no id', [...ROW, '../x', 5]],
    ['a generation before without a size', [...ROW, 'f-1', -1]],
    ['more bytes of its own than the range has', own(TEXT.length + 1)],
  ];
  for (const [name, row] of wrong) {
    add(`${name}, shared`, made(rows(row), shared));
    add(`${name}, beside one that is right`, made(rows(ROW, row), { shared: Buffer.concat([TEXT, TEXT]) }));
    add(`${name}, its own`, made(rows(row), { own: TEXT }));
  }
  for (const index of [3, 4, 5, 7])
    add(
      `negative zero in field ${index}`,
      made(`[${JSON.stringify(at(index, 12_345)).replace('12345', '-0')}]`, index === 4 ? {} : shared),
    );

  const few: Row = ['d', '/a', 'f', 0, 1, 0, ROW[6], 0];
  const crowd = (count: number): string => rows(...Array.from({ length: count }, () => few));
  add('a table of 4,097 rows', madePacked(crowd(MAX_CHUNKS + 1), { shared: Buffer.alloc(MAX_CHUNKS + 1) }));
  const blank = ' '.repeat(MAX_TABLE_BYTES);
  add('a table of more than 256 KiB', made(`${rows(ROW)}${blank}`, shared));
  add('a table of more than 256 KiB, compressed', madePacked(`${rows(ROW)}${blank}`, shared));
  for (const text of [MAX_TABLE_BYTES, 1_000, rows(ROW).length]) {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2, ' '));
    add(`a table that says ${text} bytes and is 64 MiB`, made(bomb, { ...shared, says: { text } }));
  }
  add('a table that is less than it says', madePacked(rows(ROW, ROW), shared, 1));
  add('a table that is more than it says', madePacked(rows(ROW, ROW), shared, -1));
  for (const depth of [1_000, 100_000, MAX_TABLE_BYTES / 2]) {
    const nested = '['.repeat(depth) + ']'.repeat(depth);
    add(`a table that is nested ${depth} times`, made(nested, shared));
    if (depth < MAX_TABLE_BYTES / 2) {
      add(`a row that is nested ${depth} times`, made(`[${nested}]`, shared));
      add(`a field that is nested ${depth} times`, made(`[["d",${nested},"f",0,1,0,"",0]]`, shared));
    }
  }
}

/** Lengths in headers and rows that do not fit each other, or the payload. */
function addLengths(add: Add): void {
  const long: Row = ['d', '/a', 'f', 0, MAX_CHUNK_BYTES, 0, ROW[6], 0];
  const table = rows(ROW);
  const with1 = (says: Parts['says']): MadeUp => made(table, { shared: TEXT, says });
  add('a table longer than the payload', with1({ table: 1_000_000, text: 1_000_000 }));
  add('a table longer than its text', with1({ text: table.length - 1 }));
  add('a table with what is shared', with1({ table: table.length + 3, text: table.length + 3 }));
  add('no table', with1({ table: 0, text: 0 }));
  add('a table of nothing', with1({ table: 0 }));
  add('shared bytes beyond the payload', with1({ packed: TEXT.length + 1, bytes: TEXT.length + 1 }));
  add('fewer shared bytes than there are', with1({ packed: TEXT.length - 1 }));
  add('more shared bytes than the rows have', with1({ bytes: TEXT.length + 1 }));
  add('fewer shared bytes than packed ones', with1({ bytes: TEXT.length - 1 }));
  add('shared bytes that nobody has', made(rows(ROW.with(7, TEXT.length)), { shared: TEXT, own: TEXT }));
  add('bytes behind the last chunk', made(table, { shared: TEXT, own: TEXT }));
  add('two chunks that share the bytes of one', made(rows(ROW, ROW), { shared: TEXT }));
  add(
    'two chunks with own bytes of one',
    made(rows(...[1, 2].map(() => ROW.with(7, TEXT.length))), { own: TEXT }),
  );
  const longer = zstdCompressSync(TEXT);
  add('a frame longer than what it holds', made(rows(ROW.with(7, longer.length)), { own: longer }));
  add('own bytes beyond the payload', made(rows(ROW.with(7, TEXT.length)), { own: TEXT.subarray(1) }));
  add(
    'a chunk of 8 MiB and another one',
    madePacked(rows(long, ROW), {
      says: { bytes: MAX_CHUNK_BYTES + TEXT.length },
      shared: zstdCompressSync(Buffer.alloc(MAX_CHUNK_BYTES + TEXT.length)),
    }),
  );
  const frame = zstdCompressSync(Buffer.alloc(MAX_CHUNK_BYTES));
  add(
    'two frames of 8 MiB',
    made(rows(...[1, 2].map(() => long.with(7, frame.length))), { own: Buffer.concat([frame, frame]) }),
  );
  const many = Array.from({ length: 2_000 }, () => long.with(7, 1));
  add('two thousand chunks of 8 MiB in a byte each', madePacked(rows(...many), { own: Buffer.alloc(2_000) }));
  add(
    'an end with bytes of its own',
    made(rows(['e', '/a', 'f', 5, 0, 0, 'rotated', 3]), { own: Buffer.alloc(3) }),
  );
  add(
    'a gap with shared bytes',
    made(rows(['g', '/a', 'f', 5, 3, 0, 'gone', 0]), { shared: Buffer.alloc(3) }),
  );
}

/** Headers that are none. */
function addHeaders(add: Add): void {
  const one = made(rows(ROW), { shared: TEXT });
  const fields = one.header.split(' ');
  for (const [index, values] of [
    [0, ['', '0', '2', '01', '-1', 'x', '99999']],
    [
      1,
      [
        '',
        'x',
        '0123abcd',
        '0123abcd.',
        '0123ABCD.7',
        '0123abcd.-7',
        '0123abcd.7.7',
        `0123abcd.${'7'.repeat(16)}`,
      ],
    ],
    [2, ['', '-1', '1e2', '0x10', '9'.repeat(10), '9'.repeat(1_000_000)]],
    [3, ['', '-1', '٣', '9'.repeat(9), 'NaN']],
    [4, ['', '-1', '+15', ' 15']],
    [5, ['', '-1', '15.0', '15 15']],
    [6, ['', 'beef', '0123456789', 'ABCDEF01', 'deadbeef\u00e9', 'deadbeef ', 'deadbeef\n']],
  ] as const)
    for (const value of values) {
      const header = fields.with(index, value).join(' ');
      add(`${JSON.stringify(value.slice(0, 20))} in field ${index} of the header`, {
        ...one,
        header,
      });
    }
  for (const header of [
    '',
    ' ',
    '1',
    one.header.slice(0, -1),
    `${one.header} `,
    ` ${one.header}`,
    `${one.header} 0`,
  ])
    add(`the header ${JSON.stringify(header)}`, { ...one, header });
}

/** By name. */
export const GARBAGE: ReadonlyMap<string, MadeUp> = garbage();

function garbage(): Map<string, MadeUp> {
  const all = new Map<string, MadeUp>();
  for (const adds of [addTables, addLengths, addHeaders])
    adds((name, message) => {
      if (all.has(name)) throw new Error(`BUG: two are called ${name}`);
      all.set(name, message);
    });
  return all;
}
