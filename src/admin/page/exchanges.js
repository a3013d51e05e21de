// The recent exchanges: those that the filters let through, the latest first, each with a way to its detail.

import * as api from './api.js';
import * as detail from './detail.js';
import { byId, h, setText } from './dom.js';
import * as format from './format.js';
import { table } from './table.js';
import { has, t } from './text.js';

const SHOWN = 100;

// Arrivals are drawn together, so often at most.
const BEAT_MS = 250;

const OUTCOMES = ['ok', 'upstream_error', 'timeout', 'internal_error', 'rejected', 'client_error', 'client_closed'];

export const outcomeName = (outcome) => (has(`out_${outcome}`) ? t(`out_${outcome}`) : outcome);

// How an outcome is coloured, wherever it is.
export function tone(outcome) {
  if (outcome === 'ok') return 'ok';
  if (outcome === 'client_closed') return 'quiet';
  return ['rejected', 'client_error'].includes(outcome) ? 'warn' : 'bad';
}

const tokens = (of) => (of ? `${of.estimated ? '≈' : ''}${format.short(of.input)} → ${format.short(of.output)}` : format.NONE);

const COLUMNS = [
  { id: 'time', title: 'time', text: true, cell: ({ time }) => ({ text: format.second(time), value: time, hint: format.moment(time) }) },
  { id: 'outcome', title: 'outcome', text: true, cell: ({ outcome, status, error }) => ({
    text: `${outcomeName(outcome)}${status ? ` ${status}` : ''}`, value: outcome, tone: tone(outcome), hint: error ?? '' }) },
  { id: 'caller', title: 'caller', text: true, cell: ({ caller, team }) => ({ text: caller ?? format.NONE, value: caller, hint: team ?? '' }) },
  { id: 'model', title: 'model', text: true, cell: ({ asked, model }) => ({
    text: asked || model || format.NONE, value: asked, hint: asked, sub: model && model !== asked ? `→ ${model}` : '' }) },
  { id: 'provider', title: 'provider', text: true, cell: ({ provider, cache }) => ({
    text: provider ?? format.NONE, value: provider, sub: cache && !['miss', 'bypass'].includes(cache) ? `${t('cache')}: ${cache}` : '' }) },
  { id: 'attempts', title: 'tries', hint: 'tries_title', cell: ({ attempts }) => ({ text: format.count(attempts.length), value: attempts.length, tone: attempts.length > 1 ? 'warn' : null }) },
  { id: 'total', title: 'total', cell: ({ total_ms: value }) => ({ text: format.ms(value), value }) },
  { id: 'overhead', title: 'own', hint: 'overhead_title', cell: ({ overhead_ms: value }) => ({ text: format.ms(value), value }) },
  { id: 'first', title: 'first', hint: 'first_title', cell: ({ first_ms: value }) => ({ text: format.ms(value ?? null), value }) },
  { id: 'tokens', title: 'tokens', cell: ({ tokens: of }) => ({ text: tokens(of), value: of ? of.input + of.output : null }) },
  { id: 'cost', title: 'cost', cell: ({ cost }) => ({ text: format.money(cost), value: cost }) },
];

let list = [];
let arrived = [];
// What has come while the list was asked for: the answer may have been made before it.
let meanwhile = [];
let due = null;
let show;
let asked = 0;

const filters = byId('filters');
const panel = byId('exchanges').closest('section');

// Makes the panel, empty of exchanges. `failed(error)` is told where they could not be asked for.
export function make(failed) {
  const was = wanted();
  const field = (name, label, extra = {}) =>
    h('input', { name, type: 'search', placeholder: t(label), 'aria-label': t(label), autocomplete: 'off', spellcheck: 'false', maxlength: '128', value: was[name], data: { testid: `filter-${name}` }, ...extra });
  filters.replaceChildren(
    h('select', { name: 'outcome', 'aria-label': t('outcome'), data: { testid: 'filter-outcome' } },
      h('option', { value: '' }, t('any_outcome')),
      OUTCOMES.map((name) => h('option', { value: name, selected: was.outcome === name }, outcomeName(name)))),
    field('caller', 'caller'), field('provider', 'provider'), field('model', 'model'), field('q', 'search'),
    h('button', { type: 'reset', class: 'small', data: { testid: 'filter-clear' } }, t('clear')));
  const again = () => refresh().catch(failed);
  let typing;
  filters.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(again, 200);
  };
  filters.onreset = () => setTimeout(again);
  filters.onsubmit = (event) => {
    event.preventDefault();
    again();
  };
  show = table(byId('exchanges'), COLUMNS, { key: ({ id }) => id, open: detail.open });
  byId('exchanges').querySelector('tbody').keyed = undefined;
  byId('held').onclick = release;
  panel.onmouseleave = release;
  draw();
}

const wanted = () => Object.fromEntries([...new FormData(filters)].map(([name, value]) => [name, value.trim()]));

// Asks for the latest anew.
export async function refresh() {
  asked += 1;
  const mine = asked;
  meanwhile = [];
  const filter = wanted();
  const { exchanges } = await api.exchanges({ limit: SHOWN, ...filter });
  // An answer that a later question has overtaken is for other filters.
  if (mine !== asked) return;
  list = exchanges;
  arrived = meanwhile.filter((exchange) => passes(exchange, filter));
  release();
  draw();
}

// One has just ended.
export function add(exchange) {
  meanwhile.push(exchange);
  if (meanwhile.length > SHOWN) meanwhile.shift();
  if (!passes(exchange, wanted())) return;
  arrived.push(exchange);
  if (arrived.length > SHOWN) arrived.shift();
  due ??= setTimeout(() => {
    due = null;
    // Rows do not move under a pointer that is about to click on one.
    if (byId('exchanges').matches(':hover')) hold();
    else release();
  }, BEAT_MS);
}

// Whether the filters would have let it through, by the rules of the API.
function passes(exchange, { outcome, caller, provider, model, q }) {
  return (!outcome || exchange.outcome === outcome)
    && (!caller || exchange.caller === caller || exchange.team === caller)
    && (!provider || exchange.provider === provider || exchange.attempts.some((attempt) => attempt.provider === provider))
    && (!model || exchange.asked === model || exchange.model === model)
    && (!q || exchange.id.startsWith(q.toLowerCase()) || exchange.request_id.startsWith(q));
}

function hold() {
  byId('held').hidden = arrived.length === 0;
  setText(byId('held'), t('held', { n: format.count(arrived.length) }));
}

function release() {
  byId('held').hidden = true;
  if (!arrived.length) return;
  const known = new Set(list.map(({ id }) => id));
  list = [...arrived.reverse().filter(({ id }) => !known.has(id)), ...list].slice(0, SHOWN);
  arrived = [];
  draw();
}

function draw() {
  show(list);
  byId('no-exchanges').hidden = list.length > 0;
}
