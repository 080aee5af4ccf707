/** Numbers and times as people read them. */

const COUNT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const EXACT = new Intl.NumberFormat('en');
const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });
const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60]
];

/** Three significant digits; `0.934`, `12.3`, `1,234,567`. */
export function metric(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) {
    return size < 1e9 ? EXACT.format(Math.round(value)) : value.toExponential(2);
  }
  return size !== 0 && size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** `812`, `1.2K`, `3.4M`. */
export function count(value: number): string {
  return COUNT.format(value);
}

export function exact(value: number): string {
  return EXACT.format(value);
}

/** Milliseconds; `0.42 ms`, `3.1 ms`, `128 ms`, `2.4 s`. */
export function latency(value: number): string {
  if (value >= 1000) {
    return `${Number((value / 1000).toPrecision(2))} s`;
  }
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(2))} ms`;
}

/** `5 min. ago`; the exact time belongs into the title. */
export function ago(moment: string, now: number = Date.now()): string {
  const seconds = (new Date(moment).getTime() - now) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) {
      return AGO.format(Math.trunc(seconds / length), unit);
    }
  }
  return 'just now';
}

export function exactTime(moment: string): string {
  return new Date(moment).toLocaleString();
}

export function plural(amount: number, one: string): string {
  return `${EXACT.format(amount)} ${one}${amount === 1 ? '' : 's'}`;
}
