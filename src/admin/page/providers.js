// The providers and how they do, and the routes that lead to them.

import { byId, h, keyed, setData, setText } from './dom.js';
import * as format from './format.js';
import { table } from './table.js';
import { t } from './text.js';

const latency = (name) => ({
  id: name, title: name, cell: ({ latency: of }) => ({ text: format.ms(of?.[`${name}_ms`]), value: of?.[`${name}_ms`] }),
});

const COLUMNS = [
  { id: 'name', title: 'provider', text: true, cell: ({ name, kind }) => ({ text: name, value: name, sub: kind === name ? '' : kind }) },
  { id: 'rate', title: 'rate', hint: 'attempts_rate_title', cell: ({ rate }) => ({ text: format.rate(rate), value: rate }) },
  { id: 'attempts', title: 'attempts', cell: ({ attempts }) => ({ text: format.short(attempts), value: attempts, hint: format.count(attempts) }) },
  { id: 'error_rate', title: 'failure_share', hint: 'failure_share_title',
    cell: ({ error_rate: share, failures, attempts }) => ({
      text: attempts ? format.percent(share) : format.NONE, value: share, hint: `${t('failures')}: ${format.count(failures)}, ${t('since_start')}`, tone: share >= 0.05 ? 'bad' : share >= 0.01 ? 'warn' : null,
    }) },
  latency('p50'), latency('p95'), latency('p99'),
  { id: 'pool', title: 'pool', hint: 'pool_title', cell: ({ pool }) => ({ text: pool ? `${format.count(pool.open)} / ${format.count(pool.idle)}` : format.NONE, value: pool?.open }) },
  { id: 'reused', title: 'reused', hint: 'reused_title', cell: ({ pool }) => ({ text: format.short(pool?.reused), value: pool?.reused }) },
  { id: 'connect', title: 'connect', hint: 'connect_title',
    cell: ({ pool }) => ({ text: format.ms(pool?.connects ? pool.connect_ms : null), value: pool?.connect_ms, sub: pool ? t('times', { n: format.short(pool.connects) }) : '' }) },
];

let show;

// Makes the panel, empty.
export function make() {
  show = table(byId('providers'), COLUMNS, { key: ({ name }) => name });
  byId('providers').querySelector('tbody').keyed = undefined;
  byId('routes').replaceChildren();
  byId('routes').keyed = undefined;
}

// Shows what the status document says of them.
export function update({ providers, routes }) {
  show(providers);
  keyed(byId('routes'), routes, ({ name }) => name, route, (element, item) => fill(element, item));
}

const route = ({ name }) => h('li', { data: { testid: `route.${name}` } },
  h('b', {}, name), h('code'), h('span', { class: 'arrow', 'aria-hidden': 'true' }, '→'), h('ul'));

function fill(element, { patterns, targets }) {
  const [, code, , list] = element.children;
  setText(code, patterns.join('  '));
  keyed(list, targets, ({ label }) => label,
    () => h('li', {}, h('span', { class: 'dot', role: 'img' }), h('span')),
    (item, { label, live }) => {
      const [dot, name] = item.children;
      setText(name, label);
      setData(dot, 'tone', live ? 'ok' : 'bad');
      dot.setAttribute('aria-label', t(live ? 'target_live' : 'target_down'));
      item.title = t(live ? 'target_live' : 'target_down');
      setData(item, 'value', live);
    });
}
