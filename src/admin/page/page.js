// The admin page. What it shows comes from requests, tokens and rule files, so it is inserted as text, never as
// markup.

const POLL = 500;
const KEPT = 200;

const at = (id) => document.getElementById(id);

/** Makes an element that contains text or other elements. */
function make(name, content = [], className = '') {
  const element = document.createElement(name);
  if (className !== '') element.className = className;
  element.append(...[content].flat().map((part) => (part instanceof Node ? part : visible(part))));
  return element;
}

/** Escapes control characters and characters that change the direction of text, so that they are visible. */
function visible(value) {
  return String(value ?? '').replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
}

const code = (text) => make('code', text);
const badge = (text, kind) => make('span', text, `badge ${kind}`);
const cell = (content, className) => make('td', content, className);

async function get(path) {
  const response = await fetch(path, { cache: 'no-store' });
  if (!response.ok) throw new Error(`${response.status}`);
  return response.json();
}

let started = '';
let version = -1;
let last = 0;
let rules = [];
let decisions = [];
const counters = new Map();

function showRules({ rules: list, proof, lastReload }) {
  rules = list;
  counters.clear();
  at('rules').replaceChildren(
    ...list.map((rule) => {
      const allowed = cell('0', 'number');
      const denied = cell('0', 'number');
      counters.set(rule.id, { allowed, denied });
      const scopes = rule.strategies.flatMap((strategy) => strategy.scopes).join(' ');
      const id = make('th', code(rule.id));
      id.scope = 'row';
      id.title = rule.source;
      return make('tr', [
        id,
        cell(code(rule.hosts.join(' '))),
        cell(rule.methods.join(' ')),
        cell(code(rule.path)),
        cell(rule.strategies.map((strategy) => strategy.handler).join(', ')),
        cell(scopes === '' ? '–' : code(scopes)),
        cell(code(rule.upstream)),
        allowed,
        denied,
      ]);
    }),
  );
  at('proof').replaceChildren(...proofOf(list, proof, lastReload));
}

function proofOf(list, { overlap, specific, unproved }, lastReload) {
  const hosts = new Set(list.flatMap((rule) => rule.hosts)).size;
  const said = [
    unproved.length === 0 ? badge('proved', 'good') : badge('not all proved', 'bad'),
    ` At most one of these ${list.length} rules on ${hosts} ${hosts === 1 ? 'host' : 'hosts'} decides a request (matching.overlap: ${overlap}).`,
  ];
  if (specific.length > 0) {
    said.push(
      " These rules match a part of another rule's requests and decide those: ",
      ...specific.flatMap((id, i) => (i === 0 ? [code(id)] : [', ', code(id)])),
      '.',
    );
  }
  for (const pair of unproved)
    said.push(' Not proved apart, so a request that both match is refused: ', code(pair.join(' and ')), '.');
  if (lastReload?.ok === false) {
    said.push(
      ' ',
      badge('reload failed', 'bad'),
      ` The reload at ${lastReload.at} found ${lastReload.errors} errors; the old rules stay in use.`,
    );
  }
  return said;
}

function showGlance({ inFlight, counts, cache, servers }) {
  const sum = (name) => Object.values(counts).reduce((total, each) => total + each[name], 0);
  const open = servers.filter((server) => server.breaker !== 'closed').length;
  const values = {
    'In flight': inFlight,
    Allowed: sum('allowed'),
    Denied: sum('denied'),
    'Cached, active': cache === undefined ? 'off' : cache.active,
    'Cached, inactive': cache === undefined ? 'off' : cache.inactive,
    Evicted: cache === undefined ? 'off' : cache.evictions,
    'Open breakers': open,
    Rules: rules.length,
  };
  at('glance').replaceChildren(
    ...Object.entries(values).map(([name, value]) =>
      make('div', [
        make('dt', name),
        make('dd', typeof value === 'number' ? value.toLocaleString('en') : value),
      ]),
    ),
  );
}

function showServers(servers) {
  const kinds = { closed: 'good', open: 'bad' };
  at('servers').replaceChildren(
    ...servers.map(({ url, breaker, running, waiting }) =>
      make('tr', [
        cell(code(url)),
        cell(badge(breaker, kinds[breaker] ?? '')),
        cell(running, 'number'),
        cell(waiting, 'number'),
      ]),
    ),
  );
  at('no-servers').hidden = servers.length > 0;
}

function showPools(pools) {
  at('pools').replaceChildren(
    ...pools.map(({ origin, open, busy, long, waiting, turnedAway }) =>
      make('tr', [
        cell(code(origin)),
        ...[open, busy, long, waiting, turnedAway].map((count) => cell(count, 'number')),
      ]),
    ),
  );
  at('no-pools').hidden = pools.length > 0;
}

const failed = ({ decision, wouldDeny, error, cause }) =>
  decision === 'deny' || wouldDeny !== undefined || error !== undefined || cause !== undefined;

function notAllowed(each) {
  return each.decision === 'deny' || each.wouldDeny !== undefined;
}

function showDecisions() {
  const shown = at('denied').checked ? decisions.filter(failed) : decisions;
  at('decisions').replaceChildren(
    ...shown.map((each) =>
      make('tr', [
        cell(new Date(each.at).toLocaleTimeString('en-GB'), 'time'),
        cell(
          each.wouldDeny !== undefined
            ? badge('would deny', 'bad')
            : badge(
                each.decision === 'allow' ? 'allowed' : 'denied',
                each.decision === 'allow' ? 'good' : 'bad',
              ),
        ),
        cell(each.status === 0 ? 'closed' : each.status, 'short'),
        cell(
          [
            code(`${each.method} ${each.host ?? ''}${each.path ?? ''}`),
            each.entrance === 'decisions' ? ' (forward-auth)' : '',
          ],
          'request',
        ),
        cell(
          [each.error ?? each.wouldDeny, each.reason, each.cause]
            .filter((part) => part !== undefined)
            .join(': '),
          'reason',
        ),
        cell(each.rule === undefined ? '–' : code(each.rule), 'rule'),
        cell(code(each.clientId ?? ''), 'client'),
        cell(each.ms.toFixed(1), 'number'),
      ]),
    ),
  );
  at('no-decisions').hidden = shown.length > 0;
}

function setState(text, kind) {
  const state = at('state');
  if (state.textContent !== text) state.textContent = text;
  state.className = kind;
}

function showObserving({ observing, count }) {
  const banner = at('observing');
  banner.hidden = observing === 0;
  banner.textContent = `Not enforced: ${observing} of ${count} rules only observe. Requests that they would deny are forwarded.`;
}

async function refresh() {
  let status = await get(`/status?after=${last}`);
  if (status.started !== started) {
    // Another process: drop the data of the old one.
    decisions = [];
    version = -1;
    if (started !== '' && last > 0) status = await get('/status');
    started = status.started;
    last = 0;
  }
  if (status.rules.version !== version) {
    const table = await get('/rules');
    version = table.version;
    showRules(table);
  }
  for (const [id, { allowed, denied }] of Object.entries(status.counts)) {
    const cells = counters.get(id);
    if (cells === undefined) continue;
    cells.allowed.textContent = allowed.toLocaleString('en');
    cells.denied.textContent = denied.toLocaleString('en');
  }
  showGlance(status);
  showServers(status.servers);
  showPools(status.pools);
  if (status.recent.length > 0) {
    last = status.recent.at(-1).seq;
    const newer = status.recent.reverse();
    const all = [...newer, ...decisions];
    const denied = all.filter(notAllowed).slice(0, KEPT);
    const allowed = all.filter((each) => !notAllowed(each)).slice(0, KEPT);
    decisions = [...denied, ...allowed].sort((a, b) => b.seq - a.seq);
    showDecisions();
  }
  at('version').textContent = `version ${status.version}, rule set ${status.rules.version}`;
  showObserving(status.rules);
  setState(status.ready === 'ok' ? 'serving' : status.ready, status.ready === 'ok' ? 'good' : '');
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
  } catch {
    setState('no connection', 'bad');
  }
  setTimeout(poll, POLL);
}

function showAnswer({ decision, status, rule, upstream, error, reason, candidates = [] }) {
  const lead =
    decision === 'allow'
      ? [badge('allowed', 'good'), ' forwarded to ', code(upstream), ' by ', code(rule)]
      : [
          badge('denied', 'bad'),
          ` ${status} ${error}: ${reason}`,
          ...(rule === undefined ? [] : [' by ', code(rule)]),
        ];
  const verdicts = {
    host: 'other host',
    method: 'other method',
    path: 'other path',
    overridden: 'a more specific rule decides',
    contested: 'another rule matches too, and neither is proved more specific: refused',
    decision: 'decides: denied',
    none: 'decides: allowed',
  };
  const near = candidates.filter(({ failed: by }) => by !== 'host');
  const rows = near.map((each) =>
    make('tr', [
      cell(code(each.rule)),
      cell(each.methods.join(' ')),
      cell(code(each.path)),
      cell(code(each.scopes.join(' '))),
      cell(verdicts[each.failed] ?? each.failed),
    ]),
  );
  const heads = ['Rule', 'Methods', 'Path', 'Scopes', 'Verdict'].map((text) => {
    const head = make('th', text);
    head.scope = 'col';
    return head;
  });
  const far = candidates.length - near.length;
  at('answer').replaceChildren(
    make('p', lead),
    ...(rows.length === 0 ? [] : [make('table', [make('thead', make('tr', heads)), make('tbody', rows)])]),
    ...(far === 0
      ? []
      : [make('p', `${far} ${far === 1 ? 'rule is' : 'rules are'} for other hosts.`, 'quiet')]),
  );
}

at('explain').addEventListener('submit', async (event) => {
  event.preventDefault();
  const scopes = at('scopes')
    .value.split(' ')
    .filter((scope) => scope !== '');
  const question = { method: at('method').value.trim(), url: at('url').value.trim() };
  try {
    const response = await fetch('/explain', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(at('token').checked ? { ...question, scopes } : question),
    });
    const answer = await response.json();
    if (response.ok) showAnswer(answer);
    else at('answer').replaceChildren(make('p', [badge('error', 'bad'), ` ${answer.error.message}`]));
  } catch {
    at('answer').replaceChildren(make('p', [badge('no connection', 'bad')]));
  }
});
at('token').addEventListener('change', () => {
  at('scopes').disabled = !at('token').checked;
});
at('denied').addEventListener('change', showDecisions);
// Scrolling areas are reachable with the keyboard and have a name.
for (const scroller of document.querySelectorAll('.scroll')) {
  scroller.tabIndex = 0;
  scroller.setAttribute('role', 'region');
  scroller.setAttribute('aria-labelledby', scroller.closest('section').getAttribute('aria-labelledby'));
}

poll();
