// Money: whole micro-units of a currency, as the ledger has it. Below 2^53 a number holds them exactly (9 billion CNY).

const kSigns: Record<string, string> = { CNY: "¥", USD: "$", EUR: "€" };

// 1234567 -> "1,234,567"
export function grouped(value: number): string {
  const digits = String(Math.abs(Math.trunc(value)));
  const out = digits.replace(/\B(?=(\d{3})+$)/g, ",");
  return value < 0 ? `-${out}` : out;
}

// Half to even, as the server rounds. `unit` is a power of ten.
function rounded(micros: number, unit: number): number {
  const whole = Math.floor(micros / unit);
  const rest = micros - whole * unit;
  const isUp = rest * 2 > unit || (rest * 2 === unit && whole % 2 === 1);
  return isUp ? whole + 1 : whole;
}

// "¥4.31"; sums below a cent keep two figures ("¥0.00012"), so that an answer's cost is never shown as nothing.
export function moneyText(micros: number, currency: string): string {
  const magnitude = Math.abs(Math.round(micros));
  const sign = kSigns[currency];
  const decimals = magnitude === 0 || magnitude >= 10_000 ? 2 : magnitude >= 1_000 ? 4 : magnitude >= 100 ? 5 : 6;
  const unit = 10 ** (6 - decimals);
  const units = rounded(magnitude, unit);
  const scale = 10 ** decimals;
  const amount = `${grouped(Math.floor(units / scale))}.${String(units % scale).padStart(decimals, "0")}`;
  const minus = micros < 0 && units > 0 ? "-" : "";
  return sign === undefined ? `${minus}${amount} ${currency}`.trimEnd() : `${minus}${sign}${amount}`;
}

// What is only expected: to the whole unit from ten units on.
export function roughMoney(micros: number, currency: string): string {
  if (Math.abs(micros) < 10_000_000) return moneyText(micros, currency);
  return moneyText(Math.round(micros / 1e6) * 1e6, currency).replace(".00", "");
}

export interface Sum {
  currency: string;
  micros: number;
}

// Money of two currencies is never added: each stands for itself.
export function sumsText(sums: Sum[]): string {
  return sums.map((sum) => moneyText(sum.micros, sum.currency)).join(" + ");
}

export function addSum(sums: Sum[], add: Sum): Sum[] {
  if (!sums.some((sum) => sum.currency === add.currency)) return [...sums, add];
  return sums.map((sum) => (sum.currency === add.currency ? { ...sum, micros: sum.micros + add.micros } : sum));
}
