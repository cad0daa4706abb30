import type { Stack } from './stack.js';

/** One command of the tutorial. */
export interface Step {
  /** What it shows. */
  readonly says: string;
  /** The command, ready to paste into a shell. */
  readonly command: string;
  /** The status it is answered with. */
  readonly status: number;
}

/** What the commands are made of. */
export type Parts = Pick<Stack, 'urls' | 'tokens' | 'credentials'>;

/**
 * The tutorial's commands with real values, and those that show what it says in words: no token, wrong scope, and
 * paths and methods without a rule.
 *
 * @param extra options for every curl, such as `--resolve` where curl does not find `*.localhost` itself
 */
export function tutorial({ urls, tokens, credentials }: Parts, extra = ''): Step[] {
  const { httpbin, function: sample, oauth2 } = urls;
  const basic = Buffer.from(`${credentials.id}:${credentials.secret}`).toString('base64');
  const curl = `curl -ik${extra === '' ? '' : ` ${extra}`}`;
  const read = `-H "Authorization: Bearer ${tokens.read}"`;
  const write = `-H "Authorization: Bearer ${tokens.write}"`;
  const form = '-F "grant_type=client_credentials"';
  return [
    {
      says: 'get a token with the "read" scope',
      command: `${curl} -X POST "${oauth2}/oauth2/token" -H "Authorization: Basic ${basic}" ${form} -F "scope=read"`,
      status: 200,
    },
    {
      says: 'get a token with the "write" scope',
      command: `${curl} -X POST "${oauth2}/oauth2/token" -H "Authorization: Basic ${basic}" ${form} -F "scope=write"`,
      status: 200,
    },
    {
      says: 'GET with the "read" scope',
      command: `${curl} -X GET ${httpbin}/headers ${read}`,
      status: 200,
    },
    {
      says: 'POST to /post with the "write" scope',
      command: `${curl} -X POST ${httpbin}/post -d "test data" -H "Authorization: bearer ${tokens.write}"`,
      status: 200,
    },
    { says: 'no token', command: `${curl} -X GET ${httpbin}/headers`, status: 401 },
    {
      says: 'wrong scope: a GET needs "read"',
      command: `${curl} -X GET ${httpbin}/headers ${write}`,
      status: 403,
    },
    {
      says: 'wrong scope: a POST needs "write"',
      command: `${curl} -X POST ${httpbin}/post -d "test data" ${read}`,
      status: 403,
    },
    {
      says: 'no rule for a POST to /headers',
      command: `${curl} -X POST ${httpbin}/headers -d "test data" ${write}`,
      status: 404,
    },
    {
      says: 'the Function with the "read" scope',
      command: `${curl} ${sample}/function -H "Authorization: bearer ${tokens.read}"`,
      status: 200,
    },
    { says: 'the Function without a token', command: `${curl} ${sample}/function`, status: 401 },
    {
      says: 'the Function with the wrong scope',
      command: `${curl} ${sample}/function ${write}`,
      status: 403,
    },
  ];
}
