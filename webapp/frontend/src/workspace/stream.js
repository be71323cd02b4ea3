// One run's events from the server. The browser reconnects by itself and says what it saw last;
// where it gives up (an error page from something in between), we go on by hand.

const TYPES = ["output", "story", "scenario", "state", "report", "resync"];
const REOPEN_MS = 1500;

/** Calls handlers[type](data) for each event until "end"; handlers.connection(isUp) on changes.
 *  Returns a function that stops it. */
export function openStream(url, handlers) {
  let source = null;
  let last = 0;
  let timer = null;

  const open = () => {
    source = new EventSource(last ? `${url}?after=${last}` : url);
    source.onopen = () => handlers.connection(true);
    source.onerror = () => {
      handlers.connection(false);
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, REOPEN_MS);
    };
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        last = Number(event.lastEventId) || last;
        handlers[type](JSON.parse(event.data));
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
