import { median, type Results } from './report.js';

const WIDTH = 760;
const BAR = 22;
const GAP = 8;
const LABEL = 170;

/** Draws CPU time a request as bars, a group a situation: an SVG of its own, no script and no font to fetch. */
export function chart(results: Results): string {
  const parts: string[] = [];
  let y = 28;
  for (const [situation, contenders] of results) {
    const values = [...contenders].map(([name, samples]) => ({
      name,
      cpu: median(samples.map(({ cpu }) => cpu)),
    }));
    const most = Math.max(...values.map(({ cpu }) => cpu));
    parts.push(`<text x="8" y="${y}" class="title">${escapeText(situation)}: CPU µs a request</text>`);
    y += 12;
    for (const { name, cpu } of values) {
      const width = Math.max(1, ((WIDTH - LABEL - 80) * cpu) / most);
      const style = name === 'scopegate' ? 'own' : 'peer';
      parts.push(
        `<text x="${LABEL - 8}" y="${y + 15}" text-anchor="end">${escapeText(name)}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" class="${style}"/>`,
        `<text x="${(LABEL + width + 6).toFixed(1)}" y="${y + 15}">${cpu.toFixed(0)}</text>`,
      );
      y += BAR + GAP;
    }
    y += 28;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<style>text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}.own{fill:#0a7d4f}.peer{fill:#8a94a6}
@media (prefers-color-scheme:dark){text{fill:#ddd}svg{background:#16181d}.own{fill:#3ecf8e}.peer{fill:#5b6475}}</style>
${parts.join('\n')}
</svg>
`;
}

function escapeText(text: string): string {
  return text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
