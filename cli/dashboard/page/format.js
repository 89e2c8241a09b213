// Numbers as people read them. What is unknown is a dash.

const DASH = '–';

export function formatBytes(bytes) {
  if (bytes === null) return DASH;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

export function formatRate(bytes) {
  return bytes === null ? DASH : `${formatBytes(bytes)}/s`;
}

export function formatCount(count) {
  return count === null ? DASH : count.toLocaleString('en');
}

export function formatSeconds(seconds) {
  if (seconds === null) return DASH;
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export function formatTime(at) {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

/** The end of a path says more than its beginning. */
export function endOf(path, most) {
  const chars = [...path];
  return chars.length <= most ? path : `…${chars.slice(1 - most).join('')}`;
}
