// Which receiver has which partition: a cell each, in the colour and with the letter of its owner. One stop for the tab
// key; arrows move within.

import { arrange, byId, make, setAttribute, setText, visible } from './dom.js';
import { formatCount } from './format.js';
import { makeBadge, updateBadge } from './receivers.js';

/** A stream may have thousands. */
const MOST_CELLS = 256;
const MOST_OWNERS = 12;

const cells = [];
const legend = new Map();
let latest = [];
let current = 0;

export function showPartitions(partitions) {
  latest = partitions.slice(0, MOST_CELLS);
  while (cells.length < latest.length) cells.push(makeCell(cells.length));
  latest.forEach(({ owner, partition, uncommittedMessages }, index) => {
    updateBadge(cells[index], owner);
    setAttribute(cells[index], 'aria-label', describe(latest[index]));
    setAttribute(cells[index], 'data-waits', uncommittedMessages > 0 ? 'yes' : 'no');
    cells[index].dataset.partition = partition;
  });
  arrange(byId('partitions'), cells.slice(0, latest.length));
  showLegend(partitions);
  if (document.activeElement?.parentElement === byId('partitions')) tell(current);
}

function makeCell(index) {
  const cell = make('span', { class: 'badge cell', role: 'img', tabindex: index === 0 ? '0' : '-1' });
  cell.addEventListener('mouseenter', () => tell(index));
  cell.addEventListener('focus', () => tell(index));
  for (const event of ['mouseleave', 'blur'])
    cell.addEventListener(event, () => setText(byId('partition'), ''));
  return cell;
}

function tell(index) {
  if (latest[index] !== undefined) setText(byId('partition'), describe(latest[index]));
}

function describe({ partition, owner, uncommittedMessages }) {
  const who = owner === null ? 'nobody' : visible(owner);
  const waits = uncommittedMessages === 0 ? '' : `, ${formatCount(uncommittedMessages)} not committed`;
  return `${partition}: ${who}${waits}`;
}

function showLegend(partitions) {
  const counts = new Map();
  for (const { owner } of partitions) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const owners = [...counts].sort(([a], [b]) => (a === null) - (b === null) || (a < b ? -1 : 1));
  const items = owners.slice(0, MOST_OWNERS).map(([owner, count]) => {
    if (!legend.has(owner)) legend.set(owner, make('li', {}, makeBadge(), make('span'), make('b')));
    const [badge, name, number] = legend.get(owner).children;
    updateBadge(badge, owner);
    setText(name, owner === null ? 'nobody' : visible(owner));
    setText(number, String(count));
    return legend.get(owner);
  });
  arrange(byId('owners'), items);
}

/** Arrows, Home and End within the map. */
export function watchPartitions() {
  byId('partitions').addEventListener('keydown', (event) => {
    const columns = getComputedStyle(byId('partitions')).gridTemplateColumns.split(' ').length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const last = latest.length - 1;
    const to = { Home: 0, End: last }[event.key] ?? current + (steps[event.key] ?? Number.NaN);
    if (!(to >= 0 && to <= last)) return;
    event.preventDefault();
    setAttribute(cells[current], 'tabindex', '-1');
    current = to;
    setAttribute(cells[current], 'tabindex', '0');
    cells[current].focus();
  });
}
