// One run's events from the server. The browser reconnects by itself and says what it saw last;
// where it gives up (an error page from something in between), we go on by hand.

const TYPES = ["output", "story", "scenario", "state", "resync"];
const REOPEN_MS = 1500;

/** Calls handlers[type](data) for each event until the run has ended, and
 *  handlers.connection(isUp) on changes. Returns a function that stops it. */
export function openStream(url, handlers) {
  let source = null;
  let last = 0;
  let timer = null;
  let ended = false;

  const open = () => {
    source = new EventSource(last ? `${url}?after=${last}` : url);
    source.onopen = () => handlers.connection(true);
    source.onerror = () => {
      if (ended) return stop();
      handlers.connection(false);
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, REOPEN_MS);
      return undefined;
    };
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        const data = JSON.parse(event.data);
        last = Number(event.lastEventId) || last;
        if (type === "state") ended = isFinal(data.state);
        handlers[type](data);
      });
    }
    source.addEventListener("end", stop);
  };
  const stop = () => {
    clearTimeout(timer);
    source.close();
  };
  open();
  return stop;
}

export const isFinal = (state) => !["queued", "running"].includes(state);
