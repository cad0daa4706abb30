// Prints the tutorial's commands with the client's credentials and two tokens, ready to paste. In the compose stack:
//   docker compose run --rm tutorial
// The argument is the port on which the gateway can be reached. The client's credentials are in /credentials/tutorial,
// where `clients apply` writes them; Hydra's public port is asked for the tokens.
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';

const [port = '4455', hydra = 'http://hydra:4444', credentials = '/credentials/tutorial'] =
  process.argv.slice(2);
const PATIENCE_MS = 60_000;

/** Tries again while the stack is still starting. What it says at the end of its patience is why it failed last. */
async function whenReady(attempt) {
  const started = performance.now();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() - started > PATIENCE_MS) throw error;
      await setTimeout(500);
    }
  }
}

async function readCredentials() {
  const read = (name) => readFile(`${credentials}/${name}`, 'utf8');
  const [id, secret] = [await read('client_id'), await read('client_secret')];
  // RFC 6749 section 2.3.1: both are form-encoded before they become Basic credentials.
  return Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
}

async function fetchToken(basic, scope) {
  const answer = await fetch(`${hydra}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  });
  if (answer.status !== 200)
    throw new Error(`${hydra} answered the request for a token with ${answer.status}`);
  return (await answer.json()).access_token;
}

/** Each with what it shows and the status it is answered with. */
function commands(basic, tokens) {
  const at = (name) => `http://${name}.localhost:${port}`;
  const [httpbin, sample, oauth2] = [at('httpbin'), at('function-example'), at('oauth2')];
  const read = `-H "Authorization: Bearer ${tokens.read}"`;
  const write = `-H "Authorization: Bearer ${tokens.write}"`;
  const token = (scope) =>
    `curl -ik -X POST "${oauth2}/oauth2/token" -H "Authorization: Basic ${basic}" -F "grant_type=client_credentials" -F "scope=${scope}"`;
  return [
    ['get a token with the "read" scope', token('read'), 200],
    ['get a token with the "write" scope', token('write'), 200],
    ['GET with the "read" scope', `curl -ik -X GET ${httpbin}/headers ${read}`, 200],
    ['POST to /post with the "write" scope', `curl -ik -X POST ${httpbin}/post -d "test data" ${write}`, 200],
    ['no token', `curl -ik -X GET ${httpbin}/headers`, 401],
    ['wrong scope: a GET needs "read"', `curl -ik -X GET ${httpbin}/headers ${write}`, 403],
    ['wrong scope: a POST needs "write"', `curl -ik -X POST ${httpbin}/post -d "test data" ${read}`, 403],
    ['no rule for a POST to /headers', `curl -ik -X POST ${httpbin}/headers -d "test data" ${write}`, 404],
    ['the Function with the "read" scope', `curl -ik ${sample}/function ${read}`, 200],
    ['the Function without a token', `curl -ik ${sample}/function`, 401],
    ['the Function with the wrong scope', `curl -ik ${sample}/function ${write}`, 403],
  ];
}

try {
  const { basic, tokens } = await whenReady(async () => {
    const basic = await readCredentials();
    return {
      basic,
      tokens: { read: await fetchToken(basic, 'read'), write: await fetchToken(basic, 'write') },
    };
  });
  console.log(`The tutorial is running. Paste these into another terminal, one by one; the status to expect stands above each.
`);
  for (const [says, command, status] of commands(basic, tokens))
    console.log(`# ${says}: ${status}\n${command}\n`);
} catch (error) {
  console.error(`The tutorial is not running: ${error.message}. Is the stack up? See docker compose ps.`);
  process.exitCode = 1;
}
