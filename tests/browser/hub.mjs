// A hub on this machine: one file, given out slowly and only so far as a test lets it.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";

const kStepBytes = 64 * 1024;
const kStepMs = 20;
const pause = () => new Promise((resolve) => setTimeout(resolve, kStepMs));

export class Hub {
  isDown = false;
  limit = 0; // no byte beyond this one, until it is raised
  begins = []; // of the ranges that were asked for

  constructor(path) {
    this.content = readFileSync(path);
    this.sha256 = createHash("sha256").update(this.content).digest("hex");
    this.server = http.createServer((request, answer) => this.#answer(request, answer));
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #answer(request, answer) {
    const { content } = this;
    if (this.isDown) return answer.writeHead(503).end();
    const head = { "x-linked-etag": `"${this.sha256}"`, "x-linked-size": content.length };
    if (request.method === "HEAD") return answer.writeHead(200, { ...head, "content-length": content.length }).end();
    const [, first, last] = (request.headers.range ?? `bytes=0-${content.length - 1}`).match(/^bytes=(\d+)-(\d+)$/);
    const [begin, end] = [Number(first), Math.min(Number(last) + 1, content.length)];
    this.begins.push(begin);
    answer.writeHead(206, { ...head, "content-length": end - begin,
      "content-range": `bytes ${begin}-${end - 1}/${content.length}` });
    for (let at = begin; at < end && !answer.destroyed;) {
      const next = Math.min(at + kStepBytes, end, Math.max(at, this.limit));
      if (next > at) answer.write(content.subarray(at, next));
      at = next;
      await pause();
    }
    return answer.end();
  }
}
