// One exchange in full, in a sheet at the side: who, what, and where the time went.

import { byId, h } from './dom.js';
import { outcomeName, tone } from './exchanges.js';
import * as format from './format.js';
import { t } from './text.js';

const sheet = byId('detail');

// Sets the sheet up.
export function make() {
  const close = byId('detail-close');
  close.textContent = t('close');
  close.onclick = () => sheet.close();
  // A click beside the sheet closes it, as Esc does.
  sheet.onclick = (event) => {
    if (event.target === sheet) sheet.close();
  };
}

// Opens the sheet on an exchange.
export function open(exchange) {
  const title = byId('detail-title');
  title.replaceChildren(
    h('span', { class: 'state', data: { tone: tone(exchange.outcome), testid: 'detail-outcome', value: exchange.outcome } },
      `${outcomeName(exchange.outcome)}${exchange.status ? ` ${exchange.status}` : ''}`),
    h('span', { class: 'what', data: { testid: 'detail-model' } }, exchange.asked || exchange.path));
  byId('detail-body').replaceChildren(ids(exchange), facts(exchange), time(exchange), attempts(exchange), stages(exchange));
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
  title.focus();
}

function ids({ id, request_id, trace_id }) {
  const rows = [['id', id], ['request_id', request_id], ['trace_id', trace_id]].filter(([, value]) => value);
  return h('dl', { class: 'ids' }, rows.map(([name, value]) => {
    const code = h('code', { data: { testid: `detail-${name}` } }, value);
    return h('div', {}, h('dt', {}, t(name)), h('dd', {}, code, copier(code)));
  }));
}

function copier(code) {
  const button = h('button', { type: 'button', class: 'small', data: { testid: 'copy' } }, t('copy'));
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = t('copied');
      setTimeout(() => (button.textContent = t('copy')), 1500);
    } catch {
      // Browsers lend the clipboard to secure origins only; the text is selected for the keyboard then.
      getSelection().selectAllChildren(code);
    }
  });
  return button;
}

function facts(exchange) {
  const { tokens } = exchange;
  const counted = tokens && [
    `${t('input')} ${format.count(tokens.input)}`, tokens.cached > 0 && `(${t('cached')} ${format.count(tokens.cached)})`,
    `· ${t('output')} ${format.count(tokens.output)}`, tokens.reasoning > 0 && `(${t('reasoning')} ${format.count(tokens.reasoning)})`,
    tokens.estimated && `· ${t('estimated')}`,
  ].filter(Boolean).join(' ');
  const rows = [
    ['time', format.moment(exchange.time)],
    ['endpoint', `${exchange.method} ${exchange.path} · ${exchange.stream ? t('stream') : t('whole')}`],
    ['caller', [exchange.caller, exchange.team].filter(Boolean).join(' · ')],
    ['asked', exchange.asked],
    ['route', exchange.route],
    ['served', [exchange.provider, exchange.model].filter(Boolean).join(' / ')],
    ['error', exchange.error],
    ['cache', exchange.cache],
    ['tokens', counted],
    ['cost', exchange.cost === null || exchange.cost === undefined ? '' : format.money(exchange.cost)],
    ['saved', exchange.saved === null || exchange.saved === undefined ? '' : format.money(exchange.saved)],
    ['sizes', `${format.bytes(exchange.request_bytes)}, ${format.bytes(exchange.bytes)}`],
  ];
  return h('dl', { class: 'facts-list' }, rows.filter(([, text]) => text).map(([name, text]) =>
    h('div', {}, h('dt', {}, t(name)), h('dd', { data: { testid: `detail-${name}`, tone: name === 'error' ? 'bad' : null } }, text))));
}

const section = (title, hint, ...children) =>
  h('section', {}, h('header', {}, h('h3', {}, t(title)), hint && h('p', { class: 'hint' }, t(hint))), ...children);

// The whole, split into what the client, the provider and the gateway itself took.
function time({ total_ms: total, reading_ms: reading, upstream_ms: upstream, overhead_ms: overhead, first_ms: first }) {
  const parts = [['reading', reading, '--quiet'], ['gateway', overhead, '--c3'], ['upstream', upstream, '--c1']].filter(([, value]) => value > 0);
  return section('where_time', null,
    h('div', { class: 'stack tall', 'aria-hidden': 'true' }, parts.map(([, value, color]) => h('i', { style: { flex: `${value} 1 0`, background: `var(${color})` } }))),
    h('ul', { class: 'legend' }, parts.map(([name, value, color]) =>
      h('li', {}, h('i', { class: 'swatch', style: { background: `var(${color})` }, 'aria-hidden': 'true' }), t(name), h('b', { data: { testid: `detail-${name}`, value } }, format.ms(value)))),
    h('li', {}, t('total'), h('b', { data: { testid: 'detail-total', value: total } }, format.ms(total))),
    first !== null && first !== undefined && h('li', {}, t('first_mark'), h('b', { data: { testid: 'detail-first', value: first } }, format.ms(first)))));
}

// The attempts where they lie in the whole, each with what was done for it.
function attempts({ attempts: all, total_ms: total, first_ms: first }) {
  if (!all.length) return section('attempts_title', null, h('p', { class: 'empty' }, t('no_attempts')));
  const share = (value) => `${Math.min(Math.max(total > 0 ? (100 * value) / total : 0, 0), 100)}%`;
  const rows = all.map((attempt) => {
    const { provider, target, model, begun_ms: begun, took_ms: took, failure } = attempt;
    return h('li', { data: { testid: 'attempt', failure, begun, took } },
      h('p', {}, h('b', {}, target || provider), model && !(target ?? '').endsWith(model) && h('span', { class: 'hint' }, model),
        h('span', { class: 'state', data: { tone: failure ? 'bad' : 'ok' } }, failure || t('committed'))),
      h('div', { class: 'track', 'aria-hidden': 'true' },
        h('i', { class: failure ? 'failed' : 'went', style: { left: share(begun), width: share(took) } }),
        first !== null && first !== undefined && h('span', { class: 'mark', style: { left: share(first) } })),
      h('p', { class: 'hint' }, `${t('starts_at', { time: format.ms(begun) })} · ${format.ms(took)}`,
        (attempt.stages ?? []).map(({ name, ms }) => h('span', { class: 'chip' }, `${name} ${format.ms(ms)}`))));
  });
  return section('attempts_title', null, h('ol', { class: 'attempts' }, rows),
    h('p', { class: 'scale hint', 'aria-hidden': 'true' }, h('span', {}, format.ms(0)), h('span', {}, format.ms(total))));
}

// The stages above the route, each against all of the gateway's own time.
function stages({ stages: all, overhead_ms: overhead }) {
  if (!all.length) return section('stages', null, h('p', { class: 'empty' }, t('no_stages')));
  const whole = Math.max(overhead, ...all.map(({ ms }) => ms));
  return section('stages', 'stages_hint', h('ol', { class: 'stages' }, all.map(({ name, ms }) =>
    h('li', { data: { testid: 'detail-stage', value: ms } }, h('span', {}, name),
      h('span', { class: 'meter', 'aria-hidden': 'true' }, h('i', { style: { width: `${whole > 0 ? (100 * ms) / whole : 0}%` } })), h('b', {}, format.ms(ms))))));
}
