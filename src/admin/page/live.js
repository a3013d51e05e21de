// The stream of events, and what stands in for it while there is none.

const SILENCE_MS = 10_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

// Follows the gateway. `listener`: `status(document)`, `exchange(exchange)`, `missed(count)`; `poll()`, which asks for all of
// that and throws where it cannot; and `state(name)`: connecting, live, polling or offline.
export class Live {
  #listener;
  #source = null;
  #timer = null;
  #tries = 0;
  #stopped = true;

  constructor(listener) {
    this.#listener = listener;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#tries = 0;
    this.#listener.state('connecting');
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.#close();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    const source = new EventSource('/api/events');
    this.#source = source;
    const on = (name, hear) => source.addEventListener(name, (event) => {
      if (this.#source !== source) return;
      this.#watch();
      hear(JSON.parse(event.data));
    });
    source.onopen = () => this.#watch();
    source.onerror = () => this.#lost();
    on('status', (status) => {
      if (this.#tries > 0) this.#listener.poll().catch(() => {});
      this.#tries = 0;
      this.#listener.state('live');
      this.#listener.status(status);
    });
    on('exchange', (exchange) => this.#listener.exchange(exchange));
    on('missed', ({ count }) => this.#listener.missed(count));
    this.#watch();
  }

  // A status comes each second: a stream that has been silent for long is dead, whatever its socket says.
  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), SILENCE_MS);
  }

  // Asks once, and tries again after a while: longer each time, and not all pages at once.
  async #lost() {
    this.#close();
    this.#tries += 1;
    try {
      await this.#listener.poll();
      if (this.#stopped) return;
      this.#listener.state('polling');
    } catch {
      if (this.#stopped) return;
      this.#listener.state('offline');
    }
    const wait = Math.min(FIRST_WAIT_MS * 2 ** (this.#tries - 1), LONGEST_WAIT_MS);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }
}
