// JSON from elsewhere: parsed and checked, or one clear error. Pure.

import { z } from 'zod';

import { LogferryError } from './errors.ts';

/** The value, checked. Throws `corrupt` with what is wrong first, in one line. */
export function parseAs<S extends z.ZodType>(expected: S, value: unknown): z.output<S> {
  const parsed = expected.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new LogferryError('corrupt', `${where}${issue?.message ?? 'not what was expected'}`);
}

/** Parses JSON, or throws `corrupt`. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    throw new LogferryError('corrupt', `not JSON: ${JSON.stringify(text.slice(0, 60))}`, undefined, {
      cause: error,
    });
  }
}

const versionSchema = z.object({ version: z.number() });

/** Throws `newer` when a stored thing says a version above the one this program writes. */
export function refuseNewer(value: unknown, version: number, what: string): void {
  const found = versionSchema.safeParse(value);
  if (found.success && found.data.version > version)
    throw new LogferryError(
      'newer',
      `${what} is of version ${found.data.version}, this logferry knows version ${version}`,
      'run the newer logferry that wrote it',
    );
}
