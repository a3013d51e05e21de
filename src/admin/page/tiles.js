// The row of figures at the top: each of them for the whole range, with its course behind it.

import { byId, h, setData, setText, svg } from './dom.js';
import * as format from './format.js';
import { t } from './text.js';

const share = (part, whole) => (whole > 0 ? part / whole : null);
const asked = (of) => of.cache_hits + of.cache_misses;

// `of` holds for the range and for each of its points.
const TILES = [
  { id: 'rate', hint: 'rate_title', of: (of) => of.rate, format: format.rate, sub: (of) => t('n_exchanges', { n: format.count(of.exchanges) }) },
  { id: 'error_share', hint: 'error_share_title', of: (of) => share(of.errors, of.exchanges), format: format.percent,
    sub: (of) => t('n_errors', { n: format.count(of.errors) }), tone: (value) => (value >= 0.05 ? 'bad' : value >= 0.01 ? 'warn' : null) },
  { id: 'p50', hint: 'latency_title', of: (of) => of.latency?.p50_ms, format: format.ms },
  { id: 'p95', hint: 'latency_title', of: (of) => of.latency?.p95_ms, format: format.ms },
  { id: 'p99', hint: 'latency_title', of: (of) => of.latency?.p99_ms, format: format.ms },
  { id: 'overhead', hint: 'overhead_title', of: (of) => of.overhead?.p95_ms, format: format.ms },
  { id: 'tokens_rate', hint: 'tokens_title', of: (of) => of.tokens_per_s, format: format.rate,
    sub: (of) => t('tokens_in_out', { n: format.short(of.input_tokens), m: format.short(of.output_tokens) }) },
  { id: 'cost', hint: 'cost_title', of: (of) => of.cost, format: format.money },
  { id: 'hit_ratio', hint: 'hit_ratio_title', of: (of) => share(of.cache_hits, asked(of)), format: format.percent,
    sub: (of) => (asked(of) > 0 ? t('n_of', { n: format.short(of.cache_hits), m: format.short(asked(of)) }) : '') },
  { id: 'saved', hint: 'saved_title', of: (of) => of.saved, format: format.money },
];

const shown = [];

// Makes the tiles, empty.
export function make() {
  shown.length = 0;
  byId('tiles').replaceChildren(...TILES.map((tile) => {
    const value = h('b', { data: { testid: `tile.${tile.id}` } }, format.NONE);
    const sub = h('small');
    const path = svg('path', { 'vector-effect': 'non-scaling-stroke' });
    shown.push({ tile, value, sub, path });
    return h('li', { class: 'panel tile', title: t(tile.hint) }, h('span', {}, t(tile.id)), value, sub,
      svg('svg', { class: 'spark', viewBox: '0 0 100 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, path));
  }));
}

// Shows a range's history.
export function update({ points, totals }) {
  for (const { tile, value, sub, path } of shown) {
    const raw = tile.of(totals) ?? null;
    setText(value, tile.format(raw));
    setData(value, 'value', raw);
    setData(value, 'tone', tile.tone?.(raw));
    setText(sub, tile.sub?.(totals) ?? '');
    path.setAttribute('d', course(points.map((point) => tile.of(point) ?? null)));
  }
}

// The way of the values through a box of 100 by 20, at most 120 of them; gaps are left out.
function course(values) {
  const width = Math.ceil(values.length / 120);
  const means = [];
  for (let at = 0; at < values.length; at += width) {
    const some = values.slice(at, at + width).filter((value) => value !== null);
    means.push(some.length ? some.reduce((sum, value) => sum + value, 0) / some.length : null);
  }
  const top = Math.max(...means.map((value) => value ?? 0), 0);
  if (top === 0 || means.length < 2) return '';
  let drawing = false;
  return means
    .map((value, at) => {
      if (value === null) {
        drawing = false;
        return '';
      }
      const step = `${drawing ? 'L' : 'M'}${((at * 100) / (means.length - 1)).toFixed(2)} ${(19 - (18 * value) / top).toFixed(2)}`;
      drawing = true;
      return step;
    })
    .join('');
}
