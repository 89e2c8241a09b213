// Rotated names that carry the time of their rotation, as kubelet gives them: they tell the order of what was rotated
// away from one path, without a time zone. Pure.

import { isRotationOf } from './identity.ts';

/** A name with a time in it. Names of one family differ in nothing but the time, and sort by it. */
export interface TimedName {
  readonly family: string;
  readonly time: string;
}

/** What stood beside a file while it was at its path: all of it had been rotated away before. */
export interface Beside {
  /** Rotated files that are no known generation: shipped by nobody, and compressed one day. */
  readonly strangers: boolean;
  /** Of each directory and each family of names in it the time of the last one. */
  readonly latest: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * A date, and with it the time of day to the second or not at all: `.20260101-000000` of kubelet, `-20260101`,
 * `-2026-01-01T00-00-00.000`. A count behind a date is none: some rotators count up, some down.
 */
const TIME = new RegExp(
  String.raw`^[-_.](?:19|2\d)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])` +
    String.raw`(?:[-_.T]?(?:[01]\d|2[0-3])([-_.:]?)[0-5]\d\2[0-5]\d(?:\.\d{1,9})?Z?)?$`,
);

/** Undefined when a rotated name of one of the bases, without what a compressor adds, has no time, or is none. */
export function timedName(bases: Iterable<string>, name: string): TimedName | undefined {
  for (const base of bases) {
    if (!isRotationOf(base, name)) continue;
    const dot = base.lastIndexOf('.');
    const forms: [string, string][] = [[base, '']];
    if (dot > 0) forms.push([base.slice(0, dot), base.slice(dot)]);
    for (const [before, after] of forms) {
      if (!name.startsWith(before) || !name.endsWith(after)) continue;
      const time = name.slice(before.length, name.length - after.length);
      if (TIME.test(time)) return { family: `${before}${time.replaceAll(/\d/g, '0')}${after}`, time };
    }
  }
  return undefined;
}

/** Of each family the time of the last one: what was rotated later has a later one. */
export function latestTimes(names: Iterable<TimedName>): Record<string, string> {
  const latest: Record<string, string> = {};
  for (const { family, time } of names) if (time > (latest[family] ?? '')) latest[family] = time;
  return latest;
}
