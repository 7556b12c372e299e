// The CSV button of a chart or a table. `file`: the name of what the page makes itself; a report's comes with its answer.
import { words } from "../words";

export function CsvLink({ href, file = "" }: { href: string; file?: string }) {
  return <a class="button plain" href={href} download={file}>{words().common.csv}</a>;
}
