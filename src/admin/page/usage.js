// Usage out of the ledger: two tables side by side, each by what is asked for.

import * as api from './api.js';
import { byId, h, setText } from './dom.js';
import * as format from './format.js';
import { table } from './table.js';
import { t } from './text.js';

const BY = ['model', 'caller', 'team', 'provider', 'ticket', 'day'];

const amount = (id, title, member, show = format.short) => ({
  id, title, cell: (row) => ({ text: show(row[member]), value: row[member], hint: format.count(row[member]) }),
});

const alarm = (errors, exchanges) => (errors >= exchanges * 0.05 && errors > 0 ? 'bad' : errors >= exchanges * 0.01 && errors > 0 ? 'warn' : null);

const COLUMNS = (panel) => [
  { id: 'key', title: `by_${panel.by}`, text: true, cell: (row) => ({ text: row.isTotal ? t('total') : row.key || t('nobody'), value: row.key, bar: row.isTotal ? 0 : row.share }) },
  amount('exchanges', 'exchanges_n', 'exchanges'),
  { id: 'errors', title: 'failure_share', cell: ({ errors, exchanges }) => ({
    text: format.short(errors), value: errors, hint: format.percent(exchanges ? errors / exchanges : null), tone: alarm(errors, exchanges) }) },
  { id: 'input_tokens', title: 'tokens_in', cell: (row) => ({
    text: format.short(row.input_tokens), value: row.input_tokens, hint: `${format.count(row.input_tokens)} · ${t('cached')} ${format.count(row.cached_tokens)}` }) },
  { id: 'output_tokens', title: 'tokens_out', cell: (row) => ({
    text: `${row.estimated_tokens > 0 ? '≈' : ''}${format.short(row.output_tokens)}`, value: row.output_tokens,
    hint: [format.count(row.output_tokens), `${t('reasoning')} ${format.count(row.reasoning_tokens)}`,
      row.estimated_tokens > 0 && t('estimated_part', { n: format.count(row.estimated_tokens) })].filter(Boolean).join(' · ') }) },
  { id: 'cost', title: 'cost', cell: (row) => ({
    text: `${format.money(row.cost)}${row.unpriced_exchanges > 0 ? '*' : ''}`, value: row.cost,
    hint: row.unpriced_exchanges > 0 ? t('unpriced_part', { n: format.count(row.unpriced_exchanges) }) : '' }) },
  amount('cache_hits', 'hits', 'cache_hits'),
  { id: 'saved', title: 'saved', cell: ({ saved }) => ({ text: format.money(saved), value: saved }) },
];

// So many rows at most: names are made up by clients.
const MOST = 50;

const panels = [{ by: 'model' }, { by: 'caller' }];
let since = '1h';
let asked = 0;

// Makes the panel, empty. `failed(error)` is told where the choice of another key is not answered.
export function make(failed) {
  byId('usages').replaceChildren(...panels.map((panel, index) => {
    const select = h('select', { id: `usage-by-${index}`, data: { testid: `usage-by-${index}` } },
      BY.map((by) => h('option', { value: by, selected: by === panel.by }, t(`by_${by}`))));
    panel.element = h('table', { 'aria-label': `${t('usage')}: ${t(`by_${panel.by}`)}`, data: { testid: `usage.${index}` } });
    panel.empty = h('p', { class: 'empty', hidden: true }, t('no_usage'));
    panel.more = h('p', { class: 'hint', data: { testid: `usage-more-${index}` }, hidden: true });
    panel.show = table(panel.element, COLUMNS(panel), { key: ({ key }) => key ?? '' });
    select.addEventListener('change', () => {
      panel.by = select.value;
      make(failed);
      refresh(since).catch(failed);
      byId(select.id).focus();
    });
    return h('div', {},
      h('label', { class: 'by' }, `${t('by')} `, select),
      h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `${t('usage')}: ${t(`by_${panel.by}`)}` }, panel.element), panel.more, panel.empty);
  }));
}

// Asks the ledger anew for what was since so long ago; throws where the session is over.
export async function refresh(range) {
  since = range;
  asked += 1;
  const mine = asked;
  // An answer that a later question has overtaken is for another range or another key.
  try {
    const answers = await Promise.all(panels.map(({ by }) => api.usage(range, by)));
    if (mine !== asked) return;
    reveal(null);
    panels.forEach((panel, index) => show(panel, answers[index]));
  } catch (error) {
    if (error.status === 401) throw error;
    if (mine !== asked) return;
    // What is shown stays meanwhile. Who is not let in is told so by other answers.
    if (error.code === 'ledger_busy') setTimeout(() => mine === asked && refresh(range).catch(() => {}), 2000);
    else reveal(error);
  }
}

// The tables, or why there are none.
function reveal(error) {
  byId('usages').hidden = byId('usage-hint').hidden = error !== null;
  const note = byId('no-ledger');
  note.hidden = error === null;
  if (error) setText(note, error.code === 'ledger_off' ? t('no_ledger') : t('ledger_down', { why: error.message }));
}

function show(panel, { rows, totals }) {
  const weigh = rows.some((row) => row.cost > 0) ? (row) => row.cost ?? 0 : (row) => row.input_tokens + row.output_tokens;
  const heaviest = Math.max(...rows.map(weigh), 0);
  panel.show(
    rows.slice(0, MOST).map((row) => ({ ...row, share: heaviest > 0 ? weigh(row) / heaviest : 0 })),
    rows.length ? { ...totals, key: 'total', isTotal: true } : null,
  );
  panel.empty.hidden = rows.length > 0;
  panel.more.hidden = rows.length <= MOST;
  setText(panel.more, t('more_rows', { n: format.count(MOST), m: format.count(rows.length) }));
}
