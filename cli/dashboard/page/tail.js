// The live tail: lines as they come, searched by the server. Follows its end until somebody scrolls up or pauses.

import { byId, make, setAttribute, setText, visible } from './dom.js';
import { endOf, formatCount, formatTime } from './format.js';
import { listen } from './listen.js';

const MOST_LINES = 1000;
const MOST_PATH = 30;
const TYPING_MS = 400;
/** A line and a bit. */
const NEAR_PX = 24;
const MOST_MARKS = 50;

const inputs = ['tail-search', 'tail-host', 'tail-path', 'tail-case', 'tail-invert'];
let current = new AbortController();
let isPaused = false;
let waiting = [];
let typing;
let marker;
let missed = { lines: 0, messages: 0 };
let connection = '';
let isEmpty = true;
let follows = true;
/** What is shown is from before the connection was lost: it goes when somebody goes on. */
let isStale = false;

export function watchTail() {
  for (const id of inputs)
    byId(id).addEventListener('input', () => {
      clearTimeout(typing);
      typing = setTimeout(startTail, TYPING_MS);
    });
  byId('tail-form').addEventListener('submit', (event) => {
    event.preventDefault();
    startTail();
  });
  byId('tail-pause').addEventListener('click', togglePause);
  byId('tail-newest').addEventListener('click', () => {
    follows = true;
    followEnd();
    byId('tail').focus();
  });
  byId('tail').addEventListener('scroll', () => {
    follows = isAtEnd();
    byId('tail-newest').hidden = follows;
    showNote();
  });
  // Only who scrolls stops to follow, not who makes the window smaller.
  new ResizeObserver(followEnd).observe(byId('tail'));
}

export function tailHost(host) {
  // In a glob, ? stands for a bracket in a name.
  byId('tail-host').value = host.replace(/[\\[\]{}()!+@]/g, '?');
  startTail();
  byId('tail').focus();
}

export function stopTail() {
  clearTimeout(typing);
  current.abort();
}

/** Begins anew, with what stands in the fields. */
export function startTail() {
  stopTail();
  current = new AbortController();
  const { signal } = current;
  const search = byId('tail-search').value;
  const invert = byId('tail-invert').checked;
  const ignoreCase = byId('tail-case').checked;
  const query = new URLSearchParams();
  for (const name of ['host', 'path'])
    if (byId(`tail-${name}`).value.trim() !== '') query.set(name, byId(`tail-${name}`).value.trim());
  if (search !== '') {
    query.set('grep', search);
    if (invert) query.set('invert', '');
    if (ignoreCase) query.set('ignore-case', '');
  }
  marker = search === '' || invert ? undefined : markerOf(search, ignoreCase);
  let isFresh = true;
  connection = 'connecting…';
  showNote();
  const onEvent = (event, data) => {
    if (isFresh) {
      isFresh = false;
      isStale = isPaused;
      if (!isPaused) byId('tail').replaceChildren();
      [waiting, missed, isEmpty] = [[], { lines: 0, messages: 0 }, true];
    }
    if (event === 'lines') takeLines(data);
    if (event === 'ready') connection = '';
    if (event === 'problem') {
      connection = visible(data.message);
      if (data.isFinal) current.abort();
    }
    showNote();
  };
  const onState = (state, why) => {
    // What is still to come is the last lines again: those here go when they do.
    if (state === 'open') isFresh = true;
    connection = state === 'open' ? 'reading…' : state === 'lost' ? `${why}; trying again` : visible(why);
    setAttribute(byId('tail-search'), 'aria-invalid', String(state === 'refused'));
    showNote();
  };
  void listen(`tail?${query}`, { onEvent, onState, signal });
}

export function togglePause() {
  isPaused = !isPaused;
  setAttribute(byId('tail-pause'), 'aria-pressed', String(isPaused));
  setText(byId('tail-pause'), isPaused ? 'Go on' : 'Pause');
  if (!isPaused) {
    if (isStale) byId('tail').replaceChildren();
    isStale = false;
    append(waiting);
    waiting = [];
  }
  showNote();
}

function takeLines({ lines, leftOut, jumped }) {
  missed.lines += leftOut;
  missed.messages += jumped;
  const items = lines.map((line, index) => ({ ...line, isBehindGap: index === 0 && leftOut + jumped > 0 }));
  if (items.length > 0) isEmpty = false;
  if (isPaused) {
    waiting.push(...items);
    missed.lines += Math.max(0, waiting.length - MOST_LINES);
    waiting = waiting.slice(-MOST_LINES);
  } else append(items);
}

function append(items) {
  const view = byId('tail');
  const added = document.createDocumentFragment();
  for (const item of items) added.append(lineOf(item));
  view.append(added);
  while (view.childElementCount > MOST_LINES) view.firstElementChild.remove();
  followEnd();
}

function followEnd() {
  if (follows) byId('tail').scrollTop = byId('tail').scrollHeight;
}

function isAtEnd() {
  const view = byId('tail');
  return view.scrollHeight - view.scrollTop - view.clientHeight < NEAR_PX;
}

function lineOf({ at, host, path, text, isBehindGap }) {
  const source = make('span', { class: 'path' }, endOf(visible(path), MOST_PATH));
  source.title = visible(path);
  const line = make(
    'div',
    isBehindGap ? { class: 'line gap' } : { class: 'line' },
    make('time', {}, formatTime(at)),
    make('span', { class: 'host' }, visible(host)),
    source,
    make('span', { class: 'text' }, ...marked(visible(text))),
  );
  if (isBehindGap) line.title = 'lines before this one were left out';
  return line;
}

function markerOf(search, ignoreCase) {
  try {
    return new RegExp(search, ignoreCase ? 'gi' : 'g');
  } catch (error) {
    // The server says what is wrong with it.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The text in pieces, what was searched for in <mark>. */
function marked(text) {
  if (marker === undefined) return [text];
  const pieces = [];
  let [from, marks] = [0, 0];
  for (const { 0: found, index } of text.matchAll(marker)) {
    if (found === '' || marks === MOST_MARKS) continue;
    pieces.push(text.slice(from, index), make('mark', {}, found));
    from = index + found.length;
    marks += 1;
  }
  return [...pieces, text.slice(from)];
}

function showNote() {
  const notes = [];
  if (connection !== '') notes.push(connection);
  else if (isEmpty) notes.push('no lines yet; they come here as they are shipped');
  else if (!isPaused) notes.push(follows ? 'following' : 'scrolled back, new lines come below');
  if (isPaused)
    notes.push(
      waiting.length === 0
        ? 'paused'
        : `paused, ${formatCount(waiting.length)} new ${waiting.length === 1 ? 'line waits' : 'lines wait'}`,
    );
  if (missed.lines > 0) notes.push(`${formatCount(missed.lines)} lines left out: more come than can be read`);
  if (missed.messages > 0)
    notes.push(`${formatCount(missed.messages)} messages skipped: narrow host or path`);
  setText(byId('tail-note'), notes.join(' · '));
  // Numbers that grow are not read out.
  setText(byId('tail-news'), connection !== '' ? connection : isPaused ? 'paused' : '');
}
