// A table of texts. Every chart has one behind it: the same figures for a screen reader, a script and a doubter.
import type { ComponentChildren } from "preact";
import { words } from "../words";

export interface Column<Row> {
  head: string;
  cell: (row: Row) => ComponentChildren;
  isNumber?: boolean;
}

interface Shape<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  foot?: ComponentChildren[];
}

// A word of a legend begins a column as a head does; "p95" is a name.
const headText = (head: string): string => (/^p\d/.test(head) ? head : head.charAt(0).toUpperCase() + head.slice(1));

export function Table<Row>({ label, columns, rows, foot }: Shape<Row>) {
  const look = (column: Column<Row>): string => (column.isNumber === true ? "number" : "");
  return (
    <div class="table-frame" tabIndex={0} role="group" aria-label={label}>
      <table>
        <thead>
          <tr>{columns.map((one) => <th key={one.head} scope="col" class={look(one)}>{headText(one.head)}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>{columns.map((one) => <td key={one.head} class={look(one)}>{one.cell(row)}</td>)}</tr>
          ))}
        </tbody>
        {foot !== undefined && (
          <tfoot>
            <tr>{columns.map((one, index) => <td key={one.head} class={look(one)}>{foot[index]}</td>)}</tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

export function TableBehind<Row>(shape: Shape<Row>) {
  return (
    <details>
      <summary>{words().common.table}</summary>
      <Table {...shape} />
    </details>
  );
}
