// Somebody else's OpenAI server over real llama.cpp: npm's inference-server on node-llama-cpp. Not one line of ours
// answers a request here. It mounts its API at /openai/v1, sends usage on the last chunk only, and ends its streams with
// a [DONE] that lacks the empty line.
//   node third_party_server.mjs MODEL.gguf HOST PORT
import {createExpressServer, InferenceServer} from "inference-server";

const [model, host, port] = process.argv.slice(2);
console.log(`theirs pid=${process.pid}`);
const server = new InferenceServer({
  log: "error",
  concurrency: 1,
  models: {
    theirs: {
      task: "text-completion",
      engine: "node-llama-cpp",
      location: model,
      minInstances: 1,
      maxInstances: 1,
      contextSize: 512,
      // One thread: llama.cpp spins at its barriers, and beside anything else on two cores that costs minutes.
      device: {gpu: false, cpuThreads: 1},
    },
  },
});
await server.start();
createExpressServer(server).listen(Number(port), host, () => console.log("theirs listening"));
