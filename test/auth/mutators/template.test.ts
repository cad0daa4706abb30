import fc from 'fast-check';
import t from 'tap';
import { parseClaims, renderClaims } from '../../../src/auth/mutators/claims.js';
import { parseTemplate, renderText, TemplateError } from '../../../src/auth/mutators/template.js';
import type { Session } from '../../../src/model/mutator.js';

function session(over: Partial<Pick<Session, 'subject' | 'extra'>> = {}): Session {
  return {
    subject: 'alice',
    extra: {
      client_id: 'c',
      n: 1_700_000_000,
      yes: true,
      no: null,
      list: ['a', 'b'],
      deep: { er: { est: 'x' } },
      'example.com/claim': 'named',
    },
    claims: { iss: 'https://issuer.example', client_id: 'not asked' },
    match: {
      method: 'GET',
      host: 'gate.example',
      path: '/users/42/edit',
      query: '?a=1',
      rawHeaders: ['X-One', '1', 'x-one', '2'],
      pattern: /^(?:\/users\/(\d+)\/(?:edit|(show)))$/,
    },
    headers: new Map(),
    cookies: new Map(),
    ...over,
  };
}

const render = (text: string, over = {}) => renderText(parseTemplate(text), session(over));

t.test('the forms in common use', (t) => {
  for (const [text, expected] of [
    ['plain', 'plain'],
    ['', ''],
    ['{{ print .Subject }}', 'alice'],
    ['{{.Subject}}', 'alice'],
    ['u:{{ .Subject }}/{{ print .Extra.client_id }}!', 'u:alice/c!'],
    ['{{ .Extra.n }}', '1700000000'],
    ['{{ .Extra.yes }}', 'true'],
    ['{{ print .Extra.no }}', ''],
    ['{{ .Extra.absent }}', ''],
    ['{{ print .Extra.absent.more }}', ''],
    ['{{ print .Extra.deep.er.est }}', 'x'],
    ['{{ print .Extra.deep }}', 'map[er:map[est:x]]'],
    ['{{ print .Extra.list }}', '[a b]'],
    ['{{ .Extra.iss }}', 'https://issuer.example'],
    ['{{ index .Extra "iss" }}', 'https://issuer.example'],
    ['{{ index .Extra "example.com/claim" }}', 'named'],
    ['{{ print (index .Extra "example.com/claim") }}', 'named'],
    ['{{ index .Extra "deep" "er" "est" }}', 'x'],
    ['{{ index .Extra "list" 1 }}', 'b'],
    ['{{ index .Extra "constructor" }}', ''],
    ['{{ toJson (index .Extra "list") }}', '["a","b"]'],
    ['{{ index .Extra "list" | toJson }}', '["a","b"]'],
    ['{{ print (toJson .Extra.list) }}', '["a","b"]'],
    ['{{ .Extra.deep | toJson | print }}', '{"er":{"est":"x"}}'],
    ['{{ print (print .Subject) }}', 'alice'],
    ['{{ print "}}" }}', '}}'],
    ['{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}', '42'],
    ['{{ printIndex .MatchContext.RegexpCaptureGroups 1 }}', ''],
    ['{{ printIndex .MatchContext.RegexpCaptureGroups 9 }}', ''],
    ['{{ printIndex .Extra.list 1 }}', 'b'],
    ['{{ printIndex .Extra.client_id 0 }}', ''],
    ['{{ index .Extra "client_id" }}', 'c'],
    ['{{ index .Extra.list 0 }}', 'a'],
    ['{{ .MatchContext.Method }} {{ .MatchContext.URL.Path }}', 'GET /users/42/edit'],
    ['{{ .MatchContext.URL.Host }}?{{ .MatchContext.URL.RawQuery }}', 'gate.example?a=1'],
    ['{{ .MatchContext.Header.Get "x-one" }}', '1'],
    ['{{ toJson .Extra.list }}', '["a","b"]'],
    ['{{ .Extra.list | toJson }}', '["a","b"]'],
    ['{{ print "}" }}', '}'],
    ['a {{- print .Subject -}} b', 'aaliceb'],
    ['{{ print .Extra.constructor }}{{ print .Extra.__proto__ }}', ''],
  ] as const) {
    t.equal(render(text), expected, text);
  }
  t.end();
});

t.test('any other construct is an error that names it', (t) => {
  for (const [text, named] of [
    ['{{ if .Subject }}x{{ end }}', '"if"'],
    ['{{ range .Extra.list }}', '"range"'],
    ['{{ .Subject | upper }}', '{{ .Subject | upper }}'],
    ['{{ b64enc .Subject }}', '"b64enc"'],
    ['{{ print .Subject .Subject }}', '"print"'],
    ['{{ print (print .Subject }}', '"print"'],
    ['{{ index .Extra }}', '"index"'],
    ['{{ printIndex .Extra.list 0 1 }}', '"printIndex"'],
    ['{{ .Subject | toJson | }}', '{{ .Subject | toJson | }}'],
    ['{{ print .Subject" }}', '"print"'],
    ['{{ $x := .Subject }}', '$x'],
    ['{{ .Header }}', '".Header"'],
    ['{{ .Subject.x }}', '".Subject.x"'],
    ['{{ .MatchContext.URL }}', '".MatchContext.URL"'],
    ['{{ .Extra.a-b }}', '.Extra.a-b'],
    ['{{ . }}', '{{ . }}'],
    ['{{ }}', '{{ }}'],
    ['{{ .Subject', '{{'],
    ['{{/* x */}}', 'comment'],
    ['{{ printIndex .Extra.list x }}', '"printIndex"'],
    ['{{ print "a\\q" }}', '"a\\q"'],
  ] as const) {
    t.throws(() => parseTemplate(text), new TemplateError('').constructor, text);
    try {
      parseTemplate(text);
    } catch (error) {
      t.ok((error as Error).message.includes(named), `${text}: ${(error as Error).message}`);
    }
  }
  t.end();
});

t.test('templates of claims come out as JSON, whatever the values hold', (t) => {
  const template = parseClaims(
    '{"email": "{{ print .Extra.email }}", "all": {{ toJson .Extra.list }}, "n": {{ .Extra.n }}, "e": "a\\"{{ .Subject }}"}',
  );
  t.same(renderClaims(template, session()), { email: '', all: ['a', 'b'], n: 1_700_000_000, e: 'a"alice' });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.jsonValue(), (email, list) => {
      const claims = renderClaims(template, session({ subject: email, extra: { email, list, n: email } }));
      t.strictSame(Object.keys(claims), ['email', 'all', 'n', 'e']);
      return claims.email === email && claims.n === email && claims.e === `a"${email}`;
    }),
  );
  const evil = '", "admin": true, "x": "';
  t.notOk('admin' in renderClaims(template, session({ subject: evil, extra: { email: evil, n: evil } })));
  for (const text of ['[]', 'x', '{"a": {{ .Subject }}', '{"{{ .Subject }}"}'])
    t.throws(() => parseClaims(text), text);
  t.end();
});
