// `logferry segments`: what the ledgers list, as a table or as JSON lines.

import type { Command } from 'commander';
import { z } from 'zod';

import { buildCommand } from '../flags/command.ts';
import { directoriesFlag } from '../flags/directories.ts';
import { toggle } from '../flags/flag.ts';
import { printable } from '../terminal/printable.ts';
import { sayErrors } from '../terminal/say-errors.ts';
import { type Column, table } from '../terminal/table.ts';
import { damagedLedgers, refuseUnread } from './unread.ts';
import { writeOut } from '../terminal/write-out.ts';
import { type Listed, listRuns, readContents } from '../../receiver/read.ts';

const COLUMNS: readonly Column[] = [
  { heading: 'HOST' },
  { heading: 'PATH' },
  { heading: 'FILE' },
  { heading: 'START', isNumber: true },
  { heading: 'END', isNumber: true },
  { heading: 'DISK' },
  { heading: 'FROM', isNumber: true },
  { heading: 'TO', isNumber: true },
];
/** Only where something is compressed, or written as frames. */
const ENCODING: Column = { heading: 'ENCODING' };
const FRAMES = 'zstd frames';

const flags = z.strictObject({
  out: directoriesFlag,
  json: toggle('--json', 'print one JSON object a line'),
});

export function segmentsCommand(): Command {
  return buildCommand({
    name: 'segments',
    usage: '[--json] --out <dir...>',
    description:
      'Lists which bytes of which source file lie where: bytes START to END of one generation (FILE) of PATH on ' +
      'HOST are the bytes FROM to TO of DISK; of what it decompresses to where ENCODING is gzip or zstd; of zstd ' +
      'frames, those at FROM to TO hold them. Reads the ledgers, offline and while receivers run. Exits 1 when one of ' +
      'them is damaged, and says which.',
    examples: [
      { does: 'one directory', line: 'logferry segments --out ./central' },
      {
        does: 'the segments that hold one file, from two receivers',
        line: `logferry segments --json --out /srv/a /srv/b | jq -r 'select(.path == "/var/log/syslog").disk' | uniq`,
      },
    ],
    flags,
    run: async (options) => {
      const contents = await readContents(options.out);
      const unread = damagedLedgers(contents);
      sayErrors(unread);
      const rows = listRuns(contents.runs, contents.known);
      await writeOut(options.json ? rows.map((row) => `${JSON.stringify(row)}\n`).join('') : inColumns(rows));
      refuseUnread(unread);
    },
  });
}

function inColumns(rows: readonly Listed[]): string {
  const isPlain = rows.every(({ encoding, format }) => encoding === undefined && format === undefined);
  const columns = isPlain ? COLUMNS : [...COLUMNS, ENCODING];
  return table(columns, rows.map(cells))
    .map((line) => `${line}\n`)
    .join('');
}

function cells(row: Listed): string[] {
  const { host, path, file, start, end, disk, from, to, removed } = row;
  const encoding = row.format === undefined ? row.encoding : FRAMES;
  const gone = removed === true ? '(removed)' : '(gone)';
  return [
    printable(host),
    printable(path),
    file,
    String(start),
    String(end),
    disk === null ? gone : printable(disk),
    String(from ?? '-'),
    String(to ?? '-'),
    ...(encoding === undefined ? [] : [encoding]),
  ];
}
