import { readFileSync } from 'node:fs';

const seed = new URL('../../../../shared/seed/expose-and-secure-workload-oauth2.md', import.meta.url);

/** The two APIRules of the tutorial, letter by letter, with the shell's variables expanded as a user's shell does. */
export function tutorialManifests(): string[] {
  const text = readFileSync(seed, 'utf8');
  const manifests = [...text.matchAll(/cat <<EOF \| kubectl apply -f -\n(.*?)\n\s*EOF\n/gs)]
    .map(([, body]) => unindent(body as string))
    .filter((body) => body.includes('kind: APIRule'));
  const variables: Readonly<Record<string, string>> = {
    NAMESPACE: 'demo',
    DOMAIN_TO_EXPOSE_WORKLOADS: 'kyma.local',
  };
  return manifests.map((body) => body.replace(/\$([A-Z_]+)/g, (all, name: string) => variables[name] ?? all));
}

function unindent(text: string): string {
  const lines = text.split('\n');
  const depth = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return `${lines.map((line) => line.slice(depth)).join('\n')}\n`;
}
