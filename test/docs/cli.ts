import { main } from '../../src/cli.js';

/** What `scopegate ARGUMENTS` prints on standard output. */
async function printed(...args: string[]): Promise<string> {
  let text = '';
  await main(args, {
    environment: {},
    terminal: false,
    out: (part) => {
      text += part;
    },
    err: () => {},
  });
  return text.trimEnd();
}

/**
 * The help texts of the program and of its commands, by name; the program's own has the name `scopegate`.
 *
 * @returns one entry for each command, in the order in which `scopegate --help` lists them
 */
export async function helpTexts(): Promise<ReadonlyMap<string, string>> {
  const top = await printed('--help');
  const list = top.slice(top.indexOf('Commands:'), top.indexOf('Options:'));
  const texts = new Map([['scopegate', top]]);
  for (const [, name = ''] of list.matchAll(/^ {2}(\w+) /gm)) texts.set(name, await printed(name, '--help'));
  return texts;
}

/**
 * The reference of the commands, docs/cli.md, made from what `--help` prints.
 *
 * @returns the whole page in Markdown
 */
export async function cliPage(): Promise<string> {
  const sections = [...(await helpTexts())].map(
    ([name, text]) =>
      `## ${name === 'scopegate' ? name : `scopegate ${name}`}\n\n\`\`\`text\n${text}\n\`\`\``,
  );
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

const INTRODUCTION = `# Commands

<!-- Made from the help texts in src/commands by \`npm run docs\`; a test keeps the two the same. -->

This is what \`scopegate COMMAND --help\` prints. [Installation](installation.md) says how to get the program, [settings](settings.md) what
the file behind \`--config\` holds. [Findings](findings.md) explains the codes of errors and warnings.

\`\`\`sh
scopegate --version
scopegate help check
\`\`\``;
