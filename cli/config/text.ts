// `${NAME}` in the values of a configuration file. Pure: the environment is given.

import { LogferryError } from '../../common/runtime/errors.ts';

/** `$${` first: it is none. */
const REFERENCE = /\$\$\{|\$\{([^}]*)\}|\$\{/g;
const NAME = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * `${NAME}` becomes the variable, `${NAME:-default}` what follows `:-` where it is unset or empty, `$${` a literal `${`.
 * Throws `usage`, naming `what`.
 */
export function substitute(text: string, env: Readonly<NodeJS.ProcessEnv>, what: string): string {
  return text.replaceAll(REFERENCE, (found: string, inner: string | undefined) => {
    if (found === '$${') return '${';
    const match = NAME.exec(inner ?? '');
    if (match === null)
      throw new LogferryError(
        'usage',
        `${what}: \${ begins no \${NAME} and no \${NAME:-default}`,
        'write $${ where ${ itself is meant',
      );
    const [, name = '', fallback] = match;
    const value = env[name] ?? '';
    if (value !== '') return value;
    if (fallback !== undefined) return fallback;
    throw new LogferryError(
      'usage',
      `${what}: the environment variable ${name} is ${env[name] === undefined ? 'not set' : 'empty'}`,
      `set it, or write \${${name}:-default}`,
    );
  });
}

/** What the file itself says of a value: all but what comes from the environment. */
export function withoutReferences(text: string): string {
  return text.replaceAll(REFERENCE, (_, inner: string | undefined) => NAME.exec(inner ?? '')?.[2] ?? '');
}
