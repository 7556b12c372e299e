// A chart on a canvas (uPlot). What it shows is also in a table beside it: the canvas is hidden from screen readers.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { language, shownTheme } from "../base/preferences";

export interface Line {
  label: string;
  color: string; // a custom property: "--fill-busy"
  values: (number | null)[];
  shape?: "bars" | "line" | "dots" | "dashes";
}

interface Look {
  label: string;
  x: number[];
  xText: (x: number) => string;
  yText: (y: number) => string;
  lines: Line[];
  isLogX?: boolean;
  height?: number;
}

const kGap = 40; // px between two labels of the x axis, at least

const colorOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function seriesOf(line: Line, yText: Look["yText"]): uPlot.Series {
  const stroke = colorOf(line.color);
  const out: uPlot.Series = {
    label: line.label, stroke, width: 2, points: { show: false }, spanGaps: true,
    value: (_plot, y: number | null) => (y == null ? "" : yText(y)),
  };
  if (line.shape === "bars") {
    const bars = uPlot.paths.bars;
    out.fill = stroke;
    out.width = 0;
    if (bars !== undefined) out.paths = bars({ size: [0.7, 28] });
  }
  if (line.shape === "dots") {
    out.paths = () => null;
    out.points = { show: true, size: 10, fill: stroke };
  }
  if (line.shape === "dashes") out.dash = [4, 4];
  return out;
}

// Below it, only every decade has its label.
const kNarrow = 480;

// 1, 3, 10, 30, .. within the range; 1, 10, 100, .. where there is little place.
function decades(first: number, last: number, isNarrow: boolean): number[] {
  const out: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(Math.max(1e-9, first))); power <= last; power *= 10) {
    for (const place of isNarrow ? [power] : [power, 3 * power]) {
      if (place >= first && place <= last) out.push(place);
    }
  }
  return out;
}

// So wide that the longest label of the y axis is whole: "¥1,234,567".
function widthOf(labels: string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(40, 16 + 7 * longest);
}

function optionsOf(look: Look, width: number): uPlot.Options {
  const ink = colorOf("--ink-soft");
  const axis = { stroke: ink, font: `11px ${colorOf("--sans")}`, ticks: { show: false } };
  const first = look.x[0] ?? 0;
  const last = look.x.at(-1) ?? 1;
  return {
    width,
    height: look.height ?? 220,
    scales: {
      x: { time: false, distr: look.isLogX === true ? 3 : 1,
        range: look.isLogX === true ? [first, last] : [first - 0.5, last + 0.5] },
      y: { range: (_plot, _least, most) => [0, most === 0 || most === null ? 1 : most * 1.08] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: kGap * 1.6, size: 28,
        ...(look.isLogX === true
          ? { splits: (plot: uPlot) => decades(first, last, plot.width < kNarrow), filter: (_plot: uPlot, marks: number[]) => marks }
          : { incrs: [1, 2, 5, 7, 10, 14, 30] }),
        values: (_plot, marks) => marks.map((mark) => (mark === null ? "" : look.xText(mark))) },
      { ...axis, grid: { stroke: colorOf("--line"), width: 1 }, size: (_plot, labels) => widthOf(labels), space: kGap,
        values: (_plot, marks) => marks.map((mark) => look.yText(mark)) },
    ],
    series: [
      { label: look.label, value: (_plot, x: number | null) => (x == null ? "" : look.xText(x)) },
      ...look.lines.map((line) => seriesOf(line, look.yText)),
    ],
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: {
      live: true,
      markers: { fill: (_plot, series) => colorOf(look.lines[series - 1]?.color ?? "--ink") },
    },
  };
}

export function Chart(look: Look) {
  const box = useRef<HTMLDivElement>(null);
  const theme = shownTheme.value;
  const tongue = language.value;
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const data = [look.x, ...look.lines.map((line) => line.values)] as uPlot.AlignedData;
    const plot = new uPlot(optionsOf(look, Math.max(160, element.clientWidth)), data, element);
    const watch = new ResizeObserver(() => {
      plot.setSize({ width: Math.max(160, element.clientWidth), height: look.height ?? 220 });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [look.x, look.lines, theme, tongue]);
  return <div class="chart" ref={box} aria-hidden="true" />;
}
