// The receivers: who answers, how full the disk is, how fast it writes. Gives every receiver its letter and colour.

import { arrange, byId, make, setAttribute, setText, visible } from './dom.js';
import { formatBytes, formatRate, formatSeconds } from './format.js';
import { Sparkline } from './sparkline.js';

const COLOURS = 8;
/** In the order in which they were first seen: nobody's colour changes while the page is open. */
const known = [];
const rows = new Map();
let begun = {};

/** `A` to `Z`, then `AA`; and one of eight colours. */
export function badgeOf(id) {
  if (!known.includes(id)) known.push(id);
  const index = known.indexOf(id);
  const letter = String.fromCharCode(65 + (index % 26)).repeat(1 + Math.floor(index / 26));
  return { letter, colour: String((index % COLOURS) + 1) };
}

/** A badge for a receiver: its letter on its colour. */
export function makeBadge() {
  return make('span', { class: 'badge' });
}

export function updateBadge(badge, id) {
  const { letter, colour } = id === null ? { letter: '–', colour: 'none' } : badgeOf(id);
  setText(badge, letter);
  setAttribute(badge, 'data-colour', colour);
}

/** How the rates were before this page was opened. */
export function beginReceivers(history) {
  begun = history;
  rows.clear();
}

export function showReceivers(receivers, at) {
  for (const { id } of receivers) badgeOf(id);
  const children = receivers.map((receiver) => {
    if (!rows.has(receiver.id)) rows.set(receiver.id, new Row(receiver.id));
    const row = rows.get(receiver.id);
    row.update(receiver, at);
    return row.element;
  });
  arrange(byId('receivers'), children);
  const ids = new Set(receivers.map(({ id }) => id));
  for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
}

/** What a state is called, and how it is to be looked at. */
export function stateOf({ state, lastSeen }, at) {
  if (state === 'stopped') return ['stopped', 'off'];
  if (state === 'answers') return undefined;
  const since = lastSeen === null ? '' : ` ${formatSeconds((at - Date.parse(lastSeen)) / 1000)}`;
  return [`silent${since}`, 'bad'];
}

class Row {
  #badge = makeBadge();
  #state = make('span', { class: 'state' });
  #fill = make('i');
  #disk = make('span');
  #spark = new Sparkline('rate');
  #rate = make('span', { class: 'value' });

  constructor(id) {
    const name = make('span', { class: 'name' }, visible(id));
    name.title = visible(id);
    this.element = make(
      'tr',
      {},
      make('th', { scope: 'row' }, this.#badge, name),
      make('td', {}, this.#state),
      make('td', {}, make('span', { class: 'meter', 'aria-hidden': 'true' }, this.#fill), this.#disk),
      make('td', { class: 'number' }, this.#spark.element, this.#rate),
    );
    this.#spark.begin(new Map(Object.entries(begun)).get(id)?.rate ?? []);
    updateBadge(this.#badge, id);
  }

  update(receiver, at) {
    const { disk, hasRoom, risks, bytesPerSecond } = receiver;
    const full = hasRoom === false ? ['no room', 'bad'] : undefined;
    const atRisk = risks.length > 0 ? ['at risk', 'bad'] : undefined;
    const [text, level] = stateOf(receiver, at) ?? full ?? atRisk ?? ['ok', 'ok'];
    setText(this.#state, text);
    setAttribute(this.#state, 'data-state', level);
    const used = disk === null || disk.total === 0 ? 0 : 1 - disk.free / disk.total;
    this.#fill.style.width = `${Math.round(used * 100)}%`;
    setAttribute(this.#fill, 'data-level', used > 0.95 ? 'bad' : used > 0.85 ? 'warn' : 'ok');
    setText(this.#disk, disk === null ? '–' : formatBytes(disk.free));
    this.#disk.title = disk === null ? '' : `${formatBytes(disk.free)} of ${formatBytes(disk.total)} free`;
    setText(this.#rate, formatRate(bytesPerSecond));
    this.#spark.add(bytesPerSecond);
  }
}
