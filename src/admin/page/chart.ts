import { make, setText, svg } from './dom.js';
import { clock, hourMinute } from './format.js';

/** What a chart shows. */
export interface ChartOptions {
  readonly title: string;
  /** The unit of the vertical axis. */
  readonly unit: string;
  /** Whether the series are parts of a whole, drawn on top of each other. */
  readonly stacked?: boolean;
  /** The names of the series, each with the class that colours it. A stack grows from the first one up. */
  readonly series: readonly (readonly [name: string, className: string])[];
  /** Writes a value, with its unit. */
  readonly format: (value: number) => string;
  /** Writes a value of the vertical axis. */
  readonly tick: (value: number) => string;
  /** The least upper end of the vertical axis. */
  readonly atLeast: number;
  /** The upper end of the vertical axis, if it is fixed. */
  readonly top?: number;
  readonly height: number;
}

/** The values of a chart; each list has the oldest value first, and all end at the same time. */
export interface ChartData {
  /** Milliseconds since 1970. */
  readonly end: number;
  /** Seconds. */
  readonly step: number;
  /** How far back the horizontal axis goes, in seconds. */
  readonly span: number;
  readonly values: readonly (readonly (number | null)[])[];
}

/** A chart on the page. */
export interface Chart {
  readonly element: HTMLElement;
  show(data: ChartData): void;
}

const LEFT = 52;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 22;

/** Makes a chart of lines or of stacked areas, over the last minutes. */
export function createChart(options: ChartOptions): Chart {
  const { title, unit, series, format, height } = options;
  const plot = svg('svg', { class: 'plot', role: 'img', height });
  const when = make('span', 'now', 'when');
  const values = series.map(() => make('b', '–'));
  const legend = make(
    'ul',
    series.map(([name, className], i) =>
      make('li', [make('span', [], `key ${className}`), name, ' ', values[i]]),
    ),
    'legend',
  );
  const heading = make('h3', [title, make('span', unit, 'unit')]);
  const element = make('figure', [make('figcaption', [heading, when, legend]), make('div', plot, 'frame')]);
  let data: ChartData | undefined;
  let width = 0;
  let pointed: number | undefined;

  function draw(): void {
    if (data === undefined || width === 0) return;
    const scale = scaleOf(options, data, width);
    plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const marks = options.stacked ? areas(options, data, scale) : lines(options, data, scale);
    plot.replaceChildren(...axes(options, data, scale), ...marks, ...cursor());
    tell();
  }

  function count(): number {
    return data?.values[0]?.length ?? 0;
  }

  function cursor(): SVGElement[] {
    if (data === undefined || pointed === undefined) return [];
    const x = scaleOf(options, data, width).x(count() - 1 - pointed);
    return [svg('line', { class: 'cursor', x1: x, x2: x, y1: TOP, y2: height - BOTTOM })];
  }

  /** Writes the values under the pointer, or the latest ones. */
  function tell(): void {
    if (data === undefined) return;
    const index = pointed ?? count() - 1;
    const ago = (count() - 1 - index) * data.step * 1_000;
    setText(when, pointed === undefined ? 'now' : clock(data.end - ago));
    series.forEach(([,], i) => {
      const value = data?.values[i]?.[index];
      setText(values[i] as Element, value === null || value === undefined ? '–' : format(value));
    });
    plot.setAttribute('aria-label', summary(options, data));
  }

  plot.addEventListener('pointermove', (event) => {
    if (data === undefined || count() === 0) return;
    const { x } = scaleOf(options, data, width);
    const per = x(0) - x(1);
    const back = Math.round((x(0) - event.offsetX) / per);
    pointed = Math.min(count() - 1, Math.max(0, count() - 1 - back));
    draw();
  });
  plot.addEventListener('pointerleave', () => {
    pointed = undefined;
    draw();
  });
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry?.contentRect.width ?? 0);
    draw();
  }).observe(element);
  return {
    element,
    show(next) {
      data = next;
      if (pointed !== undefined) pointed = Math.min(pointed, count() - 1);
      draw();
    },
  };
}

interface Scale {
  /** The place of a step; 0 is the latest one, 1 the one before it. */
  x(back: number): number;
  y(value: number): number;
  readonly ticks: readonly number[];
}

function scaleOf(options: ChartOptions, { step, span, values }: ChartData, width: number): Scale {
  const sums = options.stacked
    ? (values[0] ?? []).map((_, i) => values.reduce((total, list) => total + (list[i] ?? 0), 0))
    : values.flat().map((value) => value ?? 0);
  const most = options.top ?? Math.max(options.atLeast, ...sums);
  const [each, ticks] = ticksUpTo(most);
  const top = options.top ?? each * (ticks.length - 1);
  const inner = width - LEFT - RIGHT;
  const high = options.height - TOP - BOTTOM;
  return {
    x: (back) => width - RIGHT - (back * step * inner) / span,
    y: (value) => TOP + high - (Math.min(value, top) / top) * high,
    ticks,
  };
}

/** Round numbers from 0 to at least a value, two to four steps. */
function ticksUpTo(most: number): [each: number, ticks: number[]] {
  const power = 10 ** Math.floor(Math.log10(most / 3));
  const each = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size * 4 >= most) ?? most;
  const steps = Math.max(2, Math.ceil(most / each - 1e-9));
  return [each, Array.from({ length: steps + 1 }, (_, i) => i * each)];
}

function axes({ tick, height }: ChartOptions, { end, span }: ChartData, scale: Scale): SVGElement[] {
  const right = scale.x(0);
  const across = scale.ticks.flatMap((value) => {
    const y = scale.y(value);
    return [
      svg('line', { class: value === 0 ? 'base' : 'grid', x1: LEFT, x2: right, y1: y, y2: y }),
      svg('text', { class: 'tick', x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, [tick(value)]),
    ];
  });
  const perMs = (right - LEFT) / (span * 1_000);
  const every = 300_000;
  const along: SVGElement[] = [];
  for (let time = Math.floor(end / every) * every; time > end - span * 1_000; time -= every) {
    const x = right - (end - time) * perMs;
    along.push(svg('line', { class: 'grid', x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
    if (x < LEFT + 16) continue;
    const anchor = x > right - 16 ? 'end' : 'middle';
    along.push(
      svg('text', { class: 'tick', x: anchor === 'end' ? right : x, y: height - 6, 'text-anchor': anchor }, [
        hourMinute(time),
      ]),
    );
  }
  return [...across, ...along];
}

/** A stack of steps: a count is that of a whole step, and not of a point in time. */
function areas({ series }: ChartOptions, { values }: ChartData, { x, y }: Scale): SVGElement[] {
  const length = values[0]?.length ?? 0;
  const below = new Array<number>(length).fill(0);
  const outline = () =>
    below.flatMap((value, i) => [`${x(length - i)},${y(value)}`, `${x(length - 1 - i)},${y(value)}`]);
  return series.map(([, className], which) => {
    const lower = outline().reverse();
    (values[which] ?? []).forEach((value, i) => {
      below[i] = (below[i] as number) + (value ?? 0);
    });
    return svg('polygon', { class: `area ${className}`, points: [...outline(), ...lower].join(' ') });
  });
}

function lines({ series }: ChartOptions, { values }: ChartData, { x, y }: Scale): SVGElement[] {
  return series.map(([, className], which) => {
    const list = values[which] ?? [];
    let path = '';
    let isOpen = false;
    list.forEach((value, i) => {
      // A line of no length is a dot, for a value between gaps.
      if (value !== null)
        path += `${isOpen ? 'L' : 'M'}${x(list.length - 1 - i)} ${y(value)}${isOpen ? '' : 'h0'}`;
      isOpen = value !== null;
    });
    return svg('path', { class: `line ${className}`, d: path });
  });
}

/** What the chart says, for those who do not see it. */
function summary({ title, series, format }: ChartOptions, { values }: ChartData): string {
  const parts = series.map(([name], i) => {
    const known = (values[i] ?? []).filter((value) => value !== null);
    if (known.length === 0) return `${name}: none`;
    const now = values[i]?.at(-1);
    const latest = now === null || now === undefined ? 'none' : format(now);
    return `${name}: now ${latest}, at most ${format(Math.max(...known))}`;
  });
  return `${title}, the last fifteen minutes. ${parts.join('; ')}.`;
}
