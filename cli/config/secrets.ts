// Secrets in configuration files: never shown, and said where others may read them.

import type { ConfigFile, Told } from './read.ts';
import type { Setting } from './setting.ts';
import { withoutReferences } from './text.ts';
import { readServers } from '../flags/servers.ts';

/** By everybody: a file that root shares with a daemon's group is as it should be. */
const READABLE_BY_OTHERS = 0o004;

/** One line for each file that holds a secret and that everybody may read. */
export function exposures(config: ConfigFile): string[] {
  const told = [...config.values.values()];
  return config.files
    .filter(({ mode }) => (mode & READABLE_BY_OTHERS) !== 0)
    .flatMap(({ file }) => {
      const secret = told.find((one) => one.file === file && holdsSecret(one));
      if (secret === undefined) return [];
      return [
        `${secret.place}: ${secret.key} holds a secret, and everybody may read ${file}: chmod o= ${file}`,
      ];
    });
}

function holdsSecret({ key, isSecret, raw }: Told): boolean {
  const own = withoutReferences(raw);
  if (isSecret) return own !== '';
  if (key !== 'server.url') return false;
  const logins = [...own.matchAll(/\/\/([^/]*)@/g)].map((match) => match[1] ?? '');
  // A user without a password is a token.
  return logins.some((login) => !/^([^:]*:)?$/.test(login));
}

/** A value as it may be shown. */
export function masked({ key, value, isSecret }: Setting): unknown {
  if (isSecret && value !== undefined) return '***';
  if (key !== 'server.url' || typeof value !== 'string') return value;
  const { urls, login } = readServers(value, key);
  return login === undefined ? value : urls.replaceAll('//', '//***@');
}
