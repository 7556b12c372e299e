// What a month costs over its volume: the closed form of docs/cost_model.md, hour by hour, so that a curve follows the
// hand that drags. Random arrivals, one request at a time on an instance; above 70 % load an instance is added, as the
// fleet does. The server's replay stays the word on what was measured.

export const kHoursOfMonth = 730;
const kTargetLoad = 0.7;
const kMostExponent = 700;

// A part of the month with one rate: its hours, and its share of the requests.
export interface Cell {
  hours: number;
  share: number;
}

export interface Traffic {
  cells: Cell[];
  windows: number; // times a month that activity ends: after each, one idle timeout is paid
  serviceS: number;
}

export interface Rules {
  idleTimeoutS: number;
  wakeS: number;
}

export interface Prices {
  hourMicros: number;
  monthMicros: number | null;
}

export interface Costs {
  naive: number;
  hourly: number;
  monthly: number | null;
  mixed: number | null;
}

// The share of time awake of one instance at `rate` a second: 1 - (1 - q) / (e^(rt) + r w).
export function awakeShare(rate: number, serviceS: number, rules: Rules): number {
  const load = rate * serviceS;
  if (rate <= 0) return 0;
  if (load >= 1) return 1;
  const grown = Math.exp(Math.min(kMostExponent, rate * rules.idleTimeoutS));
  return 1 - (1 - load) / (grown + rate * rules.wakeS);
}

// What the edges of one window add, in seconds: it begins asleep, and behind its last request lies one timeout.
export function edgeSeconds(rate: number, serviceS: number, rules: Rules): number {
  if (rate <= 0) return 0;
  const stay = serviceS + rules.idleTimeoutS;
  const none = Math.exp(-Math.min(kMostExponent, rate * stay));
  return Math.max(0, stay * (1 + none) - (2 * (1 - none)) / rate);
}

// Hours of the month in which at least 1, 2, .. instances are awake.
export function levelHours(requestsOfMonth: number, traffic: Traffic, rules: Rules): number[] {
  const levels: number[] = [0];
  let activeHours = 0;
  for (const cell of traffic.cells) {
    if (cell.share <= 0 || cell.hours <= 0) continue;
    activeHours += cell.hours;
    const rate = (requestsOfMonth * cell.share) / (cell.hours * 3600);
    const instances = Math.max(1, Math.ceil((rate * traffic.serviceS) / kTargetLoad));
    levels[0] = (levels[0] ?? 0) + cell.hours * awakeShare(rate, traffic.serviceS, rules);
    for (let k = 1; k < instances; ++k) levels[k] = (levels[k] ?? 0) + cell.hours;
  }
  if (activeHours > 0) {
    const rate = requestsOfMonth / (activeHours * 3600);
    const edges = (traffic.windows * edgeSeconds(rate, traffic.serviceS, rules)) / 3600;
    levels[0] = Math.min(kHoursOfMonth, (levels[0] ?? 0) + edges);
  }
  return levels;
}

export function costsOf(requestsOfMonth: number, traffic: Traffic, rules: Rules, prices: Prices): Costs {
  const { hourMicros, monthMicros } = prices;
  const levels = levelHours(requestsOfMonth, traffic, rules);
  const hourly = Math.round(levels.reduce((sum, hours) => sum + hours * hourMicros, 0));
  const naive = Math.round(((requestsOfMonth * traffic.serviceS) / 3600) * hourMicros);
  if (monthMicros === null) return { naive, hourly, monthly: null, mixed: null };
  // Each level for itself is worth its month exactly if its hours cost more.
  const mixed = Math.round(levels.reduce((sum, hours) => sum + Math.min(monthMicros, hours * hourMicros), 0));
  return { naive, hourly, monthly: levels.length * monthMicros, mixed };
}

// The first volume of a month, between the ascending `places`, from which the month is cheaper than the hour;
// undefined: nowhere among them.
export function breakEven(traffic: Traffic, rules: Rules, prices: Prices, places: number[]): number | undefined {
  const isMonthCheaper = (requests: number): boolean => {
    const costs = costsOf(requests, traffic, rules, prices);
    return costs.monthly !== null && costs.hourly > costs.monthly;
  };
  const found = places.findIndex(isMonthCheaper);
  let low = places[found - 1];
  let high = places[found];
  if (low === undefined || high === undefined) return undefined;
  while (high / low > 1.0001) {
    const middle = Math.sqrt(low * high);
    if (isMonthCheaper(middle)) high = middle;
    else low = middle;
  }
  return high;
}

// Requests as they were spread over the hours of the week, on the months' 730 hours. heat[weekday][hour].
export function trafficOf(heat: number[][], serviceS: number): Traffic {
  const flat = heat.flat();
  const total = flat.reduce((sum, count) => sum + count, 0);
  const hours = kHoursOfMonth / Math.max(1, flat.length);
  const cells = flat.map((count) => ({ hours, share: total === 0 ? 0 : count / total }));
  const ends = flat.filter((count, at) => count > 0 && flat[(at + 1) % flat.length] === 0).length;
  return { cells, windows: ends * (kHoursOfMonth / 168), serviceS };
}

// So many active days of so many hours, the same rate through all of them.
export function evenTraffic(days: number, hoursADay: number, serviceS: number): Traffic {
  return { cells: [{ hours: days * hoursADay, share: 1 }], windows: hoursADay >= 24 ? 1 : days, serviceS };
}

// 1, 1.6, 2.5, .. : places of a logarithmic axis, `steps` a decade.
export function volumes(least: number, most: number, steps: number): number[] {
  const out: number[] = [];
  const first = Math.log10(least);
  const count = Math.round((Math.log10(most) - first) * steps);
  for (let at = 0; at <= count; ++at) out.push(10 ** (first + at / steps));
  return out;
}
