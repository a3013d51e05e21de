// The stream of events, and what stands in for it while there is none.

const SILENCE_MS = 10_000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

// Follows the gateway. `listener`: `status(document)`, `exchange(exchange)`, `missed(count)`; `catchUp()`, when a stream has
// begun; `poll()`, which asks for all that a stream would tell and throws where it cannot; and `state(name)`: connecting,
// live, polling or offline.
export class Live {
  #listener;
  #source = null;
  #timer = null;
  #tries = 0;
  // From one start to the next stop: what was begun in an earlier run has no say in this one.
  #run = null;

  constructor(listener) {
    this.#listener = listener;
  }

  start() {
    if (this.#run) return;
    this.#run = {};
    this.#tries = 0;
    this.#listener.state('connecting');
    this.#connect();
  }

  stop() {
    this.#run = null;
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
    let isFirst = true;
    source.onopen = () => this.#watch();
    source.onerror = () => this.#source === source && this.#lost();
    on('status', (status) => {
      // The stream begins with what is new: what was before it is asked for, now that nothing goes by in between.
      if (isFirst) this.#listener.catchUp();
      isFirst = false;
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
    const run = this.#run;
    this.#close();
    this.#tries += 1;
    const state = await this.#listener.poll().then(() => 'polling', () => 'offline');
    if (run !== this.#run) return;
    this.#listener.state(state);
    const wait = Math.min(FIRST_WAIT_MS * 2 ** (this.#tries - 1), LONGEST_WAIT_MS);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }
}
