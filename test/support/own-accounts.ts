// nats-server's accounts as `logferry permissions --account` prints them: one with the stream, and one for each host.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ENTRY } from './paths.ts';

/** What `logferry permissions` prints. */
export async function printPermissions(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [ENTRY, 'permissions', ...args])).stdout;
}

/**
 * Put together by what the comments in it say. Who does not log in is `admin`.
 *
 * @param users of the stream's account
 * @param intruders further users of a host's account, by the host
 */
export async function ownAccounts(
  users: readonly string[],
  hosts: readonly string[],
  intruders: Readonly<Record<string, string>> = {},
): Promise<string> {
  const exported = new Set<string>();
  const imported: string[] = [];
  const accounts: string[] = [];
  for (const host of hosts) {
    const printed = await printPermissions('--host', host, '--account');
    const at = printed.indexOf('# Beside it:');
    for (const line of printed.slice(0, at).split('\n'))
      if (line.includes('{ account: ')) imported.push(line);
      else exported.add(line);
    const own = printed.slice(at).replace('change me', host);
    accounts.push(own.replace('users: [', `users: [${intruders[host] ?? ''} `));
  }
  return `
    accounts {
      LOGS: {
        jetstream: enabled
        users: [${users.join(', ')}]
        exports: [
          ${[...exported].join('\n')}
        ]
        imports: [
          ${imported.join('\n')}
        ]
      }
      ${accounts.join('\n')}
    }
    no_auth_user: admin`;
}
