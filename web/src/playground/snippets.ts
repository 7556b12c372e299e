// The same request as code, to take away.

export type Dialect = "curl" | "python" | "javascript";

// A text between single quotes of a POSIX shell.
const shellQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const indented = (text: string, by: string): string => text.split("\n").join(`\n${by}`);

// JSON with Python's words for what JSON calls true, false and null; texts are left alone.
function pythonLiteral(value: unknown, depth = 0): string {
  const pad = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map((one) => pythonLiteral(one, depth)).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value as object).map(([key, one]) => `${JSON.stringify(key)}: ${pythonLiteral(one, depth + 1)}`);
  if (depth > 0) return `{${members.join(", ")}}`;
  return `{\n${pad}${members.join(`,\n${pad}`)},\n${end}}`;
}

export function snippet(dialect: Dialect, origin: string, body: Record<string, unknown>): string {
  const base = `${origin}/v1`;
  const plain = { ...body, stream: true };
  switch (dialect) {
    case "curl":
      return [
        `curl -N ${base}/chat/completions \\`,
        `  -H "Authorization: Bearer $DORMOUSE_KEY" -H "Content-Type: application/json" \\`,
        `  -d ${shellQuoted(JSON.stringify(plain))}`,
      ].join("\n");
    case "python": {
      const { chat_template_kwargs: extra, ...known } = plain as Record<string, unknown>;
      const whole = extra === undefined ? known : { ...known, extra_body: { chat_template_kwargs: extra } };
      return [
        "import os",
        "from openai import OpenAI",
        "",
        `client = OpenAI(base_url="${base}", api_key=os.environ.get("DORMOUSE_KEY", "none"))`,
        `stream = client.chat.completions.create(**${pythonLiteral(whole)})`,
        "for chunk in stream:",
        '    print(chunk.choices[0].delta.content or "", end="", flush=True)',
      ].join("\n");
    }
    case "javascript":
      return [
        'import OpenAI from "openai";',
        "",
        `const client = new OpenAI({ baseURL: "${base}", apiKey: process.env.DORMOUSE_KEY ?? "none" });`,
        `const stream = await client.chat.completions.create(${indented(JSON.stringify(plain, null, 2), "")});`,
        "for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? \"\");",
      ].join("\n");
  }
}
