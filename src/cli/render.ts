/** How amounts, times, tables and bars look in a terminal. Pure. */

/** Borderless columns, as storage tools print them. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    }
  }
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** 0, 512, 1.5K, 12.4G: three digits at most, binary units. */
export function amount(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)}${units[unit]}`;
}

/** 8s, 1m08s, 3h02m */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor(whole / 60) % 60)}m`;
}

/** The bar everyone knows from /proc/mdstat. */
export function progressBar(share: number, width = 20): string {
  const done = Math.min(width, Math.max(0, Math.floor(share * width)));
  const head = done < width ? '>' : '';
  return `[${'='.repeat(done)}${head}${'.'.repeat(Math.max(0, width - done - head.length))}]`;
}

/** Text of others (notes, paths, messages) may not move the cursor or break the line. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

/** A line that fits `width` columns; what does not is cut with an ellipsis. */
export function fitted(line: string, width: number | undefined): string {
  if (width === undefined || width < 20 || line.length <= width) return line;
  return `${line.slice(0, width - 1)}…`;
}
