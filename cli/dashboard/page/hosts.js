// The hosts, worst first. The order holds still while somebody reads: with the pointer or the focus in the table.

import { arrange, byId, make, setAttribute, setText, visible } from './dom.js';
import { endOf, formatBytes, formatCount, formatRate, formatSeconds } from './format.js';
import { makeBadge, stateOf, updateBadge } from './receivers.js';
import { Sparkline } from './sparkline.js';

const FIRST_ROWS = 50;
const MORE_ROWS = 150;
const REORDER_MS = 6000;
const BEHIND_SECONDS = 15;
const COLUMNS = '6';

const rows = new Map();
let begun = {};
let order = [];
let orderedAt = 0;
let most = FIRST_ROWS;
let isPointed = false;
let isHeld = false;
let latest;
let onTail = () => {};

/** How it was before this page was opened. */
export function beginHosts(history) {
  begun = history;
  rows.clear();
}

export function watchHosts(tailHost) {
  onTail = tailHost;
  const body = byId('hosts');
  body.addEventListener('pointerenter', () => (isPointed = true));
  body.addEventListener('pointerleave', () => (isPointed = false));
  byId('hosts-filter').addEventListener('input', () => {
    most = FIRST_ROWS;
    draw();
  });
  byId('hosts-more').addEventListener('click', () => {
    most += MORE_ROWS;
    draw();
  });
}

export function showHosts(view) {
  latest = view;
  const begunByName = new Map(Object.entries(begun));
  for (const host of view.hosts) {
    if (!rows.has(host.host)) rows.set(host.host, new Row(host.host, begunByName.get(host.host)));
    rows.get(host.host).update(host, view.at);
  }
  const names = new Set(view.hosts.map(({ host }) => host));
  for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
  const isRead = isPointed || byId('hosts').contains(document.activeElement);
  const isDue = performance.now() - orderedAt >= REORDER_MS;
  const best = view.hosts.map(({ host }) => host);
  if (!isRead && (isDue || order.length === 0)) {
    order = best;
    orderedAt = performance.now();
  } else {
    const placed = new Set(order);
    order = [...order.filter((name) => names.has(name)), ...[...names].filter((name) => !placed.has(name))];
  }
  isHeld = isRead && order.some((name, index) => name !== best[index]);
  draw();
}

function draw() {
  if (latest === undefined) return;
  const wanted = byId('hosts-filter').value.trim().toLowerCase();
  const found = order.map((name) => rows.get(name)).filter((row) => row !== undefined && row.says(wanted));
  const shown = found.slice(0, most);
  arrange(
    byId('hosts'),
    shown.flatMap((row) => row.elements),
  );
  const total = Object.values(latest.hostsBy).reduce((sum, count) => sum + count, 0);
  const beyond =
    total > latest.hosts.length ? `, the worst ${latest.hosts.length} of ${formatCount(total)}` : '';
  const part = shown.length < found.length ? `${shown.length} of ${found.length} shown${beyond}` : '';
  const filtered =
    wanted === '' ? beyond.slice(2) : `${found.length} of ${latest.hosts.length} match${beyond}`;
  const notes = [part === '' ? filtered : part, isHeld ? 'order held while you read' : ''];
  setText(byId('hosts-note'), notes.filter((note) => note !== '').join(' · '));
  byId('hosts-more').hidden = shown.length === found.length;
}

/** In a word, and how it is to be looked at. */
function healthOf(host, at) {
  const silent = stateOf(host, at);
  if (silent !== undefined) return silent;
  if (host.risks.length > 0) return ['at risk', 'bad'];
  if (host.errors > 0) return [host.errors === 1 ? '1 error' : `${host.errors} errors`, 'warn'];
  if (host.lagSeconds >= BEHIND_SECONDS) return ['behind', 'warn'];
  return ['ok', 'ok'];
}

class Row {
  #toggle = make('button', { type: 'button', class: 'name', 'aria-expanded': 'false' });
  #state = make('span', { class: 'state' });
  #lagSpark = new Sparkline('lag');
  #lag = make('span', { class: 'value' });
  #rateSpark = new Sparkline('rate');
  #rate = make('span', { class: 'value' });
  #files = make('td', { class: 'number wider' });
  #badge = makeBadge();
  #owner = make('span');
  #details;
  #search = '';
  #host;

  constructor(name, history) {
    this.#toggle.textContent = visible(name);
    this.#toggle.title = visible(name);
    this.#lagSpark.begin(history?.lag ?? []);
    this.#rateSpark.begin(history?.rate ?? []);
    this.element = make(
      'tr',
      {},
      make('th', { scope: 'row' }, this.#toggle),
      make('td', {}, this.#state),
      make('td', { class: 'number' }, this.#lagSpark.element, this.#lag),
      make('td', { class: 'number' }, this.#rateSpark.element, this.#rate),
      this.#files,
      make('td', { class: 'wide owner' }, this.#badge, this.#owner),
    );
    this.#toggle.addEventListener('click', () => {
      this.#details = this.#details === undefined ? make('tr', { class: 'details' }) : undefined;
      setAttribute(this.#toggle, 'aria-expanded', String(this.#details !== undefined));
      this.#showDetails();
      draw();
    });
  }

  get elements() {
    return this.#details === undefined ? [this.element] : [this.element, this.#details];
  }

  says(wanted) {
    return this.#search.includes(wanted);
  }

  update(host, at) {
    this.#host = host;
    const [text, level] = healthOf(host, at);
    setText(this.#state, text);
    setAttribute(this.#state, 'data-state', level);
    const waits = host.lagSeconds >= 1 ? ` · ${formatSeconds(host.lagSeconds)}` : '';
    setText(this.#lag, `${formatBytes(host.lagBytes)}${waits}`);
    setText(this.#rate, formatRate(host.bytesPerSecond));
    this.#lagSpark.add(host.lagBytes);
    this.#rateSpark.add(host.bytesPerSecond);
    setAttribute(this.#lagSpark.element, 'data-level', level === 'ok' ? 'ok' : 'warn');
    setText(this.#files, formatCount(host.files));
    updateBadge(this.#badge, host.owner);
    const owner = host.owner === null ? 'nobody' : visible(host.owner);
    setText(this.#owner, owner);
    this.#owner.title = `${owner}, partition ${host.partition}`;
    this.#search = [host.host, host.machine ?? '', owner, text].join(' ').toLowerCase();
    this.#showDetails();
  }

  #showDetails() {
    if (this.#details === undefined) return;
    const {
      host,
      machine,
      partition,
      worst,
      started,
      lostBytes,
      risks,
      files: count,
      sizeBytes,
    } = this.#host;
    const facts = [
      machine === null ? undefined : `machine ${visible(machine)}`,
      `partition ${partition}`,
      count === null ? undefined : `${formatCount(count)} files, ${formatBytes(sizeBytes)}`,
      started === null
        ? undefined
        : `since ${new Date(started).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}`,
      lostBytes > 0 ? `${formatCount(lostBytes)} bytes lost` : undefined,
    ];
    const files = worst.map(({ path, lagBytes, lagSeconds, error }) => {
      const name = make('span', { class: 'path' }, endOf(visible(path), 60));
      const behind = `${formatBytes(lagBytes)} behind${lagSeconds >= 1 ? `, ${formatSeconds(lagSeconds)}` : ''}`;
      return make('li', {}, name, ` ${behind}${error === null ? '' : `: ${visible(error)}`}`);
    });
    const key = JSON.stringify([facts, files.map((file) => file.textContent), risks]);
    if (this.#details.dataset.key === key) return;
    this.#details.dataset.key = key;
    // The same button each time: it may have the focus.
    const button =
      this.#details.querySelector('button') ?? make('button', { type: 'button' }, 'Tail this host');
    button.onclick = () => onTail(host);
    const head = make('p', {}, `${facts.filter((fact) => fact !== undefined).join(' · ')} `);
    const cell = this.#details.firstElementChild ?? make('td', { colspan: COLUMNS });
    if (cell.parentElement === null) {
      cell.append(button);
      this.#details.append(cell);
    }
    for (const child of [...cell.children]) if (child !== button) child.remove();
    const none = count === null ? 'It does not answer: nobody knows how far it is.' : 'No file is behind.';
    const list = files.length === 0 ? make('p', {}, none) : make('ul', {}, ...files);
    button.before(head, ...risks.map((risk) => make('p', { class: 'risk' }, visible(risk))), list);
  }
}
