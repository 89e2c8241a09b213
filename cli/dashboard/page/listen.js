// Server-sent events with fetch, which says why something is refused; comes back by itself when the connection is lost.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
/** The server sends something every five seconds. */
const SILENT_MS = 16000;
/** Asking again would not help. */
const FINAL = [400, 401, 403, 404];

/**
 * Until the signal fires.
 * @param onEvent called with the name of an event and its data
 * @param onState called with `open`, `lost` or `refused`, and what the server says
 */
export async function listen(url, { onEvent, onState, signal }) {
  for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENT_MS);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
    };
    let why = 'no connection';
    try {
      const response = await fetch(url, {
        signal: AbortSignal.any([signal, silence.signal]),
        cache: 'no-store',
        headers: { Accept: 'text/event-stream' },
      });
      if (response.ok) {
        onState('open', '');
        wait = FIRST_WAIT_MS;
        await readEvents(response.body, onEvent, heard);
      } else {
        why = (await response.text()).trim().slice(0, 300);
        if (FINAL.includes(response.status)) {
          if (!signal.aborted) onState('refused', why);
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== 'AbortError') throw error;
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return;
    onState('lost', why);
    await pause(wait, signal);
  }
}

async function readEvents(body, onEvent, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const fields = new Map();
      for (const line of rest.slice(0, end).split('\n')) {
        const colon = line.indexOf(': ');
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
      }
      rest = rest.slice(end + 2);
      if (fields.has('data')) onEvent(fields.get('event'), JSON.parse(fields.get('data')));
    }
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
