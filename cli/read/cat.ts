// `logferry cat`: a source file again, on stdout.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { buildCommand } from '../flags/command.ts';
import { directoriesFlag } from '../flags/directories.ts';
import { toggle } from '../flags/flag.ts';
import { nearest } from '../../common/text/nearest.ts';
import { printable } from '../terminal/printable.ts';
import { sayErrors } from '../terminal/say-errors.ts';
import { damagedLedgers, refuseUnread } from './unread.ts';
import { writeOut } from '../terminal/write-out.ts';
import { type Contents, type Hole, joinSource, readContents, readPieces } from '../../receiver/read.ts';

/** How many known names an error shows. */
const SHOWN = 5;

const flags = z.strictObject({
  out: directoriesFlag,
  skipHoles: toggle('--skip-holes', 'leave missing bytes out instead of failing, and say which'),
});

export function catCommand(): Command {
  return buildCommand({
    name: 'cat',
    arguments: [
      { name: '[host]', help: 'as it was shipped' },
      { name: '[path]', help: 'the path on that host' },
    ],
    usage: '<host> <path> --out <dir...> [--skip-holes]',
    description:
      'Writes a source file to stdout, all its generations across rotations in order, joined from the segments of ' +
      'one or several output directories, each byte once. Works offline and while receivers run. Bytes that are ' +
      'missing in the middle are an error, before anything is written; those that retention removed are only named. Exits 1 ' +
      'when a ledger is damaged, and says which.',
    examples: [
      { does: 'a file again', line: 'logferry cat web1 /var/log/syslog --out ./central > syslog' },
      {
        does: 'from two receivers that shared the load',
        line: 'logferry cat web1 /var/log/nginx/access.log --out /srv/a /srv/b | grep 500',
      },
    ],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>, args: readonly string[]): Promise<void> {
  const [host, path] = args;
  if (host === undefined || path === undefined)
    throw new LogferryError(
      'usage',
      'the host and the path are missing',
      'give them first: logferry cat HOST PATH --out DIR',
    );
  const contents = await readContents(options.out);
  const unread = damagedLedgers(contents);
  sayErrors(unread);
  await writeSource(contents, host, path, options);
  refuseUnread(unread);
}

async function writeSource(
  contents: Contents,
  host: string,
  path: string,
  options: z.output<typeof flags>,
): Promise<void> {
  const source = joinSource(contents.runs, host, path, contents.known);
  if (source === undefined) throw unknown(contents, host, path, options.out);
  const name = `${printable(host)}: ${printable(path)}`;
  const directories = options.out.join(', ');
  const [hole, ...others] = source.holes;
  if (hole !== undefined && !options.skipHoles) {
    const more = others.length === 0 ? '' : ` (and ${others.length} more holes)`;
    throw new LogferryError(
      'failed',
      `${name}: ${inWords(hole)} are not in ${directories}${more}`,
      'give the other output directories too, or --skip-holes to leave them out',
    );
  }
  if (source.begin > 0)
    warn(`${name} begins at byte ${source.begin}: nothing before it is in ${directories}`);
  const [removed, ...moreRemoved] = source.removed;
  if (removed !== undefined) {
    const more = moreRemoved.length === 0 ? '' : ` (and ${moreRemoved.length} more)`;
    warn(`${name}: ${inWords(removed)}${more} are left out: retention removed them`);
  }
  for (const one of source.holes) warn(`${name}: ${inWords(one)} are left out`);
  for await (const bytes of readPieces(source.pieces)) await writeOut(bytes);
}

function inWords({ file, start, end }: Hole): string {
  return `bytes ${start} to ${end} of its generation ${file.slice(file.lastIndexOf('/') + 1)}`;
}

function warn(line: string): void {
  process.stderr.write(`logferry: ${line}\n`);
}

function unknown(contents: Contents, host: string, path: string, outs: readonly string[]): LogferryError {
  const sources = [
    ...contents.runs.map((placed) => ({ host: placed.host, path: placed.run.path })),
    ...contents.known.map((placed) => ({ host: placed.host, path: placed.known.path })),
  ];
  const ofHost = sources.filter((source) => source.host === host);
  const [what, name, known] =
    ofHost.length === 0
      ? [`nothing of host ${printable(host)} is`, host, new Set(sources.map((source) => source.host))]
      : [`${printable(host)} has no ${printable(path)}`, path, new Set(ofHost.map((source) => source.path))];
  const some = nearest(name, known, SHOWN).map(printable).join(', ');
  const more = known.size > SHOWN ? ` and ${known.size - SHOWN} more` : '';
  return new LogferryError(
    'failed',
    `${what} in ${outs.join(', ')}`,
    known.size === 0 ? 'nothing was received there yet' : `there is ${some}${more}`,
  );
}
