// The pipeline in its order, from the client to the providers and back, with the time that each stage takes.

import { byId, h, keyed, setData, setText } from './dom.js';
import * as format from './format.js';
import { t } from './text.js';

const END = { client: { name: 'client', position: 'end' }, providers: { name: 'upstreams', position: 'end' } };

function make(stage) {
  if (stage.position === 'end') return h('li', { class: 'end' }, h('b', {}, t(stage.name)));
  return h('li', { data: { testid: `stage.${stage.name}` } },
    h('span', { class: 'place' }), h('b', { class: 'name' }), h('span', { class: 'kind' }),
    h('span', { class: 'time', data: { testid: 'mean' } }), h('small'), h('i', { class: 'weight', 'aria-hidden': 'true' }));
}

const PLACES = { above: 'once', cache: 'cache_place', route: 'route', below: 'per_attempt' };

function show(element, stage, heaviest, targets) {
  if (stage.position === 'end') return;
  const [place, name, kind, time, more, weight] = element.children;
  setData(element, 'position', stage.position);
  setText(place, t(PLACES[stage.position] ?? stage.position));
  setText(name, stage.name);
  // The kind says something only where the stage has a name of its own.
  setText(kind, stage.kind && stage.kind !== stage.name ? stage.kind : '');
  const { count = 0, mean_ms = null, p95_ms = null } = stage.time ?? {};
  const isRoute = stage.position === 'route' && !count;
  const live = targets.filter((target) => target.live).length;
  setText(time, count ? `${t('mean')} ${format.ms(mean_ms)}` : isRoute ? t('targets_live', { n: live, m: targets.length }) : t('not_yet'));
  setData(time, 'value', count ? mean_ms : null);
  setText(more, count ? `p95 ${format.ms(p95_ms)} · ${t('times', { n: format.short(count) })}` : '');
  setData(more, 'value', count);
  weight.style.setProperty('--share', String(heaviest > 0 && mean_ms ? mean_ms / heaviest : 0));
}

let language = '';

// Shows the status document's pipeline.
export function update({ pipeline: stages, routes }) {
  const list = byId('pipeline');
  if (language !== t('html_lang')) {
    language = t('html_lang');
    list.replaceChildren();
    list.keyed = undefined;
  }
  const own = stages.filter((stage) => stage.position !== 'route');
  const heaviest = Math.max(...own.map((stage) => stage.time?.mean_ms ?? 0), 0);
  const targets = routes.flatMap((route) => route.targets);
  keyed(list, [END.client, ...stages, END.providers], (stage) => `${stage.position} ${stage.name}`, make, (element, stage) => show(element, stage, heaviest, targets));
}
