// The cache: how it does, and the dialog that asks before anything is forgotten.

import * as api from './api.js';
import { byId, h, setData, setText } from './dom.js';
import * as format from './format.js';
import { t } from './text.js';

const CHOICES = ['all', 'model', 'caller', 'tag'];

let stats = null;
let totals = null;
let tell = () => {};

const figure = (id, value, text, hint) =>
  h('div', { title: hint }, h('dt', {}, t(id)), h('dd', { data: { testid: `cache.${id}`, value } }, text));

// How many of the requests that it was asked for it has answered, since the start.
const answered = ({ hits, stale, collapsed }) => hits + stale + collapsed;

let before = '';

// Shows the status document's word on it, `null` where there is none, and what it has saved over the range.
export function update(now, range) {
  stats = now === undefined ? stats : now;
  totals = range ?? totals;
  const state = JSON.stringify([stats, totals?.saved, t('html_lang')]);
  if (state === before) return;
  before = state;
  byId('no-cache').hidden = stats !== null;
  byId('purge').hidden = stats === null;
  byId('cache').hidden = stats === null;
  if (stats) byId('cache').replaceChildren(...panel(stats));
}

function panel(now) {
  const all = answered(now) + now.misses;
  const ratio = all > 0 ? answered(now) / all : null;
  const parts = [['hits', 'ok'], ['collapsed', 'c1'], ['stale', 'warn'], ['misses', 'quiet']];
  const bar = h('div', { class: 'stack', 'aria-hidden': 'true' },
    parts.map(([id, color]) => h('i', { style: { flex: String(now[id] ?? 0), background: `var(--${color})` } })));
  const full = now.max_bytes > 0 ? now.bytes / now.max_bytes : 0;
  return [
    h('p', { class: 'headline' },
      h('b', { data: { testid: 'cache.ratio', value: ratio } }, format.percent(ratio)), ' ', h('span', { class: 'hint' }, `${t('hit_ratio')} ${t('since_start')}`)),
    bar,
    h('dl', { class: 'figures' },
      parts.map(([id, color]) => {
        const item = figure(id, now[id], format.count(now[id]));
        item.firstChild.prepend(h('i', { class: 'swatch', style: { background: `var(--${color})` }, 'aria-hidden': 'true' }));
        return item;
      }),
      figure('bypassed', now.bypassed, format.count(now.bypassed)),
      figure('flights', now.flights, format.count(now.flights)),
      figure('entries', now.entries, format.count(now.entries)),
      figure('saved', totals?.saved, format.money(totals?.saved), t('saved_title'))),
    h('div', { class: 'fullness' }, h('span', {}, t('memory')),
      h('span', { class: 'meter', 'aria-hidden': 'true' }, h('i', { style: { width: `${Math.min(full * 100, 100)}%` } })),
      h('span', { data: { testid: 'cache.bytes', value: now.bytes } }, t('cache_of', { used: format.bytes(now.bytes), max: format.bytes(now.max_bytes) }))),
    now.files > 0 && h('div', { class: 'fullness' }, h('span', {}, t('disk')), h('span'),
      h('span', { data: { testid: 'cache.files', value: now.files } }, t('files', { n: format.count(now.files), size: format.bytes(now.file_bytes) }))),
  ].filter(Boolean);
}

const dialog = byId('purge-dialog');
const name = byId('purge-name');
const chosen = () => byId('purge-form').elements.what.value;

// Sets the dialog up. `said(text)` shows what has come of it.
export function make(said) {
  tell = said;
  byId('purge').addEventListener('click', ask);
  byId('purge-cancel').addEventListener('click', () => dialog.close());
  byId('purge-form').addEventListener('input', describe);
  byId('purge-form').addEventListener('submit', (event) => {
    event.preventDefault();
    purge();
  });
}

function ask() {
  const what = byId('purge-what');
  what.replaceChildren(what.firstElementChild, ...CHOICES.map((choice) =>
    h('label', {}, h('input', { type: 'radio', name: 'what', value: choice, checked: choice === 'all', data: { testid: `purge-${choice}` } }), t(`purge_${choice}`))));
  name.value = '';
  setText(byId('purge-error'), '');
  describe();
  dialog.showModal();
  byId('purge-cancel').focus();
}

// Says what will happen, before it does.
function describe() {
  const choice = chosen();
  const isAll = choice === 'all';
  name.hidden = byId('purge-name-label').hidden = isAll;
  if (!isAll) setText(byId('purge-name-label'), t(`purge_name_${choice}`));
  const given = name.value.trim();
  setText(byId('purge-effect'), isAll ? t('purge_effect_all', { n: format.count(stats?.entries), size: format.bytes(stats?.bytes) }) : t('purge_effect_some'));
  setText(byId('purge-go'), isAll ? t('purge_go_all') : given ? t('purge_go_some', { name: given }) : t('purge_go'));
  byId('purge-go').disabled = !isAll && given === '';
}

async function purge() {
  const choice = chosen();
  const go = byId('purge-go');
  if (go.disabled) return;
  go.disabled = true;
  try {
    const { purged } = await api.purge(choice === 'all' ? { all: true } : { [choice]: name.value.trim() });
    dialog.close();
    tell(t('purged', { n: format.count(purged) }));
  } catch (error) {
    setText(byId('purge-error'), t('purge_failed', { why: error.message }));
  } finally {
    go.disabled = false;
  }
}
