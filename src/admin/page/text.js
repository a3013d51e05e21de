// Every text of the page, in English and Korean. `{name}` is filled in by `t`.

const en = {
  language: '한국어', language_title: '한국어로 보기', language_lang: 'ko', html_lang: 'en',
  skip: 'Skip to the content',
  state: 'State', environment: 'Environment', version: 'Version', generation: 'Config', uptime: 'Up', in_flight: 'In flight',
  ready: 'ready', not_ready: 'not ready', draining: 'draining',
  not_ready_title: 'No route has a live target.', draining_title: 'It finishes what is under way and takes nothing new.',
  live: 'live', connecting: 'connecting', polling: 'polling', paused: 'paused', offline: 'disconnected',
  live_title: 'Shown as it happens', polling_title: 'No live stream; asked every few seconds', offline_title: 'The gateway does not answer; trying again',
  pause: 'Pause', resume: 'Resume',
  theme_auto: 'Theme: system', theme_light: 'Theme: light', theme_dark: 'Theme: dark',
  sign_in: 'Sign in', sign_out: 'Sign out', sign_in_title: 'Sign in', sign_in_why: 'The admin listener of this gateway asks for a token.',
  token: 'Admin token', sign_in_wrong: 'That is not the token.', sign_in_failed: 'Signing in failed: {why}', sign_out_failed: 'You are still signed in: {why}',
  sign_in_hint: 'It is the token of [admin] in config.toml. The gateway answers with a cookie that scripts cannot read.',
  range: 'Time range', range_5m: '5 min', range_1h: '1 hour', range_24h: '24 hours', range_7d: '7 days',
  since: 'Counted in memory since {time}. Percentiles are right within 5 %.',
  missed: '{n} exchanges went by faster than they could be shown.', failed_to_load: 'Could not be read: {why}',
  overview: 'Overview', charts: 'Charts', total_of: 'whole range', at: 'at {time}', chart_keys: 'Arrow keys move through time.',
  rate: 'Rate', error_share: 'Errors', p50: 'p50', p95: 'p95', p99: 'p99', overhead: 'Overhead p95', tokens_rate: 'Tokens out', cost: 'Cost',
  hit_ratio: 'Cache hits', saved: 'Saved',
  rate_title: 'Exchanges each second, of whatever outcome', error_share_title: 'Share of exchanges that failed by a fault of the gateway or of what is behind it',
  latency_title: 'From the request\'s head to the last byte of the reply', overhead_title: 'What the gateway itself took: the whole, less what client and provider kept it waiting',
  tokens_title: 'Output tokens, each second; below, all input → output', cost_title: 'At the prices in force; models without a price are not in it', hit_ratio_title: 'Of the requests for which the cache was asked',
  saved_title: 'What answers from the cache would have cost', n_exchanges: '{n} exchanges', n_errors: '{n} failed', tokens_in_out: '{n} → {m}', n_of: '{n} of {m}', targets_live: '{n} of {m} targets live',
  chart_rate: 'Exchanges per second', chart_latency: 'Latency', chart_overhead: 'Gateway\'s own overhead', chart_first: 'Time to first content', chart_tokens: 'Tokens', chart_cost: 'Cost and savings',
  per_step: 'each {step}', ok: 'ok', errors: 'errors', refused: 'refused', cancelled: 'cancelled', input: 'input', output: 'output',
  pipeline: 'Pipeline', pipeline_hint: 'In the order in which a request passes it, and how long each stage takes.',
  client: 'client', route: 'route', mean: 'mean', once: 'once per exchange', per_attempt: 'once per attempt', upstreams: 'providers', times: '{n}×', not_yet: 'not yet',
  cache_place: 'cache', providers: 'Providers', routes: 'Routes', provider: 'Provider', kind: 'Kind', attempts: 'Attempts', failures: 'Failed',
  pool: 'Pool', pool_title: 'Connections open, of them idle', reused: 'Reused', reused_title: 'Requests sent over a connection that was there', connect: 'Connect', connect_title: 'Mean time to connect; how often',
  attempts_rate_title: 'Attempts each second, over the last minute', providers_hint: 'Attempts and pools since the start; rate, errors and latency over the last minute.', failure_share: 'Errors', failure_share_title: 'Share of attempts that failed in the last minute', target_live: 'live', target_down: 'not live',
  no_providers: 'No provider is configured.', no_pipeline: 'Nothing is known of the pipeline yet.',
  cache: 'Cache', no_cache: 'There is no cache in the pipeline.', hits: 'Hits', misses: 'Misses', stale: 'Stale', collapsed: 'Shared', bypassed: 'Bypassed',
  entries: 'Answers kept', memory: 'Memory', disk: 'Disk', flights: 'Under way', stored: 'Stored so far', cache_of: '{used} of {max}', files: '{size} in {n} files', since_start: 'since the start',
  purge_open: 'Purge…', purge_title: 'What is the cache to forget?', purge_all: 'Everything', purge_model: 'One model', purge_caller: 'One caller', purge_tag: 'One tag',
  purge_name_model: 'Model', purge_name_caller: 'Caller', purge_name_tag: 'Tag', cancel: 'Cancel', close: 'Close',
  purge_effect_all: 'All {n} answers ({size}) are forgotten and have to be paid for again.', purge_effect_some: 'Its answers are forgotten and have to be paid for again.',
  purge_go_all: 'Purge everything', purge_go_some: 'Purge “{name}”', purge_go: 'Purge', purged: '{n} answers forgotten.', purge_failed: 'Nothing was purged: {why}',
  usage: 'Usage', usage_hint: 'From the ledger, over the range above.', by: 'By', by_model: 'model', by_caller: 'caller', by_team: 'team', by_provider: 'provider', by_ticket: 'ticket', by_day: 'day',
  no_ledger: 'The ledger is off: there is nothing to add up. Set [ledger] in config.toml to have it.', ledger_down: 'The ledger cannot be read at the moment: {why}',
  exchanges_n: 'Exchanges', tokens_in: 'Input', tokens_out: 'Output', cached: 'Cached', reasoning: 'Reasoning', total: 'Total', nobody: '(none)',
  estimated_part: 'besides, {n} estimated', unpriced_part: '{n} exchanges without a price', no_usage: 'Nothing in this range.', more_rows: 'The first {n} of {m}; the total is of all of them.',
  exchanges: 'Recent exchanges', no_exchanges: 'None so far, or none that the filters let through.', held: '{n} new', time: 'Time', outcome: 'Outcome', any_outcome: 'any outcome',
  caller: 'Caller', model: 'Model', tries: 'Tries', tries_title: 'Attempts at a provider', own: 'Overhead', first: 'First', first_title: 'Until the first byte of the reply went out', tokens: 'Tokens', search: 'Id or request id', clear: 'Clear', open: 'Show exchange {id}',
  id: 'Id', request_id: 'Request id', trace_id: 'Trace id', copy: 'Copy', copied: 'Copied', endpoint: 'Endpoint', asked: 'Model asked for', served: 'Provider / model', team: 'Team', status: 'Status', error: 'Error',
  stream: 'streamed', whole: 'whole', sizes: 'Bytes in, out', estimated: 'estimated', where_time: 'Where the time went', reading: 'client sends', upstream: 'provider', gateway: 'gateway',
  attempts_title: 'Attempts', no_attempts: 'No provider was asked.', committed: 'answered', stages: 'Stages', stages_hint: 'The gateway\'s own work, part by part.', no_stages: 'No stage had a say in it.', first_mark: 'first byte', starts_at: 'from {time}', gone: 'That exchange is no longer kept.',
  itself: 'The gateway itself', ledger: 'Ledger', traces: 'Traces', off: 'off', on: 'on', broken: 'not working', written: '{n} written', waiting: '{n} waiting', dropped: '{n} dropped', exported: '{n} exported', resident: 'Resident memory', descriptors: 'Open descriptors', started: 'Started',
  out_ok: 'ok', out_client_closed: 'client left', out_client_error: 'client error', out_rejected: 'refused', out_upstream_error: 'provider failed', out_timeout: 'timeout', out_internal_error: 'internal error',
};

const ko = {
  language: 'English', language_title: 'Show in English', language_lang: 'en', html_lang: 'ko',
  skip: '본문으로 건너뛰기',
  state: '상태', environment: '환경', version: '버전', generation: '설정', uptime: '가동', in_flight: '처리 중',
  ready: '준비됨', not_ready: '준비 안 됨', draining: '종료 대기',
  not_ready_title: '살아 있는 대상이 있는 라우트가 없습니다.', draining_title: '진행 중인 요청만 마치고 새 요청은 받지 않습니다.',
  live: '실시간', connecting: '연결 중', polling: '주기 조회', paused: '일시정지', offline: '연결 끊김',
  live_title: '일어나는 대로 표시합니다', polling_title: '실시간 연결이 없어 몇 초마다 조회합니다', offline_title: '게이트웨이가 응답하지 않아 다시 시도합니다',
  pause: '일시정지', resume: '계속',
  theme_auto: '테마: 시스템', theme_light: '테마: 밝게', theme_dark: '테마: 어둡게',
  sign_in: '로그인', sign_out: '로그아웃', sign_in_title: '로그인', sign_in_why: '이 게이트웨이의 관리 리스너는 토큰을 요구합니다.',
  token: '관리 토큰', sign_in_wrong: '토큰이 맞지 않습니다.', sign_in_failed: '로그인하지 못했습니다: {why}', sign_out_failed: '로그아웃하지 못했습니다: {why}',
  sign_in_hint: 'config.toml의 [admin]에 있는 token입니다. 게이트웨이는 스크립트가 읽을 수 없는 쿠키로 응답합니다.',
  range: '기간', range_5m: '5분', range_1h: '1시간', range_24h: '24시간', range_7d: '7일',
  since: '{time}부터 메모리에서 집계했습니다. 백분위수의 오차는 5% 이내입니다.',
  missed: '교환 {n}건이 표시할 수 있는 속도보다 빨리 지나갔습니다.', failed_to_load: '읽지 못했습니다: {why}',
  overview: '개요', charts: '차트', total_of: '전체 기간', at: '{time}', chart_keys: '화살표 키로 시간을 옮깁니다.',
  rate: '처리율', error_share: '오류', p50: 'p50', p95: 'p95', p99: 'p99', overhead: '자체 지연 p95', tokens_rate: '출력 토큰', cost: '비용',
  hit_ratio: '캐시 적중', saved: '절감',
  rate_title: '결과와 무관하게 초당 교환 수', error_share_title: '게이트웨이 또는 그 뒤의 문제로 실패한 교환의 비율',
  latency_title: '요청 헤더부터 응답의 마지막 바이트까지', overhead_title: '게이트웨이 자체가 쓴 시간: 전체에서 클라이언트와 제공자를 기다린 시간을 뺀 값',
  tokens_title: '초당 출력 토큰. 아래는 전체 입력 → 출력', cost_title: '현재 단가 기준이며, 단가가 없는 모델은 제외합니다', hit_ratio_title: '캐시를 조회한 요청 가운데',
  saved_title: '캐시가 답하지 않았다면 들었을 비용', n_exchanges: '교환 {n}건', n_errors: '실패 {n}건', tokens_in_out: '{n} → {m}', n_of: '{m} 중 {n}', targets_live: '대상 {m}곳 중 {n}곳 정상',
  chart_rate: '초당 교환', chart_latency: '지연 시간', chart_overhead: '게이트웨이 자체 지연', chart_first: '첫 응답까지의 시간', chart_tokens: '토큰', chart_cost: '비용과 절감',
  per_step: '{step} 단위', ok: '정상', errors: '오류', refused: '거부', cancelled: '취소', input: '입력', output: '출력',
  pipeline: '파이프라인', pipeline_hint: '요청이 지나는 순서와 단계별 소요 시간입니다.',
  client: '클라이언트', route: '라우트', mean: '평균', once: '교환마다 한 번', per_attempt: '시도마다 한 번', upstreams: '제공자', times: '{n}회', not_yet: '기록 없음',
  cache_place: '캐시', providers: '제공자', routes: '라우트', provider: '제공자', kind: '종류', attempts: '시도', failures: '실패',
  pool: '연결 풀', pool_title: '열린 연결과 그중 유휴 연결', reused: '재사용', reused_title: '이미 있던 연결로 보낸 요청', connect: '연결', connect_title: '평균 연결 시간과 횟수',
  attempts_rate_title: '최근 1분간 초당 시도 수', providers_hint: '시도와 연결 풀은 시작 이후, 처리율·오류·지연은 최근 1분 기준입니다.', failure_share: '오류', failure_share_title: '최근 1분간 실패한 시도의 비율', target_live: '정상', target_down: '사용 불가',
  no_providers: '설정된 제공자가 없습니다.', no_pipeline: '아직 파이프라인 정보가 없습니다.',
  cache: '캐시', no_cache: '파이프라인에 캐시가 없습니다.', hits: '적중', misses: '미적중', stale: '만료 응답', collapsed: '공유 호출', bypassed: '우회',
  entries: '보관한 응답', memory: '메모리', disk: '디스크', flights: '진행 중', stored: '누적 저장', cache_of: '{max} 중 {used}', files: '파일 {n}개, {size}', since_start: '시작 이후',
  purge_open: '비우기…', purge_title: '캐시에서 무엇을 지울까요?', purge_all: '전부', purge_model: '한 모델', purge_caller: '한 호출자', purge_tag: '한 태그',
  purge_name_model: '모델', purge_name_caller: '호출자', purge_name_tag: '태그', cancel: '취소', close: '닫기',
  purge_effect_all: '응답 {n}개({size})를 모두 지웁니다. 다시 받으려면 비용이 듭니다.', purge_effect_some: '해당 응답을 지웁니다. 다시 받으려면 비용이 듭니다.',
  purge_go_all: '전부 지우기', purge_go_some: '“{name}” 지우기', purge_go: '지우기', purged: '응답 {n}개를 지웠습니다.', purge_failed: '지우지 못했습니다: {why}',
  usage: '사용량', usage_hint: '위의 기간에 대한 원장의 기록입니다.', by: '기준', by_model: '모델', by_caller: '호출자', by_team: '팀', by_provider: '제공자', by_ticket: '티켓', by_day: '날짜',
  no_ledger: '원장이 꺼져 있어 집계할 것이 없습니다. 사용하려면 config.toml에 [ledger]를 설정하세요.', ledger_down: '지금은 원장을 읽을 수 없습니다: {why}',
  exchanges_n: '교환', tokens_in: '입력', tokens_out: '출력', cached: '캐시됨', reasoning: '추론', total: '합계', nobody: '(없음)',
  estimated_part: '추정 {n} 별도', unpriced_part: '단가 없는 교환 {n}건', no_usage: '이 기간에는 기록이 없습니다.', more_rows: '{m}개 중 처음 {n}개입니다. 합계는 전체 기준입니다.',
  exchanges: '최근 교환', no_exchanges: '아직 없거나 필터에 맞는 것이 없습니다.', held: '새 교환 {n}건', time: '시각', outcome: '결과', any_outcome: '모든 결과',
  caller: '호출자', model: '모델', tries: '시도', tries_title: '제공자에 대한 시도 횟수', own: '자체 지연', first: '첫 응답', first_title: '응답의 첫 바이트가 나갈 때까지', tokens: '토큰', search: 'ID 또는 요청 ID', clear: '초기화', open: '교환 {id} 보기',
  id: 'ID', request_id: '요청 ID', trace_id: '추적 ID', copy: '복사', copied: '복사됨', endpoint: '엔드포인트', asked: '요청한 모델', served: '제공자 / 모델', team: '팀', status: '상태 코드', error: '오류',
  stream: '스트림', whole: '일괄', sizes: '입력·출력 바이트', estimated: '추정', where_time: '시간을 쓴 곳', reading: '클라이언트 전송', upstream: '제공자', gateway: '게이트웨이',
  attempts_title: '시도', no_attempts: '제공자를 호출하지 않았습니다.', committed: '응답함', stages: '단계', stages_hint: '게이트웨이가 한 일을 부분별로 보여 줍니다.', no_stages: '관여한 단계가 없습니다.', first_mark: '첫 바이트', starts_at: '{time}부터', gone: '그 교환은 더 이상 보관되어 있지 않습니다.',
  itself: '게이트웨이', ledger: '원장', traces: '트레이스', off: '꺼짐', on: '켜짐', broken: '작동하지 않음', written: '{n}건 기록', waiting: '{n}건 대기', dropped: '{n}건 유실', exported: '{n}건 전송', resident: '상주 메모리', descriptors: '열린 디스크립터', started: '시작',
  out_ok: '정상', out_client_closed: '클라이언트 이탈', out_client_error: '클라이언트 오류', out_rejected: '거부됨', out_upstream_error: '제공자 실패', out_timeout: '시간 초과', out_internal_error: '내부 오류',
};

const KEY = 'millgate.language';
const tables = { en, ko };

function first() {
  try {
    const chosen = localStorage.getItem(KEY);
    if (chosen in tables) return chosen;
  } catch {
    // Storage may be closed to the page.
  }
  const wanted = navigator.languages?.[0] ?? navigator.language ?? 'en';
  return wanted.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

let language = first();

// A text in the language of the page.
export function t(key, values = {}) {
  const text = tables[language][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// Whether there is such a text.
export const has = (key) => key in en;

// Changes to the other language, and keeps it.
export function switchLanguage() {
  language = language === 'ko' ? 'en' : 'ko';
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // It holds until the page is left, then.
  }
  translate();
}

// Puts the texts into the elements that name one.
export function translate(root = document) {
  document.documentElement.lang = t('html_lang');
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
}
