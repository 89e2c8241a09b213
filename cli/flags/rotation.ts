// The flags that say when a central file becomes a segment.

import { flag, orOff, parsed, size, wrongValue } from './flag.ts';

/** Below this a busy file would be cut into thousands of segments a second. */
const LEAST_SEGMENT = 1_024;

export const rotationFlags = {
  rotateSize: flag(
    '--rotate-size <size>',
    { help: 'a central file of this size becomes a segment, or off', default: '100MiB' },
    orOff(size(LEAST_SEGMENT)),
  ),
  rotateInterval: flag(
    '--rotate-interval <time>',
    { help: 'so does one of this age: 30m, 6h, 1d, 1M (a month), UTC, or off', default: '1d' },
    orOff(parsed(readInterval)),
  ),
};

/** As rotating-file-stream takes it: days and months at will, the rest only in parts of a day, an hour, a minute. */
function readInterval(value: string, name: string): string {
  const match = /^([1-9]\d{0,3})([Mdhms])$/.exec(value);
  if (match === null)
    throw wrongValue(name, value, 'a number and s, m, h, d or M (months), like 6h or 1d, or off');
  const amount = Number(match[1]);
  const [whole, what] =
    match[2] === 'h' ? [24, 'a day'] : match[2] === 'm' ? [60, 'an hour'] : [60, 'a minute'];
  const divides = match[2] === 'd' || match[2] === 'M' || whole % amount === 0;
  if (!divides) throw wrongValue(name, value, `a part of ${what}: ${whole} is no multiple of ${amount}`);
  return value;
}
