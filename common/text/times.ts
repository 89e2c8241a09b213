// Points in time as people write them. Pure: what is relative is relative to the time given. A time without a zone is
// the machine's.

import { LogferryError } from '../runtime/errors.ts';
import { parseDuration } from './units.ts';

const MIDNIGHT = '00:00';

/**
 * `2026-11-21T06:00:00Z`, `2026-11-21 06:00`, `2026-11-21`, `2h` (ago), `now`, `today`, `yesterday 14:00`, `14:00`
 * (today). Throws `usage`, naming `what` and the part that was not understood.
 */
export function parseTime(text: string, what: string, now: Date): Date {
  const trimmed = text.trim();
  const word = /^(now|today|yesterday)(?:[ T]+(.*))?$/i.exec(trimmed);
  if (word !== null) return fromWord(word[1]?.toLowerCase() ?? '', word[2], text, what, now);
  if (/^\d{1,2}:/.test(trimmed)) return onDay(now, 0, trimmed, text, what);
  const date = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T]+(.*))?$/i.exec(trimmed);
  if (date !== null) return fromDate(date, text, what);
  if (/^[\d.]+\s*[a-z]/i.test(trimmed)) return ago(trimmed, text, what, now);
  throw notTime(text, what, undefined);
}

function fromWord(word: string, clock: string | undefined, text: string, what: string, now: Date): Date {
  if (word === 'now' && clock !== undefined) throw notTime(text, what, `${clock} behind now`);
  if (word === 'now') return now;
  return onDay(now, word === 'today' ? 0 : -1, clock ?? MIDNIGHT, text, what);
}

function ago(trimmed: string, text: string, what: string, now: Date): Date {
  let ms: number;
  try {
    ms = parseDuration(trimmed.replace(/\s+ago$/i, ''), what);
  } catch (error) {
    if (error instanceof LogferryError) throw notTime(text, what, undefined);
    throw error;
  }
  return checked(new Date(now.getTime() - ms), text, what);
}

function onDay(now: Date, days: number, clock: string, text: string, what: string): Date {
  const [hours, minutes, seconds] = clockOf(clock, text, what);
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hours, minutes, seconds);
}

function fromDate(match: RegExpExecArray, text: string, what: string): Date {
  const [year = 0, month = 0, day = 0] = match.slice(1, 4).map(Number);
  const midnight = new Date(year, month - 1, day);
  if (midnight.getMonth() !== month - 1 || midnight.getDate() !== day)
    throw notTime(text, what, `there is no ${month}-${day} in ${year}`);
  const clock = match[4] ?? MIDNIGHT;
  const zone = /\s*(Z|[+-]\d{2}:?\d{2})$/i.exec(clock)?.[1];
  const [hours, minutes, seconds, ms] = clockOf(
    zone === undefined ? clock : clock.slice(0, clock.length - zone.length).trim(),
    text,
    what,
  );
  if (zone === undefined) return new Date(year, month - 1, day, hours, minutes, seconds, ms);
  return checked(
    new Date(Date.UTC(year, month - 1, day, hours, minutes, seconds, ms) - zoneMs(zone)),
    text,
    what,
  );
}

function zoneMs(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(-2))];
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

function clockOf(clock: string, text: string, what: string): [number, number, number, number] {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?$/.exec(clock.trim());
  const [hours = 0, minutes = 0, seconds = 0] = (match ?? []).slice(1, 4).map((part) => Number(part ?? 0));
  if (match === null || hours > 23 || minutes > 59 || seconds > 60)
    throw notTime(text, what, `${JSON.stringify(clock)} is no time of day`);
  return [hours, minutes, seconds, Math.trunc(Number(`0.${match[4] ?? '0'}`) * 1_000)];
}

function checked(time: Date, text: string, what: string): Date {
  if (Number.isNaN(time.getTime())) throw notTime(text, what, undefined);
  return time;
}

function notTime(text: string, what: string, why: string | undefined): LogferryError {
  return new LogferryError(
    'usage',
    `${what}: ${JSON.stringify(text)} is not a time${why === undefined ? '' : ` (${why})`}`,
    'write it like 2h (ago), 14:00, yesterday 14:00, 2026-11-21 14:00 or 2026-11-21T14:00:00Z',
  );
}
