// `logferry segments`: what the ledgers list, as a table or as JSON lines.

import type { Command } from 'commander';
import { z } from 'zod';

import { type Listed, listRuns, readContents } from '../receiver/reader.ts';
import { buildCommand } from './command.ts';
import { directoriesFlag } from './directories.ts';
import { toggle } from './flag.ts';
import { printable } from './printable.ts';

const HEADER = ['HOST', 'PATH', 'FILE', 'START', 'END', 'DISK', 'FROM', 'TO'];
/** Only where something is compressed, or written as frames. */
const ENCODING = 'ENCODING';
const FRAMES = 'zstd frames';
const NUMBERS = new Set([3, 4, 6, 7]);

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
      'frames, those at FROM to TO hold them. Reads the ledgers, offline and while receivers run.',
    examples: [
      { does: 'one directory', line: 'logferry segments --out ./central' },
      {
        does: 'the segments that hold one file, from two receivers',
        line: `logferry segments --json --out /srv/a /srv/b | jq -r 'select(.path == "/var/log/syslog").disk' | uniq`,
      },
    ],
    flags,
    run: async (options) => {
      const { runs, known } = await readContents(options.out);
      const rows = listRuns(runs, known);
      process.stdout.write(
        options.json ? rows.map((row) => `${JSON.stringify(row)}\n`).join('') : table(rows),
      );
    },
  });
}

function table(rows: readonly Listed[]): string {
  const isPlain = rows.every(({ encoding, format }) => encoding === undefined && format === undefined);
  const header = isPlain ? HEADER : [...HEADER, ENCODING];
  const lines = [header, ...rows.map(cells)];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) => {
      const padded = line.map((cell, column) => {
        const width = widths[column] ?? 0;
        return NUMBERS.has(column) ? cell.padStart(width) : cell.padEnd(width);
      });
      return `${padded.join('  ').trimEnd()}\n`;
    })
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
