import type { Curve } from './growth/curve.js';
import { median, type Results } from './report.js';
import type { Summary } from './summary.js';

const WIDTH = 760;
const BAR = 22;
const GAP = 8;
const LABEL = 170;

/** CPU microseconds a request of one contender. */
interface Bar {
  readonly name: string;
  readonly cpu: number;
  /** The number beside the bar. */
  readonly shown: string;
}

/**
 * Draws CPU time a request as bars, a group a situation, and as curves: an SVG of its own, no script and no font to fetch.
 */
export function chart(results: Results, curves: readonly Curve[] = []): string {
  const groups = [...results].map(([situation, contenders]): [string, Bar[]] => [
    situation,
    [...contenders].map(([name, samples]) => {
      const cpu = median(samples.map((sample) => sample.cpu));
      return { name, cpu, shown: cpu.toFixed(0) };
    }),
  ]);
  return drawing(groups, curves);
}

/** Draws docs/performance.svg: the CPU time of a cached hit of all contenders, the cheapest first. */
export function chartOfHits({ situations }: Summary): string {
  const bars = Object.entries(situations['cached hit'] ?? {}).map(
    ([name, { cpu }]): Bar => ({ name, cpu, shown: String(cpu) }),
  );
  return drawing([['cached hit', bars.sort((a, b) => a.cpu - b.cpu || (a.name < b.name ? -1 : 1))]]);
}

function drawing(
  groups: readonly (readonly [string, readonly Bar[]])[],
  curves: readonly Curve[] = [],
): string {
  const parts: string[] = [];
  let y = 28;
  for (const [situation, bars] of groups) {
    const most = Math.max(...bars.map(({ cpu }) => cpu));
    parts.push(`<text x="8" y="${y}" class="title">${escapeText(situation)}: CPU µs a request</text>`);
    y += 12;
    for (const { name, cpu, shown } of bars) {
      const width = Math.max(1, ((WIDTH - LABEL - 80) * cpu) / most);
      const style = name === 'scopegate' ? 'own' : 'peer';
      parts.push(
        `<text x="${LABEL - 8}" y="${y + 15}" text-anchor="end">${escapeText(name)}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" class="${style}"/>`,
        `<text x="${(LABEL + width + 6).toFixed(1)}" y="${y + 15}">${shown}</text>`,
      );
      y += BAR + GAP;
    }
    y += 28;
  }
  for (const curve of curves) {
    parts.push(drawn(curve, y));
    y += NUMBERS + CURVE + 58;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<style>text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}.own{fill:#0a7d4f}.peer{fill:#8a94a6}.line{fill:none;stroke:#0a7d4f;stroke-width:2}.axis{stroke:#8a94a6}
@media (prefers-color-scheme:dark){text{fill:#ddd}svg{background:#16181d}.own{fill:#3ecf8e}.peer{fill:#5b6475}}</style>
${parts.join('\n')}
</svg>
`;
}

/** The height of a curve, and what its numbers need above it. */
const CURVE = 120;
const NUMBERS = 32;
/** Where the dearest step costs so many times the cheapest one, the scale is logarithmic. */
const STEEP = 20;

/** One curve: the steps side by side, because each is ten times the one before or so; zero is at the bottom. */
function drawn({ name, unit, points }: Curve, top: number): string {
  const costs = points.map(({ cpu }) => cpu);
  const most = Math.max(...costs);
  const steep = most / Math.min(...costs) > STEEP;
  const share = (cpu: number): number => (steep ? Math.log(cpu) / Math.log(most) : cpu / most);
  const step = (WIDTH - LABEL - 80) / Math.max(1, points.length - 1);
  const base = top + NUMBERS + CURVE;
  const places = points.map(({ x, cpu }, i) => ({
    x: LABEL + i * step,
    y: base - CURVE * share(cpu),
    below: x.toLocaleString('en'),
    above: cpu.toLocaleString('en', { maximumFractionDigits: 0 }),
  }));
  const title = `CPU µs a request by ${name}${name.includes(unit) ? '' : ` in ${unit}`}${steep ? ', logarithmic' : ''}`;
  return [
    `<text x="8" y="${top}" class="title">${escapeText(title)}</text>`,
    `<line x1="${LABEL}" y1="${base}" x2="${WIDTH - 80}" y2="${base}" class="axis"/>`,
    `<polyline class="line" points="${places.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ')}"/>`,
    ...places.flatMap(({ x, y, below, above }) => [
      `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3" class="own"/>`,
      `<text x="${x.toFixed(1)}" y="${(y - 8).toFixed(1)}" text-anchor="middle">${above}</text>`,
      `<text x="${x.toFixed(1)}" y="${base + 18}" text-anchor="middle">${below}</text>`,
    ]),
  ].join('\n');
}

function escapeText(text: string): string {
  return text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
