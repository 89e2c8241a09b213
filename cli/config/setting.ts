// One value that counts for a daemon, and where it came from. Pure.

import type { z } from 'zod';

import { declarationOf, type Origin, type Understood } from '../flags/flag.ts';

export type Given = Understood<z.ZodObject>['given'];

/** One value that counts. */
export interface Setting {
  /** `ship.max-rate`, `ship.sources[0].paths` */
  readonly key: string;
  /** As it was written; undefined where nothing is fixed: then `otherwise` says what happens, if anything does. */
  readonly value: unknown;
  readonly otherwise: string | undefined;
  readonly isSecret: boolean;
  readonly from: Origin;
}

/** Of the flag `name` in a schema. */
export function settingOf(key: string, schema: z.ZodObject, name: string, given: Given): Setting {
  const { takes, otherwise, secret, name: flagName } = declarationOf(schema.shape[name]);
  const fallback = takes === 'switch' ? flagName.startsWith('--no-') : takes === 'list' ? [] : undefined;
  const { value, from } = given.get(name) ?? { value: fallback, from: { kind: 'default' } as const };
  return { key, value, otherwise, isSecret: secret === true, from };
}
