// The peer: real llama.cpp through node-llama-cpp. `gap` is the difference of its two largest logits.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

// One thread: llama.cpp spins at its barriers, and beside anything else on two cores that costs minutes.
export async function openPeer(modelPath, {contextSize = 256, threads = 1} = {}) {
  const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
  const model = await llama.loadModel({modelPath});
  const context = await model.createContext({contextSize, threads, batchSize: contextSize});
  const sequence = context.getSequence();

  // The two largest logits after each of `ids`, in order. Continues from whatever the sequence holds.
  async function feed(ids) {
    const want = {generateNext: {logits: {filter: {tokens: [], includeTop: 2}}}};
    const rows = await sequence.controlledEvaluate(ids.map((id) => [id, want]));
    return rows.map((row) => {
      const top = [...row.next.logits.entries()].sort((a, b) => b[1] - a[1]);
      return {id: top[0][0], second: top[1][0], gap: top[0][1] - top[1][1]};
    });
  }

  return {
    version: "node-llama-cpp 3.22.1",
    tokenize: (text) => model.tokenize(text, false, "trimLeadingSpace"),
    // All logits after each of `ids`: [ids, vocab].
    async logits(ids, vocab) {
      await sequence.clearHistory();
      const rows = await sequence.controlledEvaluate(ids.map((id) => [id, {generateNext: {logits: true}}]));
      const out = new Float32Array(ids.length * vocab);
      rows.forEach((row, i) => row.next.logits.forEach((value, id) => { out[i * vocab + id] = value; }));
      return out;
    },
    async forced(ids) {
      await sequence.clearHistory();
      return feed(ids);
    },
    // Continues `prompt` greedily to `total` tokens: [{id, gap}].
    async greedy(prompt, total) {
      await sequence.clearHistory();
      const out = [(await feed(prompt)).at(-1)];
      while (prompt.length + out.length < total) out.push((await feed([out.at(-1).id])).at(-1));
      return out;
    },
    async close() {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
