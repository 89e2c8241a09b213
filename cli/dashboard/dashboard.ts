// `logferry dashboard`: hosts, receivers, partitions, risks and a live tail, as a page in a browser.

import type { Command } from 'commander';
import { z } from 'zod';

import { keepHeapSmall } from '../../common/runtime/memory.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { checkToken } from './access.ts';
import { readListen } from '../flags/listen.ts';
import { dashboard } from './run.ts';
import { flag, parsed, text } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';

const flags = z.strictObject({
  listen: flag(
    '--listen <address>',
    {
      help: 'where browsers find it; any other address than this machine needs a token',
      default: '127.0.0.1:9600',
    },
    parsed((value, name) => readListen(value, name)),
  ),
  dashboardToken: flag(
    '--dashboard-token <text>',
    {
      help: 'who opens the page has to give it, once; at least 16 characters. Others on this machine see flags: prefer the variable',
      env: 'LOGFERRY_DASHBOARD_TOKEN',
    },
    text('a token'),
  ),
  ...commonFlags,
});

type Flags = z.output<typeof flags>;

export function dashboardCommand(): Command {
  return buildCommand({
    name: 'dashboard',
    usage: '[--listen <address>] [options]',
    description:
      'Serves a page that shows hosts, receivers, partitions, the stream, what is at risk, and a live tail with ' +
      'search. Prints its URL. Looks at the fleet only while somebody looks at the page. Speaks plain HTTP: across a ' +
      'network, put it behind something that speaks TLS, or use ssh -L 9600:127.0.0.1:9600.',
    examples: [
      { does: 'for this machine', line: 'logferry dashboard' },
      {
        does: 'for others, who open http://HOST:9600/?token=… once',
        line: 'LOGFERRY_DASHBOARD_TOKEN=$(openssl rand -hex 16) logferry dashboard --listen 0.0.0.0:9600',
      },
      {
        does: 'the same as JSON, for a script',
        line: 'curl -H "Authorization: Bearer $LOGFERRY_DASHBOARD_TOKEN" http://HOST:9600/status.json',
      },
    ],
    flags,
    run,
  });
}

async function run(options: Flags): Promise<void> {
  keepHeapSmall();
  const { listen, dashboardToken: token } = options;
  checkToken(token, listen);
  const server = serverOptions(options);
  const log = openLog(options);
  const settings = {
    ...{ server, names: streamNames(options), listen, token, log },
    say: (url: string) => process.stdout.write(`${url}\n`),
  };
  await runUntilStopped(log, undefined, (signal) => inClearWords(server, dashboard(settings, signal)));
}
