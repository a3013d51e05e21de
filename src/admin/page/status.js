// What the status document says of the gateway itself: the header, and the line at the foot.

import { byId, h, setData, setText } from './dom.js';
import * as format from './format.js';
import { t } from './text.js';

const fact = (name) => document.querySelector(`#facts [data-testid="${name}"]`);

function show(name, text, value) {
  const element = fact(name);
  setText(element, text);
  setData(element, 'value', value);
}

// Shows it.
export function update(status) {
  byId('facts').hidden = false;
  const state = status.draining ? 'draining' : status.ready ? 'ready' : 'not_ready';
  show('ready', t(state), state);
  fact('ready').title = state === 'ready' ? '' : t(`${state}_title`);
  setData(fact('ready'), 'tone', { ready: 'ok', draining: 'warn', not_ready: 'bad' }[state]);
  show('environment', status.environment || format.NONE, status.environment);
  show('version', status.version, status.version);
  show('generation', `#${status.generation}`, status.generation);
  show('uptime', format.span(status.uptime_s), status.uptime_s);
  fact('uptime').title = `${t('started')}: ${format.moment(status.started_at)}`;
  show('in_flight', format.count(status.in_flight), status.in_flight);
  document.title = `${status.environment ? `${status.environment} · ` : ''}millgate`;
  itself(status);
}

// Those parts of a sink's state that are worth a word; what is lost always is.
function parts(counts) {
  return Object.entries(counts)
    .filter(([name, n]) => typeof n === 'number' && (n > 0 || name === 'dropped'))
    .map(([name, n]) => h('span', { data: { testid: name, value: n, tone: name === 'dropped' && n > 0 ? 'bad' : null } }, t(name, { n: format.count(n) })));
}

function sink(id, state, isOn, counts) {
  const tone = !isOn ? 'quiet' : state === 'broken' ? 'bad' : 'ok';
  return h('div', { data: { testid: id } }, h('dt', {}, t(id)),
    h('dd', {}, h('span', { class: 'state', data: { tone } }, t(state)), isOn ? parts(counts) : null));
}

let before = '';

function itself({ ledger, traces, memory }) {
  const now = JSON.stringify([ledger, traces, memory, t('html_lang')]);
  if (now === before) return;
  before = now;
  const rows = [];
  if (ledger) {
    const isOn = ledger.kind !== 'off';
    const { written, waiting, dropped } = ledger;
    const row = sink('ledger', !isOn ? 'off' : ledger.ok === false ? 'broken' : 'on', isOn, { written, waiting, dropped });
    if (isOn) row.querySelector('.state').append(` · ${ledger.kind}`);
    const wrong = ledger.error ?? ledger.pruning_error;
    if (wrong) row.lastElementChild.append(h('span', { class: 'wrong' }, wrong));
    rows.push(row);
  }
  if (traces) {
    const { exported, waiting, dropped } = traces;
    rows.push(sink('traces', traces.on ? 'on' : 'off', traces.on, { exported, waiting, dropped }));
  }
  const figure = (name, value, text) => rows.push(h('div', {}, h('dt', {}, t(name)), h('dd', { data: { testid: name, value } }, text)));
  if (memory) {
    figure('resident', memory.resident_bytes, format.bytes(memory.resident_bytes));
    figure('descriptors', memory.open_fds, format.count(memory.open_fds));
  }
  byId('itself').replaceChildren(...rows);
}
