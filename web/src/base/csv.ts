// Rows as a CSV that a page makes itself, where no report of the server has them: RFC 4180, numbers plain.

export type CsvCell = string | number | null;

function cellText(cell: CsvCell): string {
  const text = cell === null ? "" : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvText(heads: string[], rows: CsvCell[][]): string {
  return [heads, ...rows].map((row) => `${row.map(cellText).join(",")}\r\n`).join("");
}

// What a link to download it points to.
export function csvHref(heads: string[], rows: CsvCell[][]): string {
  return `data:text/csv;charset=utf-8,${encodeURIComponent(csvText(heads, rows))}`;
}
