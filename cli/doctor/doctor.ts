// `logferry doctor`: looks at the server, the stream and this machine as a shipper or a receiver would use them, and says
// what is wrong and what to do about it. Never changes anything.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { explain } from '../../common/nats/connection.ts';
import { sleep } from '../../common/runtime/run.ts';
import { formatDuration } from '../../common/text/units.ts';
import { wantsColour } from '../terminal/colour.ts';
import { buildConfigured, runUntilStopped } from '../flags/command.ts';
import { DAEMONS } from '../config/keys.ts';
import { type Check, CHECKS } from './checks.ts';
import { counted, failure, type Finding, lineOf, skipped } from './finding.ts';
import { Look, Missing } from './look.ts';
import { planOf } from './plan.ts';
import { type CommandLine, flag, oneOf, readFlags, text, toggle } from '../flags/flag.ts';
import { configFlag, serverFlags, serverOptions, streamFlags, streamNames } from '../flags/options.ts';
import { globsArgument, hostFlag } from '../flags/sources.ts';
import { writeOut } from '../terminal/write-out.ts';

const flags = z.strictObject({
  for: flag(
    '--for <daemon>',
    {
      help: 'what this user and this machine are to be: ship or receive',
      otherwise: 'ship with globs, --host or --state; receive with --out; with --config its sections',
    },
    oneOf(...DAEMONS),
  ),
  host: hostFlag,
  state: flag('--state <dir>', { help: 'check this as the --state of ship' }, text('a directory')),
  out: flag('--out <dir>', { help: 'check this as the --out of receive' }, text('a directory')),
  config: configFlag,
  json: toggle('--json', 'print one JSON object'),
  ...serverFlags,
  ...streamFlags,
});

/** What does not answer by then has failed. */
const CHECK_MS = 8_000;

interface Checked extends Finding {
  readonly name: string;
}

export function doctorCommand(): Command {
  return buildConfigured({
    name: 'doctor',
    arguments: [{ ...globsArgument, help: 'check these as the files of ship' }],
    usage: '[glob...] [--state <dir>] [--out <dir>] [--config <file>] [options]',
    description:
      'Checks the server, the stream, the permissions of this user, and this machine, as ship and receive would use ' +
      'them: one line each, OK, warning or FAILURE with what to do. Nothing is changed. Exits 1 when something has ' +
      'failed, 0 otherwise; run it as the user that the daemon runs as.',
    examples: [
      { does: 'is the server all right?', line: 'logferry doctor --server nats://central' },
      {
        does: 'what would stop this host from shipping its logs?',
        line: "logferry doctor '/var/log/*.log' --server nats://central --creds web1.creds",
      },
      { does: 'as the daemon that has this file', line: 'logferry doctor --config /etc/logferry.yaml' },
      {
        does: 'only what is not OK',
        line: `logferry doctor --out /srv/logs --json | jq '.checks[] | select(.level != "ok")'`,
      },
    ],
    flags,
    run,
  });
}

async function run(line: CommandLine): Promise<void> {
  // A file's login would be a second one beside the environment's.
  const { values } = readFlags(flags, line, process.env);
  const shared = { server: serverOptions(values), names: streamNames(values) };
  const plan = await planOf(line, shared, process.env);
  await runUntilStopped(silentLogger(), 'everything was checked', async (signal) => {
    const look = new Look(plan, signal);
    const all: Checked[] = [];
    try {
      const width = Math.max(...CHECKS.map(({ name }) => name.length));
      const isColoured = wantsColour(process.stdout, process.env);
      for (const check of CHECKS) {
        const finding = await findingOf(check, look, signal);
        if (signal.aborted) return;
        if (finding === undefined) continue;
        all.push({ name: check.name, ...finding });
        if (!values.json) await writeOut(`${lineOf(check.name, width, finding, isColoured)}\n`);
      }
    } finally {
      await Promise.race([look.close(), sleep(CLOSE_MS)]);
    }
    const failed = all.filter(({ level }) => level === 'failure').length;
    const warnings = all.filter(({ level }) => level === 'warning').length;
    if (values.json) await writeOut(`${JSON.stringify({ failures: failed, warnings, checks: all })}\n`);
    if (failed > 0) throw new LogferryError('failed', `${counted(failed, 'check')} of ${all.length} failed`);
  });
}

/** A connection that does not end is left to the end of the process. */
const CLOSE_MS = 1_000;

/** What it finds, in time; what went wrong meanwhile is a finding too. */
async function findingOf(check: Check, look: Look, signal: AbortSignal): Promise<Finding | undefined> {
  const stopped = new AbortController();
  const late = sleep(CHECK_MS, AbortSignal.any([signal, stopped.signal])).then(() =>
    failure(`no answer in ${formatDuration(CHECK_MS)}`, 'is the network, or a file system, away?'),
  );
  try {
    return await Promise.race([asFinding(check, look), late]);
  } finally {
    stopped.abort();
  }
}

async function asFinding(check: Check, look: Look): Promise<Finding | undefined> {
  try {
    return await check.run(look);
  } catch (error) {
    if (error instanceof Missing) return skipped(error.message);
    // What the system says of a file, and what the client says of the server.
    if (systemCode(error)?.startsWith('E') === true && !(error instanceof LogferryError))
      return failure(messageOf(error), 'check the path and the permissions on the way');
    const { message, hint } = explain(error, look.plan.server.server);
    return failure(message, hint);
  }
}
