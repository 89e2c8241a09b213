// The page from its start: what comes goes to the parts, keys go where they are meant to.

import { byId, make, setAttribute, setText, visible } from './dom.js';
import { formatBytes, formatCount, formatRate, formatSeconds, formatTime } from './format.js';
import { beginHosts, showHosts, watchHosts } from './hosts.js';
import { listen } from './listen.js';
import { showPartitions, watchPartitions } from './partitions.js';
import { beginReceivers, showReceivers } from './receivers.js';
import { showRisks } from './risks.js';
import { startTail, stopTail, tailHost, togglePause, watchTail } from './tail.js';

/** Who does not look at the tab for so long is not shown anything. */
const HIDDEN_MS = 30000;

const COMMANDS = [
  'logferry receive --out ./central --server SERVER',
  "logferry ship '/var/log/**/*.log' --server SERVER",
];

const tiles = new Map();
let watching = new AbortController();
let hiding;

function showTile(name, value, more) {
  if (!tiles.has(name)) {
    const parts = [make('h2', {}, name), make('b'), make('span')];
    tiles.set(name, { element: make('div', { class: 'tile' }, ...parts), parts });
    byId('tiles').append(tiles.get(name).element);
  }
  const [, big, small] = tiles.get(name).parts;
  setText(big, value);
  setText(small, more);
}

function showTiles({ hostsBy, hosts, receivers, totals, stream }) {
  const alive = receivers.filter(({ state }) => state === 'answers').length;
  const away = (silent, stopped) =>
    [silent > 0 ? `${silent} silent` : '', stopped > 0 ? `${stopped} stopped` : '']
      .filter((text) => text !== '')
      .join(', ') || 'all answer';
  const silent = receivers.filter(({ state }) => state === 'silent').length;
  const oldest = Math.max(0, ...hosts.map(({ lagSeconds }) => lagSeconds ?? 0));
  const { messages, dropsInSeconds } = stream.uncommitted;
  const what = messages === 1 ? 'message' : 'messages';
  showTile('Hosts', formatCount(hostsBy.answers), away(hostsBy.silent, hostsBy.stopped));
  showTile(
    'Behind',
    formatBytes(totals.lagBytes),
    oldest < 1 ? 'less than 1 s' : `up to ${formatSeconds(oldest)}`,
  );
  showTile('Delivered', formatRate(totals.bytesPerSecond), 'on disk, all hosts');
  showTile('Receivers', formatCount(alive), away(silent, receivers.length - alive - silent));
  showTile(
    'Not committed',
    formatCount(messages),
    dropsInSeconds === null ? what : `${what} · safe for ${formatSeconds(dropsInSeconds)}`,
  );
}

function showStream({ name, messages, bytes, maxBytes, maxAgeSeconds, oldest, bytesPerSecond }, at) {
  setText(byId('stream-name'), visible(name));
  const share = maxBytes === null ? undefined : Math.min(1, bytes / maxBytes);
  const percent = ((share ?? 0) * 100).toFixed(share < 0.1 ? 1 : 0);
  const full = share === undefined ? 'no limit' : `${percent} % of ${formatBytes(maxBytes)}`;
  const age = oldest === null ? '–' : formatSeconds((at - Date.parse(oldest)) / 1000);
  const pairs = [
    ['Fill', `${full} · ${formatBytes(bytes)} in ${formatCount(messages)} messages`],
    ['Comes in', formatRate(bytesPerSecond)],
    ['Oldest', maxAgeSeconds === null ? age : `${age}, kept ${formatSeconds(maxAgeSeconds)}`],
  ];
  const list = byId('stream');
  if (list.childElementCount === 0)
    for (const [term] of pairs) list.append(make('dt', {}, term), make('dd', {}, ''));
  pairs.forEach(([, text], index) => setText(list.querySelectorAll('dd')[index], text));
  const fill = byId('stream-fill');
  fill.style.width = `${Math.round((share ?? 0) * 100)}%`;
  setAttribute(fill, 'data-level', share > 0.9 ? 'bad' : share > 0.75 ? 'warn' : 'ok');
}

function showStatus(view) {
  const isEmpty = view.hosts.length + view.receivers.length === 0;
  byId('empty').hidden = !isEmpty;
  setAttribute(document.body, 'data-fleet', isEmpty ? 'empty' : 'some');
  showStream(view.stream, view.at);
  showReceivers(view.receivers, view.at);
  showPartitions(view.stream.partitions);
  showTiles(view);
  showHosts(view);
  showRisks(view);
  connected('ok', `live, ${formatTime(view.at)}`);
}

function connected(state, text) {
  setText(byId('connection'), text);
  setAttribute(byId('connection'), 'data-state', state);
  setAttribute(document.body, 'data-connection', state);
}

function onEvent(event, data) {
  if (event === 'status') showStatus(data);
  if (event === 'problem') connected('bad', visible(data.message));
  if (event === 'history') {
    beginHosts(data.hosts);
    beginReceivers(data.receivers);
  }
}

function onState(state, why) {
  if (state === 'open') connected('wait', 'connected, looking…');
  if (state === 'lost') connected('bad', `connection lost (${why}); reconnecting…`);
  if (state === 'refused') connected('bad', `${visible(why)}; reload the page`);
}

function start() {
  watching = new AbortController();
  void listen('events', { onEvent, onState, signal: watching.signal });
  startTail();
}

/** A tab that nobody sees costs nothing. */
function onVisibility() {
  clearTimeout(hiding);
  if (document.visibilityState === 'hidden')
    hiding = setTimeout(() => {
      watching.abort();
      stopTail();
    }, HIDDEN_MS);
  else if (watching.signal.aborted) start();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const { target } = event;
  const isTyped = target instanceof HTMLInputElement && target.type !== 'checkbox';
  if (event.key === 'Escape' && target instanceof HTMLElement) {
    // Browsers would empty the field, and tell nobody.
    event.preventDefault();
    target.blur();
    return;
  }
  if (isTyped) return;
  if (event.key === '/') {
    event.preventDefault();
    byId('tail-search').focus();
    byId('tail-search').select();
  }
  if (event.key === ' ' && !(target instanceof HTMLInputElement) && !(target instanceof HTMLButtonElement)) {
    event.preventDefault();
    if (!event.repeat) togglePause();
  }
}

// A token in the address bar would be seen and bookmarked; the cookie has it now.
if (location.search !== '') history.replaceState(null, '', location.pathname);
setText(byId('empty-commands'), COMMANDS.join('\n'));
watchHosts(tailHost);
watchPartitions();
watchTail();
document.addEventListener('keydown', onKey);
document.addEventListener('visibilitychange', onVisibility);
start();
