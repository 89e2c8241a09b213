// The lines that `demo` writes: like a web server's access log, each with a number of its own, so that one that is
// lost or repeated cannot hide. Pure.

const METHODS = ['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE'];
const PATHS = ['/', '/api/orders', '/api/customers', '/search', '/assets/app.js', '/images', '/account'];
const STATUS = [200, 200, 200, 200, 204, 301, 304, 404, 500];
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36',
  'curl/8.11.0',
  'kube-probe/1.34',
];

/** One line of about 150 bytes, ASCII, with its newline. `random` gives numbers from 0 to below 1. */
export function accessLine(number: number, time: Date, random: () => number): string {
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(values: readonly T[]): T | string => values[below(values.length)] ?? '';
  const client = `10.${below(4)}.${below(256)}.${below(256)}`;
  const request = `${pick(METHODS)} ${pick(PATHS)}/${below(1_000_000)} HTTP/1.1`;
  const answer = `${pick(STATUS)} ${below(100_000)} "-" "${pick(AGENTS)}"`;
  return `${client} - - [${time.toISOString()}] "${request}" ${answer} ${number}\n`;
}
